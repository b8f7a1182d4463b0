"""The ledger: one row a planned test, ending in exactly one final state (product rules 1 and 5).

Each function takes a row and what happened and gives the row that follows. A final row never changes again, so events
may arrive late, twice or never. The caller lets through only events of the attempt that holds the batch's fence;
:func:`restart` is what a newer attempt does to the rows of its batch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from resit.domain.events import TestResult
from resit.domain.status import Outcome, ResultStatus

MAX_REASON = 2_000
"""Characters of a row's reason: lists show it, results hold the whole message."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_FAILING = (ResultStatus.FAILED, ResultStatus.TIMED_OUT, ResultStatus.ERRORED)


@dataclass(frozen=True, slots=True)
class Row:
    """A planned test in one run.

    ``tries`` counts the results of the attempt that counts, ``failed_before`` says whether one of them failed.
    ``precluded``: the framework left the test out because something before it went wrong; its outcome is *skipped*, as
    the framework has it, but it makes the run red. ``duration`` is the sum over the tries, in seconds. ``snoozed``: a
    snooze stopped the outcome from blocking; it is set once, when the run closes. ``began``: when the try began that
    has not come to its end; a closed row that has it was cut off. 0: none goes on.
    """

    ordinal: int
    test: str
    batch: int = 0
    outcome: Outcome | None = None
    running: bool = False
    tries: int = 0
    failed_before: bool = False
    precluded: bool = False
    reason: str = ""
    duration: float = 0.0
    snoozed: bool = False
    began: float = 0.0

    @property
    def final(self) -> bool:
        """True when the row can't change any more."""
        return self.outcome is not None


def started(row: Row, at: float = 0.0) -> Row:
    """A process began to execute the test at a time."""
    return row if row.final else replace(row, running=True, began=max(at, 0.0))


def result(row: Row, found: TestResult) -> Row:
    """One execution ended; the last one of its process folds the row."""
    if row.final:
        return row
    # The last try tells of an earlier failure even if the failure's own event was lost.
    failed = row.failed_before or found.after_failure
    ran = {
        "tries": max(row.tries, found.retry + 1),
        "duration": row.duration + max(found.duration, 0.0),
        "began": 0.0,
    }
    if found.final:
        return _fold(row, found, failed, {**ran, "failed_before": failed})
    return replace(row, running=True, failed_before=failed or found.status in _FAILING, **ran)


def _fold(row: Row, last: TestResult, failed: bool, ran: Mapping[str, Any]) -> Row:
    """The outcome of all tries, of which ``last`` is the final one; ``failed``: one before it failed."""
    reason = last.failures[0].message if last.failures else ""
    match last.status:
        case ResultStatus.PASSED:
            return _close(row, Outcome.FLAKY if failed else Outcome.PASSED, "", ran)
        case ResultStatus.FAILED | ResultStatus.TIMED_OUT:
            return _close(row, Outcome.FAILED, reason, ran)
        case ResultStatus.ERRORED:
            return _close(row, Outcome.ERRORED, reason, ran)
        case ResultStatus.SKIPPED:
            if failed:
                return _close(row, Outcome.FAILED, "failed, then skipped on its retry", ran)
            return _close(row, Outcome.SKIPPED, _skip_reason(last), ran)
        case ResultStatus.INTERRUPTED:
            if failed:
                return _close(row, Outcome.FAILED, "failed, then interrupted on its retry", ran)
            return _close(row, Outcome.SKIPPED, reason or "interrupted", {**ran, "precluded": True})


def _skip_reason(last: TestResult) -> str:
    return next((text for kind, text in last.annotations if kind in ("skip", "fixme", "xfail") and text), "")


def not_found(row: Row, reason: str) -> Row:
    """The framework did not collect the test."""
    return _close(row, Outcome.NOT_FOUND, reason)


def did_not_run(row: Row, reason: str) -> Row:
    """The framework left the test out because something before it went wrong."""
    if row.final:
        return row
    return _close(row, Outcome.SKIPPED, reason, {"precluded": True, "began": 0.0})


