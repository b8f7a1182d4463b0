"""Percents, windows, sums and orders of what happened over many runs."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resit.domain import insights
from resit.domain.errors import InvalidInput
from resit.domain.insights import MAX_DAYS, MetricsOrder, Span, change, ordered, percent, rates, span, summary
from resit.ports.insights import CaseMetrics, DayOfRuns
from resit.testing.factories import NOW

COUNT = st.integers(0, 10**9)
TODAY = date(2023, 11, 14)
"""The UTC day of ``NOW``."""


def day(**counts: int) -> DayOfRuns:
    names = [name for name in DayOfRuns.__dataclass_fields__ if name != "date"]
    return DayOfRuns(date="2023-11-14", **{**dict.fromkeys(names, 0), **counts})


def metrics(name: str = "a", passed: int = 0, failed: int = 0, flaky: int = 0, at: float | None = None) -> CaseMetrics:
    return CaseMetrics(case_uuid=name, passed=passed, failed=failed, flaky=flaky, last_run_at=at)


@pytest.mark.parametrize(
    ("part", "whole", "shown"), [(40, 45, 89), (3, 45, 7), (9, 142, 6), (1, 200, 1), (1, 201, 0), (0, 0, 0), (5, 0, 0)]
)
def test_percents_as_the_vendor_shows_them(part: int, whole: int, shown: int) -> None:
    assert percent(part, whole) == shown


@given(COUNT, COUNT)
def test_a_percent_is_the_nearest_one(part: int, whole: int) -> None:
    if not whole:
        assert percent(part, whole) == 0
        return
    exact = Fraction(part * 100, whole)
    assert Fraction(-1, 2) < percent(part, whole) - exact <= Fraction(1, 2)
    if part <= whole:
        assert 0 <= percent(part, whole) <= 100


@given(st.lists(COUNT, max_size=5))
def test_change_goes_from_the_first_to_the_last(counts: list[int]) -> None:
    found = change(counts)
    assert found.first + found.change == found.latest
    assert (found.first, found.latest) == ((counts[0], counts[-1]) if counts else (0, 0))
    assert found.percent == percent(found.latest - found.first, found.first)


def test_the_change_that_the_vendor_shows() -> None:
    assert (change([142, 99, 151]).change, change([142, 99, 151]).percent) == (9, 6)
    assert change([4, 1]).percent == -75
    assert change([0, 7]).percent == 0


@given(st.integers(1, MAX_DAYS), st.floats(0, 4e9))
def test_a_number_of_days_ends_with_today(days: int, now: float) -> None:
    found = span(now, days, None, None, default=30)
    assert found.days == days
    assert found.start <= now < found.end
    assert found.end - found.start == days * 86_400
    assert found == span(now, None, None, None, default=days)


@given(st.dates(), st.dates())
def test_two_days_win(one: date, other: date) -> None:
    first, last = sorted((one, other))
    found = span(NOW, 7, first, last, default=30)
    assert found == Span(first, last)
    assert found.end - found.start == found.days * 86_400
    assert datetime.fromtimestamp(found.start, UTC).date() == first
    if first != last:
        with pytest.raises(InvalidInput, match="before start_date"):
            span(NOW, None, last, first, default=30)


@pytest.mark.parametrize(
    ("days", "start", "end", "field"),
    [
        (0, None, None, "days"), (91, None, None, "days"), (-1, TODAY, TODAY, "days"),
        (None, TODAY, None, "end_date"), (7, None, TODAY, "start_date"),
    ],
)  # fmt: skip
def test_no_windows(days: int | None, start: date | None, end: date | None, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        span(NOW, days, start, end, default=30)
    assert refused.value.field == field


def test_windows() -> None:
    assert span(NOW, 1, None, None, default=30) == Span(TODAY, TODAY)
    assert span(NOW, None, None, None, default=7) == Span(date(2023, 11, 8), TODAY)
    assert span(NOW, None, None, None, default=7).end == datetime(2023, 11, 15, tzinfo=UTC).timestamp()


def test_the_summary_that_the_vendor_shows() -> None:
    found = summary(
        [
            day(runs=30, passed=28, failed=1, errored=1, reruns=1, tests=1200),
            day(runs=15, passed=12, failed=2, cancelled=1, reruns=2, tests=1050),
        ]
    )
    assert (found.runs, found.passed, found.failed, found.errored, found.cancelled) == (45, 40, 3, 1, 1)
    assert (found.pass_rate, found.rerun_rate, found.tests_per_run) == (89, 7, 50)


def test_the_summary_of_no_days() -> None:
    found = summary([])
    assert (found.runs, found.pass_rate, found.rerun_rate, found.tests_per_run) == (0, 0, 0, 0)


@given(st.lists(st.builds(lambda n: day(runs=n, passed=n // 2, tests=3 * n), st.integers(0, 99))))
def test_a_summary_adds_up(days: list[DayOfRuns]) -> None:
    found = summary(days)
    assert found.runs == sum(d.runs for d in days)
    assert 0 <= found.pass_rate <= 50
    assert found.tests_per_run == (3 if found.runs else 0)


def test_rates_of_a_test_case() -> None:
    assert rates(metrics(passed=18, failed=1, flaky=1)) == insights.Rates(90, 5, 5)
    assert rates(metrics()) == insights.Rates(0, 0, 0)


METRICS = st.builds(metrics, st.text(max_size=1), *[st.integers(0, 3)] * 3, st.none() | st.floats(0, 9).map(round))


@given(st.lists(METRICS), st.sampled_from(MetricsOrder), st.booleans())
def test_orders(items: list[CaseMetrics], by: MetricsOrder, descending: bool) -> None:
    def key(item: CaseMetrics) -> Fraction | float | None:
        if by is MetricsOrder.LAST_RUN:
            return item.last_run_at
        part = item.failed if by is MetricsOrder.FAIL_RATE else item.flaky
        return Fraction(part, item.total) if item.total else None

    found = ordered(items, lambda item: item, by, descending=descending)
    assert sorted(map(repr, found)) == sorted(map(repr, items))
    keys = [key(item) for item in found]
    known = [value for value in keys if value is not None]
    assert keys == known + [None] * (len(keys) - len(known))
    assert known == sorted(known, reverse=descending)
    for value in set(keys):
        same = [item for item in items if key(item) == value]
        assert [item for item in found if key(item) == value] == same
