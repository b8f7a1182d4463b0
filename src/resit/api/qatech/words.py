"""Our words in QA.tech's: how far a run or a test got, and how it came out (study 2.2 to 2.5)."""

from enum import StrEnum
from typing import assert_never

from resit.domain.ledger import Row
from resit.domain.run import Via
from resit.domain.selection import Taken
from resit.domain.status import Outcome, RunStatus, Verdict


class Status(StrEnum):
    """Where a run or the execution of a test stands."""

    INITIATED = "INITIATED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class Result(StrEnum):
    """How what is *completed* came out; everything else has none."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


Said = tuple[Status, Result | None]
TESTS_FAILED = tuple(sorted(outcome.value for outcome in Taken.NOT_PASSED.outcomes))
"""The states of tests that ``testCases=failed`` shows: those that ``failedOnly`` runs again (study 2.5)."""


def of_run(status: RunStatus, verdict: Verdict | None) -> Said:
    """A run (study 2.3). Failed tests win over problems: the vendor's command line exits 1 on FAILED alone."""
    match status:
        case RunStatus.REQUESTED | RunStatus.ADMITTED:
            return Status.INITIATED, None
        case RunStatus.PLANNING | RunStatus.RUNNING | RunStatus.FINALIZING:
            return Status.RUNNING, None
        case RunStatus.CANCELLED:
            return Status.CANCELLED, None
        case RunStatus.FINISHED:
            result = None if verdict is None else _result(verdict)
            return (Status.ERROR, None) if result is None else (Status.COMPLETED, result)
        case _:
            assert_never(status)


def _result(verdict: Verdict) -> Result | None:
    match verdict:
        case Verdict.PASSED:
            return Result.PASSED
        case Verdict.FAILED:
            return Result.FAILED
        case Verdict.SKIPPED:
            return Result.SKIPPED
        case Verdict.ERRORED:
            return None
        case _:
            assert_never(verdict)


def of_test(row: Row) -> Said:
    """A test in a run."""
    match row.outcome:
        case None:
            return (Status.RUNNING if row.running else Status.INITIATED), None
        case Outcome.PASSED | Outcome.FLAKY:
            return Status.COMPLETED, Result.PASSED
        case Outcome.FAILED:
            return Status.COMPLETED, Result.FAILED
        case Outcome.SKIPPED:
            return Status.COMPLETED, Result.SKIPPED
        case Outcome.ERRORED | Outcome.LOST | Outcome.NOT_FOUND:
            return Status.ERROR, None
        case Outcome.CANCELLED:
            return Status.CANCELLED, None
        case _:
            assert_never(row.outcome)


def title(row: Row) -> str | None:
    """Why a test came out as it did, in one line; None while nothing is to be said, and for a test that passed."""
    said = row.reason.strip().partition("\n")[0].strip()
    match row.outcome:
        case None | Outcome.PASSED | Outcome.FLAKY:
            return None
        case Outcome.FAILED:
            return said or "the test failed"
        case Outcome.SKIPPED:
            return said or ("did not run: something before it went wrong" if row.precluded else "skipped")
        case Outcome.ERRORED:
            return said or "the test could not be executed to its end"
        case Outcome.LOST:
            return said or "the worker that executed it was lost"
        case Outcome.NOT_FOUND:
            return said or "the suite has no such test"
        case Outcome.CANCELLED:
            return said or "the run was cancelled"
        case _:
            assert_never(row.outcome)


def error_code(outcome: Outcome | None) -> str | None:
    """The code of what went wrong; None for what did not (study 1.8)."""
    match outcome:
        case None | Outcome.PASSED | Outcome.FLAKY | Outcome.SKIPPED:
            return None
        case Outcome.FAILED:
            return "TEST_FAILED"
        case Outcome.ERRORED:
            return "PLATFORM_ERROR"
        case Outcome.LOST:
            return "PLATFORM_WORKER_LOST"
        case Outcome.NOT_FOUND:
            return "PLATFORM_TEST_NOT_FOUND"
        case Outcome.CANCELLED:
            return "PLATFORM_CANCELLED"
        case _:
            assert_never(outcome)


class Trigger(StrEnum):
    """What started runs, as badges narrow them (study 1.10)."""

    ANY = "ANY"
    MANUAL = "MANUAL"
    SCHEDULE = "SCHEDULE"
    API = "API"
    GITHUB = "GITHUB"


VIA: dict[Trigger, Via | None] = {
    Trigger.ANY: None,
    Trigger.MANUAL: Via.MANUAL,
    Trigger.SCHEDULE: Via.SCHEDULE,
    Trigger.API: Via.API,
    Trigger.GITHUB: Via.GITHUB,
}
"""Our words for them; None for any."""
