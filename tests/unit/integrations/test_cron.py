"""The times of cron expressions, against a reading of them that looks at every minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resit.domain.errors import InvalidInput
from resit.integrations.cron import CronTimes

MINUTE = 60.0
cron = CronTimes()


def at(text: str) -> float:
    """``2026-03-29T01:30+01:00`` as seconds."""
    return datetime.fromisoformat(text).timestamp()


def shown(expression: str, zone: str, after: str, most: int = 4) -> list[str]:
    """The next times, as a clock in the zone shows them, with its distance from UTC."""
    found = cron.times(expression, zone, at(after), most)
    return [cron.local(time, zone).isoformat(timespec="minutes") for time in found]


# ------------------------------------------------------------ every minute, looked at


def fits(field: str, value: int, least: int, most: int) -> bool:
    """True when a field of an expression holds a value."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        low = least if span == "*" else int(first)
        high = most if span == "*" or (step and not last) else int(last or first)
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def matches(expression: str, local: datetime) -> bool:
    """True when an expression names what a clock shows."""
    minute, hour, day, month, weekday = expression.split()
    number = local.isoweekday() % 7
    of_month, of_week = fits(day, local.day, 1, 31), fits(weekday, number, 0, 6)
    # Debian's cron: one that begins with a star narrows the other, else either will do.
    right = of_month and of_week if "*" in (day[0], weekday[0]) else of_month or of_week
    hours = fits(minute, local.minute, 0, 59) and fits(hour, local.hour, 0, 23)
    return hours and right and fits(month, local.month, 1, 12)


def looked_at(expression: str, zone: str, start: datetime, minutes: int) -> list[float]:
    """All times of an expression in so many minutes."""
    place = ZoneInfo(zone)
    first, last = start.timestamp(), start.timestamp() + minutes * MINUTE
    if "*" in (expression.split()[0][0], expression.split()[1][0]):
        # It goes by the time that passes.
        every = (first + number * MINUTE for number in range(minutes + 1))
        return [time for time in every if matches(expression, datetime.fromtimestamp(time, place))]
    # It goes by the wall clock: each minute that the calendar has, in the first of two, at the end of a gap.
    found: set[float] = set()
    wall = start.astimezone(place).replace(tzinfo=None) - timedelta(hours=3)
    for _ in range(minutes + 400):
        if matches(expression, wall):
            real = wall
            while datetime.fromtimestamp(real.replace(tzinfo=place).timestamp(), place).replace(tzinfo=None) != real:
                real += timedelta(minutes=1)
            found.add(real.replace(tzinfo=place).timestamp())
        wall += timedelta(minutes=1)
    return sorted(time for time in found if first < time <= last)


minutes = st.sampled_from(["0", "30", "15,45", "*/7", "*", "10-20", "59", "5/25"])
hours = st.sampled_from(["0", "1", "2", "2,3", "1-3", "*", "*/2", "23", "3"])
days = st.sampled_from(["*", "29", "25-31", "1,8", "*/2"])
weekdays = st.sampled_from(["*", "0", "1-5", "6"])
changes = st.sampled_from(
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("America/New_York", date(2026, 3, 8)),
        ("America/New_York", date(2026, 11, 1)),
        ("America/Havana", date(2026, 3, 8)),  # at midnight
        ("America/Havana", date(2026, 11, 1)),
        ("Australia/Lord_Howe", date(2026, 4, 5)),  # by half an hour
        ("Australia/Lord_Howe", date(2026, 10, 4)),
        ("Asia/Kathmandu", date(2026, 5, 1)),
        ("UTC", date(2026, 3, 29)),
    ]
)


@settings(max_examples=150)
@given(minutes, hours, days, weekdays, changes, st.integers(-1500, 600))
def test_all_times_around_a_change_of_the_clocks(
    minute: str, hour: str, day: str, weekday: str, change: tuple[str, date], begin: int
) -> None:
    zone, when = change
    expression = f"{minute} {hour} {day} * {weekday}"
    start = datetime(when.year, when.month, when.day, 3, tzinfo=UTC) + timedelta(minutes=begin)
    length = 1800
    wanted = [time for time in looked_at(expression, zone, start, length) if time > start.timestamp()]
    found = cron.times(expression, zone, start.timestamp(), 5000, start.timestamp() + length * MINUTE)
    assert list(found) == wanted


# ------------------------------------------------------------ the rules, in examples


def test_a_time_in_the_missing_hour_comes_at_its_end_once() -> None:
    nightly = shown("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00+01:00", 3)
    assert nightly == ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]
    twice = shown("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", 3)
    assert twice == ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"]


def test_a_time_in_the_doubled_hour_comes_in_the_first_of_the_two() -> None:
    nightly = shown("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", 2)
    assert nightly == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]
    # Asked between the two, and within the second, it does not come again.
    assert shown("30 2 * * *", "Europe/Berlin", "2026-10-25T02:31+02:00", 1) == ["2026-10-26T02:30+01:00"]
    assert shown("45 2 * * *", "Europe/Berlin", "2026-10-25T02:31+01:00", 1) == ["2026-10-26T02:45+01:00"]


def test_what_goes_by_the_time_that_passes_comes_in_each_hour() -> None:
    hourly = shown("0 * * * *", "Europe/Berlin", "2026-10-25T01:30+02:00", 3)
    assert hourly == ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]
    spring = shown("0 * * * *", "Europe/Berlin", "2026-03-29T00:30+01:00", 3)
    assert spring == ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"]


def test_a_time_that_is_now_is_not_the_next_one() -> None:
    noon = at("2026-05-01T12:00+00:00")
    assert cron.times("0 12 * * *", "UTC", noon - 0.001, 1) == [noon]
    assert cron.times("0 12 * * *", "UTC", noon, 1) == [noon + 86400]
    assert cron.times("0 12 * * *", "UTC", noon + 0.001, 1) == [noon + 86400]
    assert cron.times("* * * * *", "UTC", noon + 59.999, 2) == [noon + 60, noon + 120]
    assert cron.times("* * * * *", "UTC", noon, 10, noon + 120) == [noon + 60, noon + 120]
    assert cron.times("* * * * *", "UTC", noon, 0) == []


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 31 2 */1"])
def test_what_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInput):
        cron.check(expression, "UTC")
    cron.check("0 0 29 2 *", "UTC")


@pytest.mark.parametrize(
    "zone",
    ["", "Berlin", "europe/berlin", "Europe", "localtime", "../UTC", "/etc/passwd", "UTC\0", "x" * 9999, "+01:00"],
)
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        cron.check("0 0 * * *", zone)
    assert refused.value.field == "zone"
    assert len(refused.value.message) < 300


def test_a_clock_in_the_zone() -> None:
    assert cron.local(at("2026-07-01T00:00+00:00"), "Europe/Berlin").isoformat() == "2026-07-01T02:00:00+02:00"
