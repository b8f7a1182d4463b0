"""What each kind of report does to the ledger. All of it may come late or twice: what is final never changes again,
and only the attempt that holds its batch's fence counts.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from resit.domain import ledger, wire
from resit.domain.attempt import Attempt, AttemptState
from resit.domain.errors import Conflict, NotFound
from resit.domain.events import DidNotRun, TestEvent, TestResult, TestStarted
from resit.domain.events import NotFound as NotCollected
from resit.domain.ledger import Row
from resit.domain.run import PlanFacts, Problem, Run
from resit.domain.status import ResultStatus, RunStatus
from resit.domain.voice import Voice
from resit.ports import ArtifactRow, StoredResult
from resit.services import planning, shards
from resit.services.desk import Desk

MAX_MESSAGE = 16_000
"""Characters kept of a problem's message."""
MAX_COMMIT = 64
_STORED_AS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_NAME = 200
"""Characters of a claim or a worker's name."""

Change = Callable[[Desk, Voice], object]
"""What a report does, once it is understood. The voice is the one that speaks; one with a gap has lost some words.

Raises :class:`NotFound` or :class:`Conflict` before it has changed anything.
"""


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Who speaks for a batch."""

    claim: str
    batch: int
    worker: str
    shard: int

    @classmethod
    def of(cls, claim: str, report: Mapping[str, Any]) -> "_Speaker":
        worker = wire.text(report.get("worker", ""))[:MAX_NAME]
        return cls(claim, wire.whole(report["batch"]), worker, wire.whole(report.get("shard", 0)))


def understand(report: object, max_log: int) -> Change:
    """What a report asks for; nothing is changed before all of it is understood.

    ``max_log``: characters kept of one shard's log. Raises :class:`wire.MalformedEvent`.
    """
    try:
        return _change(cast("Mapping[str, Any]", report), max_log)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise wire.MalformedEvent(f"malformed report: {error!r}") from error


def _change(report: Mapping[str, Any], max_log: int) -> Change:
    run, claim = wire.whole(report["run"], wire.LARGE), wire.text(report["claim"])[:MAX_NAME]
    match report["what"]:
        case "log":
            shard, text = wire.whole(report["shard"]), wire.text(report["text"])
            return lambda desk, _voice: desk.tx.results.add_log(desk.run(run).id, shard, text, max_log, desk.now)
        case "plan.started":
            return lambda desk, _voice: planning.begin(desk, desk.run(run), claim)
        case "plan.tests":
            number, tests = wire.whole(report["number"]), [wire.test_from_wire(test) for test in report["tests"]]
            return lambda desk, _voice: planning.piece(desk, desk.run(run), claim, number, tests)
        case "plan.ended":
            found = planning.Listed(
                wire.whole(report["parts"]),
                _facts(report["facts"]),
                wire.text(report.get("commit", "")),
                wire.text(report.get("branch", "")),
                wire.text(report.get("key", ""))[:MAX_NAME],
            )
            return lambda desk, _voice: planning.listed(desk, desk.run(run), claim, found)
        case "plan.returned":
            return lambda desk, _voice: planning.returned(desk, desk.run(run), claim)
        case "plan.failed":
            problem = _problem(report)
            return lambda desk, _voice: _plan_failed(desk, desk.run(run), claim, problem)
        case "shard.started":
            commit = str(report.get("commit", ""))[:MAX_COMMIT]
            branch = wire.text(report.get("branch", ""))
            return lambda desk, _voice: _shard_started(desk, desk.run(run), commit, branch)
        case "shard.failed":
            problem, worker = _problem(report), wire.text(report.get("worker", ""))[:MAX_NAME]
            shard = wire.whole(report.get("shard", 0))
            return lambda desk, _voice: shards.failed(desk, desk.run(run), claim, worker, shard, problem)
        case "shard.ended":
            return lambda desk, _voice: shards.ended(desk, desk.run(run), claim)
        case _:
            return _batch_change(run, _Speaker.of(claim, report), report)


def _batch_change(run: int, speaker: _Speaker, report: Mapping[str, Any]) -> Change:
    match report["what"]:
        case "batch.started":
            return lambda desk, _voice: _attempt(desk, desk.run(run), speaker)
        case "batch.returned":
            return lambda desk, _voice: _returned(desk, _attempt(desk, desk.run(run), speaker))
        case "batch.events":
            events = [wire.from_wire(event) for event in report["events"]]
            return lambda desk, _voice: _events(desk, desk.run(run), _attempt(desk, desk.run(run), speaker), events)
        case "batch.ended":
            problems = [Problem(code="outside_tests", message=_cut(p)) for p in report.get("problems", ())]
            reason = wire.text(report.get("reason", ""))
            return lambda desk, voice: _ended(
                desk, desk.run(run), _attempt(desk, desk.run(run), speaker), problems, reason, whole=not voice.gap
            )
        case other:
            raise wire.MalformedEvent(f"unknown report {other!r}")


def _facts(data: Mapping[str, Any]) -> PlanFacts:
    suite = wire.text(data.get("suite", ""))
    return PlanFacts(
        framework=wire.text(data["framework"]),
        lanes=max(1, wire.whole(data["lanes"])),
        shares_process=bool(data["shares_process"]),
        dispatch_cost=max(0.0, wire.real(data["dispatch_cost"])),
        batch_cost=_cost(data.get("batch_cost")),
        lane_cost=_cost(data.get("lane_cost")),
        approximate=bool(data["approximate"]),
        digest=wire.text(data.get("digest", ""))[:MAX_NAME],
        suite=suite if len(suite) <= wire.MAX_SUITE else "",
    )


def _cost(value: object) -> float | None:
    return None if value is None else max(0.0, wire.real(value))


def _cut(text: object) -> str:
    return wire.text(text)[:MAX_MESSAGE]


def _problem(report: Mapping[str, Any]) -> Problem:
    return Problem(code=wire.text(report["code"])[:100], message=_cut(report["message"]))


def _plan_failed(desk: Desk, run: Run, claim: str, problem: Problem) -> None:
    if run.status is RunStatus.PLANNING and run.plan_claim == claim:
        desk.fail(run, problem)


def _shard_started(desk: Desk, run: Run, commit: str, branch: str) -> None:
    """A re-run has no listing of its own: its first shard says which commit is executed, and the others follow it."""
    if run.status is RunStatus.RUNNING and commit and not run.commit:
        desk.put(replace(planning.on_branch(run, branch), commit=commit))


def _attempt(desk: Desk, run: Run, speaker: _Speaker) -> Attempt:
    """The attempt that speaks; one that is heard for the first time takes the fence of its batch over."""
    known = desk.tx.batches.attempt(speaker.claim)
    if known is not None:
        if (known.run_id, known.batch) != (run.id, speaker.batch):
            raise Conflict(
                f"attempt {speaker.claim} is of run {known.run_id}, batch {known.batch}: it speaks for no other"
            )
        return _revived(desk, known)
    state = desk.tx.batches.get(run.id, speaker.batch)
    if state is None:
        raise NotFound(f"run {run.id} has no batch {speaker.batch}")
    before = state.fence.number if state.fence else 0
    attempt = Attempt(
        claim=speaker.claim,
        run_id=run.id,
        batch=speaker.batch,
        number=before + 1,
        worker=speaker.worker,
        shard=speaker.shard,
        started_at=desk.now,
        seen_at=desk.now,
    )
    if state.fence is not None and state.fence.state is AttemptState.RUNNING:
        desk.tx.batches.save_attempt(replace(state.fence, state=AttemptState.LOST))
    desk.tx.batches.add_attempt(attempt)
    if before:
        rows = desk.tx.ledger.open_of_batch(run.id, speaker.batch)
        desk.restart(run, rows)
    return attempt


def _revived(desk: Desk, attempt: Attempt) -> Attempt:
    """An attempt that was given up and speaks again, before anybody took over, goes on."""
    if attempt.state is AttemptState.LOST and _holds(desk, attempt):
        attempt = replace(attempt, state=AttemptState.RUNNING, seen_at=desk.now)
        desk.tx.batches.save_attempt(attempt)
    return attempt


def _holds(desk: Desk, attempt: Attempt) -> bool:
    state = desk.tx.batches.get(attempt.run_id, attempt.batch)
    return state is not None and state.fence is not None and state.fence.claim == attempt.claim


def _events(desk: Desk, run: Run, attempt: Attempt, events: Iterable[TestEvent]) -> None:
    events = list(events)
    holds = _holds(desk, attempt)
    found = desk.tx.ledger.of_tests(run.id, {event.test for event in events})
    # Setup projects run beside what was asked for; only planned tests of this batch are accounted for.
    before = {row.test: row for row in found if row.batch == attempt.batch}
    after = dict(before)
    results: list[StoredResult] = []
    artifacts: list[ArtifactRow] = []
    for event in events:
        row = after.get(event.test)
        if row is None:
            continue
        counts = holds and not row.final and not _cut_off(event)
        if counts:
            after[event.test] = _follow(row, event)
        if isinstance(event, TestResult):
            results.append(StoredResult(row.ordinal, attempt.number, counts, event))
            artifacts.extend(_artifacts(run, row, attempt, event))
    desk.tx.results.add(run.id, results)
    desk.tx.results.add_artifacts(artifacts)
    desk.move(desk.run(run.id), before.values(), after.values())


def _cut_off(event: TestEvent) -> bool:
    """True for an execution that ended in the middle and is repeated by another attempt: its worker had to go."""
    return isinstance(event, TestResult) and event.status is ResultStatus.INTERRUPTED and not event.final


def _follow(row: Row, event: TestEvent) -> Row:
    match event:
        case TestStarted():
            return ledger.started(row, event.at)
        case TestResult():
            return ledger.result(row, event)
        case NotCollected():
            return ledger.not_found(row, event.reason)
        case DidNotRun():
            return ledger.did_not_run(row, event.reason)


def _artifacts(run: Run, row: Row, attempt: Attempt, event: TestResult) -> list[ArtifactRow]:
    return [
        ArtifactRow(
            id=attachment.id,
            run_id=run.id,
            ordinal=row.ordinal,
            attempt=attempt.number,
            retry=event.retry,
            name=attachment.name,
            content_type=attachment.content_type,
            size=attachment.size,
        )
        for attachment in event.attachments
        if _STORED_AS.fullmatch(attachment.id)
    ]


def _returned(desk: Desk, attempt: Attempt) -> None:
    """A worker that goes gives its batch back; the next attempt starts what is open of it anew."""
    desk.tx.batches.save_attempt(replace(attempt, state=AttemptState.RETURNED, seen_at=desk.now))


def _ended(desk: Desk, run: Run, attempt: Attempt, problems: Sequence[Problem], reason: str, *, whole: bool) -> None:
    """A batch is over. When words of its worker were lost for good, its open tests are executed again elsewhere: what
    they came to may have been among them.
    """
    if not whole:
        if attempt.state is AttemptState.RUNNING:
            desk.tx.batches.save_attempt(replace(attempt, state=AttemptState.LOST))
        return
    desk.tx.batches.save_attempt(replace(attempt, state=AttemptState.ENDED, seen_at=desk.now))
    if not _holds(desk, attempt) or not desk.run(run.id).status.open:
        return
    before = desk.tx.ledger.open_of_batch(run.id, attempt.batch)
    words = reason or "its process ended without a result for it"
    run = desk.move(desk.run(run.id), before, [ledger.batch_ended(row, words) for row in before])
    run = desk.problem(run, *problems)
    desk.tx.batches.end(run.id, attempt.batch)
    desk.close_if_done(run)
