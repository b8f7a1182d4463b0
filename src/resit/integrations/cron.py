"""The times of cron expressions: cronsim for the calendar, zoneinfo for the clocks."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from resit.domain.errors import InvalidInput

MAX_ZONE = 100
_GREATEST_CHANGE = timedelta(hours=3)
"""Clocks are put back by two hours at most; it is an hour in nearly all zones."""


class CronTimes:
    """See ``resit.ports.world.Cron``."""

    def check(self, expression: str, zone: str) -> None:
        """Raise :class:`InvalidInput` for an unknown zone, or an expression that never comes."""
        if not self.times(expression, zone, 0.0, 1):
            raise InvalidInput(f"{expression[:80]!r} names a day that never comes", field="cron")

    def times(self, expression: str, zone: str, after: float, most: int, until: float | None = None) -> Sequence[float]:
        """The first ``most`` times after ``after`` (not later than ``until``), in order."""
        found: list[float] = []
        for time in _times(expression, _zone(zone), after):
            if len(found) == most or (until is not None and time > until):
                break
            found.append(time)
        return found

    def local(self, time: float, zone: str) -> datetime:
        """A time as a clock in the zone shows it."""
        return datetime.fromtimestamp(time, _zone(zone))


def _times(expression: str, zone: tzinfo, after: float) -> Iterator[float]:
    """Later than ``after``, in order. The calendar is cronsim's; the clocks, and when they are changed, are ours."""
    minute, hour = expression.split()[:2]
    passing = minute.startswith("*") or hour.startswith("*")
    again: list[float] = []  # times in the second of two equal hours, while those of the first come
    start = datetime.fromtimestamp(after, zone).replace(tzinfo=None, microsecond=0, second=0) - _GREATEST_CHANGE
    try:
        for wall in CronSim(expression, start):
            time = wall.replace(tzinfo=zone).timestamp()
            while again and again[0] < time:
                yield again.pop(0)
            if _shown(time, zone) != wall:
                if passing:
                    continue
                time = _end_of_gap(wall, zone)
            if time > after:
                after = time
                yield time
            second = wall.replace(tzinfo=zone, fold=1).timestamp()
            if passing and second > time and second > after:
                again.append(second)
    except CronSimError as error:
        raise InvalidInput(f"{expression[:80]!r} is no schedule: {error}", field="cron") from error


def _shown(time: float, zone: tzinfo) -> datetime:
    """What a clock shows."""
    return datetime.fromtimestamp(time, zone).replace(tzinfo=None)


def _end_of_gap(wall: datetime, zone: tzinfo) -> float:
    """When clocks go on that pass over what would be shown."""
    while _shown(wall.replace(tzinfo=zone).timestamp(), zone) != wall:
        wall += timedelta(minutes=1)
    return wall.replace(tzinfo=zone).timestamp()


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if name not in _names():
        raise InvalidInput(
            f"{name[:MAX_ZONE]!r} is no time zone of the IANA database, like 'Europe/Berlin' or 'UTC'", field="zone"
        )
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    """The zones of our own copy of the database: the same on every machine."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
