"""The story of a run as a trace: spans with times, made from what is stored when the run is over.

Nothing of it is random: a run has the same trace whoever makes it and however often, so one that is handed over twice,
because a process was killed in between, is still one trace. Its ids follow from the run's UUID; when the request came
with a traceparent (W3C), the run is a span of that trace. Times are seconds since the epoch.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resit.domain.attempt import AttemptState
from resit.domain.run import Run
from resit.domain.status import Outcome, ResultStatus, RunStatus, Verdict

MAX_TEXT = 500
"""Characters of a text in a span."""
_RED = (ResultStatus.FAILED, ResultStatus.TIMED_OUT, ResultStatus.ERRORED, ResultStatus.INTERRUPTED)

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ResultTime:
    """One execution of a test."""

    ordinal: int
    test: str
    file: str
    title: str
    retry: int
    status: ResultStatus
    started_at: float
    duration: float


@dataclass(frozen=True, slots=True)
class AttemptTime:
    """One try of a batch. ``ended_at``: when it was last heard of."""

    batch: int
    number: int
    shard: int
    worker: str
    state: AttemptState
    started_at: float
    ended_at: float
    results: Sequence[ResultTime] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended, with the slugs of its project and environment."""

    run: Run
    project: str
    environment: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that a trace is made of. ``source``: the run that this one is a re-run of. ``left_out``: results that are not
    among the attempts', because there are too many."""

    ended: Ended
    attempts: Sequence[AttemptTime] = ()
    source: Run | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a trace. ``id`` and ``parent`` (empty: none) are 16 hexadecimal digits; ``error`` None: all is well."""

    id: str
    parent: str
    name: str
    start: float
    end: float
    error: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True)
class Trace:
    """Spans, the run's own first. ``links``: trace and span of other runs. ``sampled`` False: nobody wants it."""

    id: str
    sampled: bool
    spans: Sequence[Span]
    links: Sequence[tuple[str, str]] = ()


def _span_id(run: Run, what: str) -> str:
    return hashlib.sha256(f"{run.uuid}/{what}".encode()).hexdigest()[:16]


def place(run: Run) -> tuple[str, str, str]:
    """The trace that a run is in, its own span, and the flags (two digits) that it hands on."""
    if run.trace:
        _, trace, _, flags = run.trace.split("-")
        return trace, _span_id(run, "run"), flags
    return run.uuid.replace("-", ""), _span_id(run, "run"), "01"


def traceparent(run: Run, *, traced: bool) -> str:
    """What the tests of a run get as TRACEPARENT, so that theirs are spans of the same trace; empty for nothing.

    ``traced``: somebody takes the traces of runs. Else the run itself will be no span, and what came with its request
    is handed on as it is.
    """
    if not traced:
        return run.trace
    trace, span, flags = place(run)
    return f"00-{trace}-{span}-{flags}"


def trace_of(story: Story) -> Trace:
    """The trace of a run that has ended."""
    run = story.ended.run
    trace, root, flags = place(run)
    over = run.finished_at or run.created_at
    spans = [_run_span(story, root, run.trace.split("-")[2] if run.trace else "")]
    waited = run.started_at if run.started_at is not None else over
    spans.append(_part(run, root, "wait", run.created_at, waited))
    if run.started_at is not None:
        planned = run.planned_at if run.planned_at is not None else over
        failed = run.planned_at is None and run.status is RunStatus.FINISHED
        words = _cut(run.error.message) if run.error and failed else None
        spans.append(_part(run, root, "plan", run.started_at, planned, words))
    if run.planned_at is not None:
        last = max((attempt.ended_at for attempt in story.attempts), default=run.planned_at)
        last = min(max(last, run.planned_at), over)
        execute = _part(run, root, "execute", run.planned_at, last)
        spans.append(execute)
        for attempt in story.attempts:
            spans += _attempt_spans(run, execute.id, attempt)
        spans.append(_part(run, root, "finalize", last, over))
    links = [place(story.source)[:2]] if story.source is not None else []
    return Trace(trace, int(flags, 16) & 1 == 1, spans, links)


