"""What charts and tables of many runs say, from plain counts: percents, windows of time, sums of days, orders."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar, assert_never

from resit.domain.errors import InvalidInput

MAX_DAYS = 90
"""How far a window given as a number of days reaches back (Empirical, study 1.5)."""


def percent(part: int, whole: int) -> int:
    """``part`` of ``whole`` in whole percent, half rounded up (towards plus infinity); 0 of an empty whole."""
    return rounded(part * 100, whole)


def rounded(sum: int, number: int) -> int:
    """``sum`` / ``number`` as a whole number, half rounded up; 0 when ``number`` is 0."""
    # whole numbers throughout, so that no half is lost in a binary fraction
    return (2 * sum + number) // (2 * number) if number else 0


@dataclass(frozen=True, slots=True)
class Change:
    """From the first of some counts to the last. ``percent``: of the first, 0 if that is 0."""

    first: int
    latest: int

    @property
    def change(self) -> int:
        """How much more there is, below 0 for less."""
        return self.latest - self.first

    @property
    def percent(self) -> int:
        """The change in whole percent of the first count."""
        return percent(self.change, self.first)


def change(counts: Sequence[int]) -> Change:
    """What changed over counts, oldest first; nothing over none."""
    return Change(counts[0], counts[-1]) if counts else Change(0, 0)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole UTC days, both inclusive."""

    first: date
    last: date

    @property
    def start(self) -> float:
        """The first second, since the epoch."""
        return _midnight(self.first)

    @property
    def end(self) -> float:
        """The second after the last one, since the epoch."""
        # not by way of the next day: the last one that a date can say has none
        return _midnight(self.last) + 86_400

    @property
    def days(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def span(now: float, days: int | None, start: date | None, end: date | None, *, default: int) -> Span:
    """The window that was asked for: two days, or as many days as said up to and with today (Empirical, study 1.5).

    ``default`` stands for ``days`` when nothing is said. Two days win over a number of days, which must be right all
    the same. Raises :class:`InvalidInput` when ``days`` is not 1 to 90, when only one of the two days is given, or
    when they are the wrong way round.
    """
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise InvalidInput(f"days is {days}: it must be 1 to {MAX_DAYS}", field="days")
    if start is not None and end is not None:
        if end < start:
            raise InvalidInput(f"end_date {end} is before start_date {start}: swap them", field="end_date")
        return Span(start, end)
    if start is not None or end is not None:
        missing = "end_date" if end is None else "start_date"
        raise InvalidInput(f"{missing} is missing: give both start_date and end_date, or neither", field=missing)
    today = datetime.fromtimestamp(now, UTC).date()
    return Span(today - timedelta(days=(default if days is None else days) - 1), today)


class _Day(Protocol):
    """The members of a day of runs that its summary takes; see ``resit.ports.insights.DayOfRuns``."""

    @property
    def runs(self) -> int: ...
    @property
    def passed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def errored(self) -> int: ...
    @property
    def cancelled(self) -> int: ...
    @property
    def reruns(self) -> int: ...
    @property
    def tests(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Days of runs added up; rates in whole percent of all runs (Empirical, study 2.11)."""

    runs: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    reruns: int
    tests: int

    @property
    def pass_rate(self) -> int:
        """Runs that passed."""
        return percent(self.passed, self.runs)

    @property
    def rerun_rate(self) -> int:
        """Runs that are re-runs."""
        return percent(self.reruns, self.runs)

    @property
    def tests_per_run(self) -> int:
        """Tests of a run in the mean, as a whole number."""
        return rounded(self.tests, self.runs)


def summary(days: Iterable[_Day]) -> Summary:
    """Add days up."""
    names = ("runs", "passed", "failed", "errored", "cancelled", "reruns", "tests")
    found = dict.fromkeys(names, 0)
    for day in days:
        for name in names:
            found[name] += getattr(day, name)
    return Summary(**found)


@dataclass(frozen=True, slots=True)
class Rates:
    """How test cases fare, in whole percent of all executions that count. The three need not add up to 100."""

    passed: int
    failed: int
    flaky: int


class Metrics(Protocol):
    """The members of a test case's metrics that rates take; see ``resit.ports.insights.CaseMetrics``."""

    @property
    def passed(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def flaky(self) -> int: ...
    @property
    def last_run_at(self) -> float | None: ...


def rates(metrics: Metrics) -> Rates:
    """The rates of one test case."""
    total = metrics.passed + metrics.failed + metrics.flaky
    return Rates(*(percent(part, total) for part in (metrics.passed, metrics.failed, metrics.flaky)))


class MetricsOrder(StrEnum):
    """What test cases are ordered by."""

    FAIL_RATE = "fail_rate"
    FLAKY_RATE = "flaky_rate"
    LAST_RUN = "last_run"


T = TypeVar("T")


def ordered(
    items: Iterable[T], metrics: Callable[[T], Metrics], by: MetricsOrder, *, descending: bool = True
) -> list[T]:
    """Items in the order of their metrics; equal ones stay as they were. One without a run stands last either way.

    Rates are compared exactly, not as the whole percents that are shown.
    """

    def key(item: T) -> float | None:
        found = metrics(item)
        total = found.passed + found.failed + found.flaky
        match by:
            case MetricsOrder.FAIL_RATE:
                return found.failed / total if total else None
            case MetricsOrder.FLAKY_RATE:
                return found.flaky / total if total else None
            case MetricsOrder.LAST_RUN:
                return found.last_run_at
            case _:
                assert_never(by)

    keyed = [(key(item), item) for item in items]
    known = [(value, item) for value, item in keyed if value is not None]
    # reverse keeps equal ones in their order, as a minus sign would
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [item for _, item in known] + [item for value, item in keyed if value is None]
