"""What callers are shown of runs and their tests (study 1.1)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resit.api.context import Services
from resit.api.dialect import iso
from resit.api.empirical import words
from resit.domain.ids import case_key, large
from resit.domain.project import Environment, Project, repository
from resit.domain.run import Run
from resit.domain.snooze import Snooze, covering
from resit.domain.status import Outcome, SelectionKind
from resit.ports import Ledgered, Transaction
from resit.ports.reads import LedgerFilter, RunView

UNNAMED_BRANCH = "main"
"""Shown for a run of the branch that the test repository itself has as its default: only workers know its name."""
FINAL = tuple(outcome.value for outcome in Outcome)
PIECE = 5000


def milliseconds(seconds: float | None) -> int | None:
    """A duration as it is on the wire."""
    return None if seconds is None else round(seconds * 1000)


def moment(at: float | None) -> str | None:
    """A time, or null."""
    return None if at is None else iso(at)


def project_out(project: Project) -> dict[str, Any]:
    """A project."""
    return {
        "id": project.id,
        "name": project.name,
        "slug": project.slug,
        "repo_name": repository(project),
    }


def triggered(run: Run) -> dict[str, Any]:
    """``CreateTestRunResponse`` (seed), with the ``project_id`` that the newest client reads."""
    return {
        "trigger": {"success": True},
        "test_run": {
            "id": run.id,
            "state": words.state(run.status, run.verdict),
            "test_run_branch": run.branch or UNNAMED_BRANCH,
            "created_at": iso(run.created_at),
            "project_id": run.project_id,
        },
    }


def snoozed_failures(use: Services, run: Run) -> int:
    """The tests shown as failed that a snooze covers: without those that did not run, which are shown as skipped."""
    found = run.counts.snoozed
    if found and run.counts.precluded:
        found -= sum(item.row.snoozed for item in _rows(use, run.id, LedgerFilter(state="did_not_run")))
    return found


def counts(use: Services, run: Run) -> dict[str, int | None]:
    """The counters; null until the run is over. Flaky tests are part of the successes (study 2.10)."""
    names = ("total", "success", "failed", "skipped", "flaky")
    extra = ("failed_count_after_snoozing", "snoozed_count", "snoozed_failed_count")
    if run.status.open:
        return dict.fromkeys([*(f"{name}_count" for name in names), *extra])
    found = run.counts
    failed = found.failed + found.errored + found.lost + found.not_found
    snoozed = snoozed_failures(use, run)
    return {
        "total_count": found.total,
        "success_count": found.passed + found.flaky,
        "failed_count": failed,
        "skipped_count": found.skipped + found.cancelled + found.planned + found.running,
        "flaky_count": found.flaky,
        "failed_count_after_snoozing": failed - snoozed,
        "snoozed_count": snoozed,
        "snoozed_failed_count": snoozed,
    }


def run_out(use: Services, view: RunView, environments: Mapping[int, Environment]) -> dict[str, Any]:
    """A run in a list."""
    run = view.run
    environment = environments.get(run.environment_id)
    rerun = run.source_run_id is not None
    return {
        "id": run.id,
        "project_id": run.project_id,
        "state": words.state(run.status, run.verdict),
        "result": words.result(run.status, run.verdict),
        **counts(use, run),
        "duration": milliseconds(run.duration),
        "test_run_branch": run.branch or UNNAMED_BRANCH,
        "environment_id": run.environment_id,
        "environment_slug": view.environment,
        "environment_name": (environment.name or environment.slug) if environment else view.environment,
        "build_url": run.build.url or None,
        "build_branch": run.build.branch or None,
        "commit": run.build.commit or None,
        "environment_variables_overrides": [{"name": n, "value": v} for n, v in run.variables.items()],
        "rerun_source_id": run.source_run_id,
        "rerun_only_failed": run.selection.kind is SelectionKind.FAILED if rerun else None,
        "superseded_by_test_run_id": run.superseded_by,
        "created_at": iso(run.created_at),
    }


def run_whole(use: Services, view: RunView, environments: Mapping[int, Environment]) -> dict[str, Any]:
    """A run alone: all of the list's members and more."""
    run = view.run
    return {
        **run_out(use, view, environments),
        "run_id": large(run.id),
        "test_case_ids": chosen(use, run) or None,
        "error_code": words.error_code(run),
        "error_message": run.error.message if run.error else None,
        "metadata": dict(run.metadata),
        "tags": list(run.selection.tags),
        "total_shards": run.total_shards or run.shards or None,
        "build_commit_url": run.build.commit_url or None,
        "build_version": run.build.version or None,
        "github_actor": run.actor or None,
        "send_notifications": run.notify,
        "started_at": moment(run.started_at),
        "ended_at": moment(run.finished_at),
    }