def _run_span(story: Story, id: str, parent: str) -> Span:
    ended, run = story.ended, story.ended.run
    said: dict[str, Value] = {
        "resit.project": ended.project,
        "resit.environment": ended.environment,
        "resit.run.id": run.id,
        "resit.run.uuid": run.uuid,
        "resit.run.status": run.status.value,
        "resit.run.verdict": run.verdict.value if run.verdict else "",
        "resit.run.selection": run.selection.kind.value,
        "resit.run.via": run.via.value,
        "resit.run.triggered_by": run.triggered_by,
        "resit.run.shards": run.total_shards,
        "resit.pool": run.pool,
        "resit.framework": run.facts.framework,
        "resit.source_run.id": run.source_run_id or 0,
        "vcs.ref.head.name": run.build.branch or run.branch,
        "vcs.ref.head.revision": run.build.commit or run.commit,
    }
    tests = {f"resit.tests.{name}": count for name, count in _counted(run).items()}
    if story.left_out:
        said["resit.results_left_out"] = story.left_out
    return Span(
        id=id,
        parent=parent,
        name=f"run {ended.project}/{ended.environment}",
        start=run.created_at,
        end=max(run.created_at, run.finished_at or 0.0),
        error=_why_red(run),
        attributes={name: _cut(value) if isinstance(value, str) else value for name, value in said.items() if value}
        | tests,
    )


def _why_red(run: Run) -> str | None:
    if run.verdict not in (Verdict.FAILED, Verdict.ERRORED):
        return None
    if run.status is RunStatus.CANCELLED:
        return _cut(f"cancelled: {run.cancel_reason}" if run.cancel_reason else "cancelled")
    if run.error is not None:
        return _cut(run.error.message)
    red = {name: count for name, count in _counted(run).items() if name in _BAD and count}
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in red.items())


def _counted(run: Run) -> dict[str, int]:
    return {outcome.value: getattr(run.counts, outcome.value) for outcome in Outcome}


_BAD = ("failed", "errored", "lost", "not_found", "cancelled")


def _part(run: Run, parent: str, name: str, start: float, end: float, error: str | None = None) -> Span:
    return Span(id=_span_id(run, name), parent=parent, name=name, start=start, end=max(start, end), error=error)


def _attempt_spans(run: Run, parent: str, attempt: AttemptTime) -> list[Span]:
    id = _span_id(run, f"{attempt.batch}/{attempt.number}")
    lost = attempt.state is AttemptState.LOST
    spans = [
        Span(
            id=id,
            parent=parent,
            name=f"batch {attempt.batch}",
            start=attempt.started_at,
            end=max(attempt.started_at, attempt.ended_at),
            error=f"worker {attempt.worker} died or fell silent" if lost else None,
            attributes={
                "resit.batch": attempt.batch,
                "resit.attempt": attempt.number,
                "resit.attempt.state": attempt.state.value,
                "resit.shard": attempt.shard,
                "resit.worker": _cut(attempt.worker),
            },
        )
    ]
    return spans + [_result_span(run, id, attempt, found) for found in attempt.results]


def _result_span(run: Run, parent: str, attempt: AttemptTime, found: ResultTime) -> Span:
    return Span(
        id=_span_id(run, f"{attempt.batch}/{attempt.number}/{found.ordinal}/{found.retry}"),
        parent=parent,
        name=_cut(found.title or found.test),
        start=found.started_at,
        end=found.started_at + max(0.0, found.duration),
        error=found.status.value if found.status in _RED else None,
        attributes={
            "test.case.name": _cut(found.test),
            "test.case.result.status": _SAID.get(found.status, found.status.value),
            "code.file.path": _cut(found.file),
            "resit.retry": found.retry,
        },
    )


_SAID = {ResultStatus.PASSED: "pass", ResultStatus.FAILED: "fail"}
"""What OpenTelemetry has a word for."""


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
