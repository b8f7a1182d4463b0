"""What reports show of a planned test: the executions that count, and an end for one that was cut off.

The ledger knows how a test came out; results tell of its executions. A report needs both to agree: executions of an
attempt that does not count are left out, and a test that was running when its worker died or its run was cancelled has
an execution that is *interrupted*, with the reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from resit.domain.events import Failure, TestResult
from resit.domain.ledger import Row
from resit.domain.run import Run
from resit.domain.status import Outcome, ResultStatus

_SAME_SECONDS = 1.0
"""An execution that ended after all is known by the time of its beginning, which clocks of programs round."""


class Kept(Protocol):
    """A result as it is kept."""

    @property
    def attempt(self) -> int: ...
    @property
    def counted(self) -> bool: ...
    @property
    def found(self) -> TestResult: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """The executions of a test, oldest first, and the number of the attempt that made them (0: none).

    ``reason``: why it has no better outcome, in words; empty where the outcome needs none.
    """

    tries: tuple[TestResult, ...]
    attempt: int
    reason: str


def cut_off(row: Row) -> bool:
    """True when the test was being executed at the time when its row was closed: its end is not its own."""
    return row.final and row.began > 0


def shown(run: Run, row: Row, kept: Iterable[Kept], now: float) -> Shown:
    """What a report shows of a row; ``kept`` are its results in the order of attempts and retries."""
    kept = list(kept)
    attempt = max((result.attempt for result in kept if result.counted), default=0)
    counted = [result.found for result in kept if result.counted and result.attempt == attempt]
    if not row.tries:  # what an attempt left unfinished that was lost
        counted, attempt = [], 0
    reason = in_words(run, row)
    if cut_off(row):
        late = [k for k in kept if not k.counted and k.found.started_at >= row.began - _SAME_SECONDS]
        counted.append(_interrupted(run, row, late, reason, now))
        attempt = attempt or max((result.attempt for result in late), default=0)
    return Shown(tuple(counted), attempt, reason)


def _interrupted(run: Run, row: Row, late: list[Kept], reason: str, now: float) -> TestResult:
    """The execution that was cut off; what its process said of it after that is part of it, but for its status."""
    failure = Failure(f"interrupted: {reason}" if reason else "interrupted")
    if late:
        found = late[-1].found
        failures = (failure, *(f for f in found.failures if not f.message.startswith("interrupted")))
        return replace(found, status=ResultStatus.INTERRUPTED, final=True, failures=failures)
    end = (run.finished_at or now) if row.outcome is Outcome.CANCELLED else row.began
    return TestResult(
        row.test,
        ResultStatus.INTERRUPTED,
        retry=row.tries,
        started_at=row.began,
        duration=max(0.0, end - row.began),
        failures=(failure,),
    )


def in_words(run: Run, row: Row) -> str:
    """Why a test came out as it did; of a cancelled one, who cancelled its run and why."""
    if row.outcome is not Outcome.CANCELLED or row.reason:
        return row.reason
    return cancellation(run)


def cancellation(run: Run) -> str:
    """Who cancelled a run, and why."""
    by = f"the run was cancelled by {run.cancelled_by}" if run.cancelled_by else "the run was cancelled"
    return f"{by}: {run.cancel_reason}" if run.cancel_reason else by