def chosen(use: Services, run: Run) -> list[str]:
    """The tests that were named: as they were submitted, or the keys of those that a re-run takes up by choice."""
    if run.source_run_id is None or run.selection.kind is not SelectionKind.CHOSEN:
        return list(run.selection.tests)
    with use.store.read() as tx:
        known = {case.planned.id: case.key for case in tx.cases.named(run.project_id, run.selection.tests)}
    return [known.get(test) or test for test in run.selection.tests]


# ---------------------------------------------------------------- the tests of a run


@dataclass(frozen=True, slots=True)
class Overlay:
    """The snoozes that matter for the rows of one run: those that hold now, and those that held when it began.

    A snooze that was made later shows at once (study 2.9); one that is over by now still tells why a row is snoozed.
    """

    now: Sequence[Snooze]
    then: Sequence[Snooze]

    @classmethod
    def of(cls, tx: Transaction, run: Run, now: float) -> "Overlay":
        """The snoozes of a run's environment."""
        began = run.started_at if run.started_at is not None else now
        known = tx.snoozes.lasting(run.project_id, min(began, now))
        return cls(covering(known, run.environment_id, now), covering(known, run.environment_id, began))

    def named(self) -> dict[str, list[Snooze]]:
        """By the names of tests, each snooze once; those that hold now come first."""
        found: dict[str, list[Snooze]] = {}
        for snooze in dict.fromkeys((*self.now, *self.then)):
            for name in snooze.tests:
                found.setdefault(name, []).append(snooze)
        return found


def snooze_out(snooze: Snooze) -> dict[str, Any]:
    """A snooze (study 1.4)."""
    return {
        "id": snooze.id,
        "project_id": snooze.project_id,
        "test_ids": list(snooze.tests),
        "snooze_until": iso(snooze.until),
        "description": snooze.description or None,
        "created_from_test_run_id": snooze.from_run_id,
        "created_by": snooze.created_by or None,
        "created_at": iso(snooze.created_at),
        "updated_at": iso(snooze.updated_at or snooze.created_at),
        "scoped_to_environment_id": snooze.environment_id,
    }


def _rows(use: Services, run_id: int, which: LedgerFilter) -> list[Ledgered]:
    found: list[Ledgered] = []
    while True:
        page = use.reads.ledger(run_id, which, PIECE)
        found.extend(page.items)
        if page.next is None:
            return found
        which = LedgerFilter(state=which.state, states=which.states, after=int(page.next))


def case_row(item: Ledgered) -> dict[str, Any]:
    """One test of a run; only those that have an outcome are shown."""
    test, row = item.test, item.row
    shown = words.shown(row.outcome) if row.outcome else None
    return {
        "name": test.title_path[-1] if test.title_path else test.id,
        "pw_test_id": case_key(test),
        "status": shown,
        "file_path": test.file,
        "suites": list(test.title_path[:-1]),
        "playwright_project": test.variant,
        "duration": milliseconds(row.duration),
        "retries": max(row.tries - 1, 0),
        "error": row.reason or None if shown is words.CaseStatus.FAILED else None,
    }


def details(use: Services, run: Run) -> list[dict[str, Any]]:
    """``flattenedSummaryDetails``: every test that has an outcome, with the snoozes that touch it."""
    with use.store.read() as tx:
        overlay = Overlay.of(tx, run, use.clock.now())
    named = overlay.named()
    holding = set(overlay.now)
    found: list[dict[str, Any]] = []
    for item in _rows(use, run.id, LedgerFilter(states=FINAL)):
        shown = case_row(item)
        touching = _touching(named, (item.test.id, item.case_uuid, shown["pw_test_id"])) if named else ()
        shown["snooze_info"] = [snooze_out(s) for s in touching if s in holding or item.row.snoozed]
        found.append(shown)
    return found


def _touching(named: Mapping[str, list[Snooze]], names: Collection[str]) -> Sequence[Snooze]:
    return tuple(dict.fromkeys(snooze for name in names for snooze in named.get(name, ())))