def batch_ended(row: Row, reason: str) -> Row:
    """The test's batch is over and nothing final was said of the test: never a silent success."""
    if row.failed_before:
        return _close(row, Outcome.FAILED, reason)
    return _close(row, Outcome.ERRORED, reason)


def lost(row: Row, reason: str) -> Row:
    """The worker died, and so did the one that took over."""
    return _close(row, Outcome.LOST, reason)


def cancelled(row: Row, reason: str = "") -> Row:
    """The run was cancelled or stopped before the test had come to its end."""
    return _close(row, Outcome.CANCELLED, reason)


def restart(row: Row) -> Row:
    """A newer attempt took the batch over: what an older one left unfinished counts no more."""
    if row.final:
        return row
    return replace(row, running=False, tries=0, failed_before=False, duration=0.0, began=0.0)


def blocks(row: Row) -> bool:
    """True for an outcome that a snooze can stop from blocking: what a test said, never that it is lost or gone."""
    return row.outcome in (Outcome.FAILED, Outcome.ERRORED) or row.precluded


def snoozed(row: Row) -> Row:
    """A snooze covers the test: its outcome stays and no longer blocks."""
    return replace(row, snoozed=True) if blocks(row) else row


def _close(row: Row, outcome: Outcome, reason: str, more: Mapping[str, Any] = _NOTHING) -> Row:
    """The row with its end and whatever else changes with it: at once, because to make a row costs the most."""
    if row.final:
        return row
    if len(reason) > MAX_REASON:
        reason = reason[: MAX_REASON - 1] + "…"
    return replace(row, outcome=outcome, running=False, reason=reason, **more)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many planned tests are in each state; the states are disjoint and add up to ``total``."""

    passed: int = 0
    failed: int = 0
    flaky: int = 0
    skipped: int = 0
    errored: int = 0
    lost: int = 0
    not_found: int = 0
    cancelled: int = 0
    planned: int = 0
    running: int = 0
    precluded: int = 0
    """Part of ``skipped``: left out because something before went wrong."""
    snoozed: int = 0
    """Part of ``red``: a snooze stopped it from blocking."""

    @property
    def total(self) -> int:
        """All planned tests of the run."""
        return self.final + self.planned + self.running

    @property
    def final(self) -> int:
        """The tests that have an outcome."""
        return (
            self.passed + self.failed + self.flaky + self.skipped
            + self.errored + self.lost + self.not_found + self.cancelled
        )  # fmt: skip

    @property
    def red(self) -> int:
        """The tests that came to a bad end."""
        return self.failed + self.errored + self.lost + self.not_found + self.precluded

    @property
    def blocking(self) -> int:
        """The tests that keep the run from being green: red and not snoozed."""
        return self.red - self.snoozed


def state(row: Row) -> str:
    """The row's state in one word: its outcome, or ``running``, or ``planned``."""
    if row.outcome is not None:
        return row.outcome.value
    return "running" if row.running else "planned"


def moved(counts: Counts, steps: Iterable[tuple[Row, Row]]) -> Counts:
    """The counts after rows went from what they were to what they are."""
    change: dict[str, int] = {}
    for before, after in steps:
        left, entered = state(before), state(after)
        if left != entered:
            change[left] = change.get(left, 0) - 1
            change[entered] = change.get(entered, 0) + 1
        if before.precluded != after.precluded:
            change["precluded"] = change.get("precluded", 0) + after.precluded - before.precluded
        if before.snoozed != after.snoozed:
            change["snoozed"] = change.get("snoozed", 0) + after.snoozed - before.snoozed
    return replace(counts, **{name: getattr(counts, name) + by for name, by in change.items()}) if change else counts


def count(rows: Iterable[Row]) -> Counts:
    """Count the rows by state."""
    found: dict[str, int] = {}
    precluded = snoozed = 0
    for row in rows:
        found[state(row)] = found.get(state(row), 0) + 1
        precluded += row.precluded
        snoozed += row.snoozed
    return Counts(**found, precluded=precluded, snoozed=snoozed)
