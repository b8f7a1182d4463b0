"""Files about a whole run, written from what is stored: whatever died, whenever they are asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from resit.domain import junit
from resit.domain.attempt import Attempt
from resit.domain.ledger import state
from resit.domain.run import Run
from resit.domain.tries import shown
from resit.ports import Clock, Ledgered, StoredResult
from resit.ports.reads import Reads, RunView

AT_ONCE = 200
"""Tests that are read together; no more than these are in memory with all that is known of them."""


class RunReports:
    """Each file is made anew when it is asked for, piece by piece."""

    def __init__(self, reads: Reads, clock: Clock) -> None:
        self._reads, self._clock = reads, clock

    def junit(self, view: RunView, url: str, links: junit.Links) -> Iterator[str]:
        """The run as a JUnit file. ``url``: where the run is shown. A run that goes on is told as it stands now."""
        run, now = view.run, self._clock.now()
        outlines = self._reads.outlines(run.id)
        open_rows = {outline.row.ordinal: outline.row for outline in outlines if not outline.row.final}
        suites = junit.suites(outlines)
        del outlines
        began = run.started_at or run.created_at
        about = _about(view, url)
        yield junit.begin(f"{view.project} run {run.id}", suites, (run.finished_at or now) - began, len(run.problems))
        yield junit.problems(run.problems, began, about)
        attempts = {(attempt.batch, attempt.number): attempt for attempt in self._reads.attempts(run.id)}
        found = self._tests(run, chain.from_iterable(suite.ordinals for suite in suites))
        for suite in suites:
            yield junit.begin_suite(suite, began, about)
            for _, (item, results) in zip(suite.ordinals, found, strict=False):
                # A test that has come to its end since the first line was written is told as it stood then.
                row = open_rows.get(item.row.ordinal, item.row)
                told = shown(run, row, results if row.final else (), now)
                case = junit.Case(item.test, row, told, _of_test(item, attempts.get((row.batch, told.attempt))))
                yield junit.case(case, links)
            yield junit.END_SUITE
        yield junit.END

    def _tests(self, run: Run, ordinals: Iterable[int]) -> Iterator[tuple[Ledgered, Sequence[StoredResult]]]:
        """Rows with their results, in this order."""
        left = iter(ordinals)
        while some := list(islice(left, AT_ONCE)):
            rows: Mapping[int, Ledgered] = self._reads.rows_of(run.id, some)
            results = self._reads.results(run.id, some)
            for ordinal in some:
                yield rows[ordinal], results[ordinal]


def _about(view: RunView, url: str) -> list[tuple[str, str]]:
    run = view.run
    said = [
        ("run", str(run.id)),
        ("run_uuid", run.uuid),
        ("url", url),
        ("project", view.project),
        ("environment", view.environment),
        ("status", run.status.value),
        ("verdict", run.verdict.value if run.verdict else ""),
        ("framework", run.facts.framework),
        ("branch", run.branch),
        ("commit", run.commit),
        *((f"build.{name}", getattr(run.build, name)) for name in type(run.build).__dataclass_fields__),
        ("shards", str(run.total_shards or "")),
        ("source_run", str(run.source_run_id or "")),
        ("cancel_reason", run.cancel_reason),
    ]
    return [(name, value) for name, value in said if value]


def _of_test(item: Ledgered, attempt: Attempt | None) -> list[tuple[str, str]]:
    said = [("id", item.test.id), ("state", state(item.row))]
    if item.row.snoozed:
        said.append(("snoozed", "true"))
    if attempt is not None:
        said += [("shard", str(attempt.shard)), ("worker", attempt.worker), ("attempt", str(attempt.number))]
    return said
