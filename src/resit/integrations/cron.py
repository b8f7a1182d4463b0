"""The times of cron expressions, by cronsim, which follows the rules of Debian's cron where clocks are changed."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from resit.domain.errors import InvalidInput

MAX_ZONE = 100


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
    """Later than ``after`` and in order, also for expressions of wall clock times in the second of two equal hours:
    there cronsim begins with times of the first one.
    """
    try:
        # A fraction is cut off there: a time that is due now would be passed over if it were rounded up.
        for found in CronSim(expression, datetime.fromtimestamp(math.floor(after), zone)):
            time = found.timestamp()
            if time > after:
                after = time
                yield time
    except CronSimError as error:
        raise InvalidInput(f"{expression[:80]!r} is no schedule: {error}", field="cron") from error


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
