"""Empirical's words for how runs and tests stand, and what they mean in ours (study 2.2 and 2.10)."""

from enum import StrEnum
from typing import assert_never

from resit.domain.run import Run
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.ports.reads import Kind


class State(StrEnum):
    """How far a run got. ``cancelling`` is accepted in filters and never shown: Resit cancels at once."""

    PENDING = "pending"
    QUEUED = "queued"
    STARTED = "started"
    ENDED = "ended"
    ERROR = "error"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Result(StrEnum):
    """How an ended run came out."""

    PASSED = "passed"
    FAILED = "failed"


class CaseStatus(StrEnum):
    """How a test came out."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    FLAKY = "flaky"


class ErrorCode(StrEnum):
    """Why a run could not be carried through (study 2.2)."""

    MERGE_CONFLICT = "merge_conflict"
    DISPATCH_FAILED = "dispatch_failed"
    REPORT_NOT_GENERATED = "report_not_generated"
    RUN_FAILED = "run_failed_with_error"
    WORKER_INTERRUPTED = "worker_interrupted"
    MERGE_REPORTS_FAILED = "merge_reports_failed"


ERROR_CODES: dict[str, ErrorCode] = {
    "dispatch_failed": ErrorCode.DISPATCH_FAILED,
    "no_worker": ErrorCode.DISPATCH_FAILED,
    "plan_lost": ErrorCode.WORKER_INTERRUPTED,
    "time_limit": ErrorCode.WORKER_INTERRUPTED,
}
"""Our problems that have a word of their own; all others mean that the run failed with an error."""


def state(status: RunStatus, verdict: Verdict | None) -> State:
    """The word for how far a run got."""
    match status:
        case RunStatus.REQUESTED:
            return State.PENDING
        case RunStatus.ADMITTED:
            return State.QUEUED
        case RunStatus.PLANNING | RunStatus.RUNNING | RunStatus.FINALIZING:
            return State.STARTED
        case RunStatus.FINISHED:
            return State.ERROR if verdict is Verdict.ERRORED else State.ENDED
        case RunStatus.CANCELLED:
            return State.CANCELLED
        case _:
            assert_never(status)


def result(status: RunStatus, verdict: Verdict | None) -> Result | None:
    """How an ended run came out; None for all others, and for one that only skipped: it is neither."""
    if state(status, verdict) is not State.ENDED:
        return None
    match verdict:
        case Verdict.FAILED:
            return Result.FAILED
        case Verdict.PASSED:
            return Result.PASSED
        case Verdict.SKIPPED | Verdict.ERRORED | None:
            return None
        case _:
            assert_never(verdict)


def error_code(run: Run) -> ErrorCode | None:
    """Why a run is in the state *error*; None for all others."""
    if state(run.status, run.verdict) is not State.ERROR:
        return None
    if run.error is None:
        return ErrorCode.REPORT_NOT_GENERATED
    return ERROR_CODES.get(run.error.code, ErrorCode.RUN_FAILED)


def shown(outcome: Outcome) -> CaseStatus:
    """How a test came out, in the four words that there are."""
    match outcome:
        case Outcome.PASSED:
            return CaseStatus.PASSED
        case Outcome.FLAKY:
            return CaseStatus.FLAKY
        case Outcome.FAILED | Outcome.ERRORED | Outcome.LOST | Outcome.NOT_FOUND:
            return CaseStatus.FAILED
        case Outcome.SKIPPED | Outcome.CANCELLED:
            return CaseStatus.SKIPPED
        case _:
            assert_never(outcome)


def history_status(outcome: Outcome) -> str:
    """The same in the history of a test case, which has other words (study, 4, number 36)."""
    match shown(outcome):
        case CaseStatus.PASSED:
            return "pass"
        case CaseStatus.FAILED:
            return "fail"
        case CaseStatus.SKIPPED:
            return "skip"
        case CaseStatus.FLAKY:
            return "flaky"


def kinds(wanted: State | None, outcome: Result | None) -> tuple[Kind, ...] | None:
    """The runs in a state and with a result, as a filter: empty for all, None for none at all."""
    if wanted is None and outcome is None:
        return ()
    found = [
        (status, verdict)
        for status in RunStatus
        for verdict in ((*Verdict,) if status is RunStatus.FINISHED else (None,))
        if wanted in (None, state(status, verdict)) and outcome in (None, result(status, verdict))
    ]
    return tuple(found) or None
