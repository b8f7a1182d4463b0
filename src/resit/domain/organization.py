"""What the operator has decided for the whole installation."""

import calendar
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The installation. ``monthly_runs``: runs of one calendar month (UTC), None for no limit.

    ``suspended``: nobody but an administrator that is bound to no project gets an answer.
    """

    monthly_runs: int | None = None
    suspended: bool = False

    def used_up(self, runs: int) -> bool:
        """True when no further run may be made, after ``runs`` in this month."""
        return self.monthly_runs is not None and runs >= self.monthly_runs


def month_start(now: float) -> float:
    """The first second of the UTC month that ``now`` is in."""
    today = time.gmtime(now)
    return float(calendar.timegm((today.tm_year, today.tm_mon, 1, 0, 0, 0)))
