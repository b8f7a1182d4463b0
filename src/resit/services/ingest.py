"""What workers report, taken into the ledger: idempotent, in any order, and only from who holds the fence.

A report is JSON: ``run``, ``claim`` (the attempt's random name), ``what`` and the members of that kind. Malformed
reports are dropped and counted, never retried for ever: a report that can't be understood today can't be tomorrow.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from resit.domain import ledger, wire
from resit.domain.attempt import Attempt, AttemptState
from resit.domain.errors import NotFound, ResitError
from resit.domain.events import DidNotRun, TestEvent, TestResult, TestStarted
from resit.domain.events import NotFound as NotCollected
from resit.domain.ledger import Row
from resit.domain.run import PlanFacts, Problem, Run
from resit.domain.status import RunStatus
from resit.ports import ArtifactRow, Clock, Store, StoredResult
from resit.services import planning
from resit.services.desk import Desk

MAX_MESSAGE = 16_000
"""Characters kept of a problem's message."""


class Ingest:
    """One call is one transaction."""

    def __init__(self, store: Store, clock: Clock, max_log: int) -> None:
        self._store, self._clock, self._max_log = store, clock, max_log

    def take(self, reports: Sequence[bytes]) -> tuple[list[int], list[str]]:
        """Apply reports in their order. Returns the runs that changed, and why reports were dropped."""
        with self._store.write() as tx:
            desk = Desk(tx, self._clock.now())
            dropped: list[str] = []
            for data in reports:
                try:
                    self._one(desk, json.loads(data))
                except (ResitError, wire.MalformedEvent, ValueError, KeyError, TypeError) as error:
                    dropped.append(f"{type(error).__name__}: {error}")
            return desk.file(), dropped

    def _one(self, desk: Desk, report: Mapping[str, Any]) -> None:
        run, claim = desk.run(int(report["run"])), str(report["claim"])
        match report["what"]:
            case "log":
                desk.tx.results.add_log(run.id, int(report["shard"]), str(report["text"]), self._max_log)
            case "plan.started":
                planning.begin(desk, run, claim)
            case "plan.tests":
                tests = [wire.test_from_wire(test) for test in report["tests"]]
                desk.tx.ledger.stage(run.id, claim, int(report["number"]), tests)
            case "plan.ended":
                found = planning.Listed(int(report["parts"]), _facts(report["facts"]), str(report.get("commit", "")))
                planning.listed(desk, run, claim, found)
            case "plan.failed":
                _plan_failed(desk, run, claim, _problem(report))
            case "batch.started":
                _attempt(desk, run, claim, report)
            case "batch.events":
                events = [wire.from_wire(event) for event in report["events"]]
                _events(desk, run, _attempt(desk, run, claim, report), events)
            case "batch.ended":
                problems = [Problem(code="outside_tests", message=_cut(p)) for p in report.get("problems", ())]
                _ended(desk, run, _attempt(desk, run, claim, report), problems, str(report.get("reason", "")))
            case "shard.failed":
                if run.status is RunStatus.RUNNING:
                    desk.fail(run, _problem(report))
            case other:
                raise wire.MalformedEvent(f"unknown report {other!r}")


def _facts(data: Mapping[str, Any]) -> PlanFacts:
    return PlanFacts(
        framework=str(data["framework"]),
        lanes=max(1, int(data["lanes"])),
        shares_process=bool(data["shares_process"]),
        dispatch_cost=float(data["dispatch_cost"]),
        approximate=bool(data["approximate"]),
    )


def _cut(text: object) -> str:
    return str(text)[:MAX_MESSAGE]


def _problem(report: Mapping[str, Any]) -> Problem:
    return Problem(code=str(report["code"])[:100], message=_cut(report["message"]))


def _plan_failed(desk: Desk, run: Run, claim: str, problem: Problem) -> None:
    if run.status is RunStatus.PLANNING and run.plan_claim == claim:
        desk.fail(run, problem)


def _attempt(desk: Desk, run: Run, claim: str, report: Mapping[str, Any]) -> Attempt:
    """The attempt that speaks; one that is heard for the first time takes the fence of its batch over."""
    known = desk.tx.batches.attempt(claim)
    if known is not None:
        return _revived(desk, known)
    number = int(report["batch"])
    state = desk.tx.batches.get(run.id, number)
    if state is None:
        raise NotFound(f"run {run.id} has no batch {number}")
    before = state.fence.number if state.fence else 0
    attempt = Attempt(
        claim=claim,
        run_id=run.id,
        batch=number,
        number=before + 1,
        worker=str(report.get("worker", "")),
        shard=int(report.get("shard", 0)),
        started_at=desk.now,
        seen_at=desk.now,
    )
    if state.fence is not None and state.fence.state is AttemptState.RUNNING:
        desk.tx.batches.save_attempt(replace(state.fence, state=AttemptState.LOST))
    desk.tx.batches.add_attempt(attempt)
    if before:
        rows = desk.tx.ledger.open_of_batch(run.id, number)
        desk.move(run, rows, [ledger.restart(row) for row in rows])
    return attempt


def _revived(desk: Desk, attempt: Attempt) -> Attempt:
    """An attempt that was given up and speaks again, before anybody took over, goes on."""
    if attempt.state is AttemptState.LOST:
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
        counts = holds and not row.final
        if counts:
            after[event.test] = _follow(row, event)
        if isinstance(event, TestResult):
            results.append(StoredResult(row.ordinal, attempt.number, counts, event))
            artifacts.extend(_artifacts(run, row, attempt, event))
    desk.tx.results.add(run.id, results)
    desk.tx.results.add_artifacts(artifacts)
    desk.move(desk.run(run.id), before.values(), after.values())


def _follow(row: Row, event: TestEvent) -> Row:
    match event:
        case TestStarted():
            return ledger.started(row)
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
    ]


def _ended(desk: Desk, run: Run, attempt: Attempt, problems: Sequence[Problem], reason: str) -> None:
    desk.tx.batches.save_attempt(replace(attempt, state=AttemptState.ENDED, seen_at=desk.now))
    if not _holds(desk, attempt) or not desk.run(run.id).status.open:
        return
    before = desk.tx.ledger.open_of_batch(run.id, attempt.batch)
    words = reason or "its process ended without a result for it"
    run = desk.move(desk.run(run.id), before, [ledger.batch_ended(row, words) for row in before])
    run = desk.problem(run, *problems)
    desk.tx.batches.end(run.id, attempt.batch)
    desk.close_if_done(run)


def decode(data: bytes) -> Mapping[str, Any]:
    """A question of a worker. Raises :class:`ValueError` for what is no object."""
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return cast("dict[str, Any]", found)
