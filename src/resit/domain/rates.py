"""Rate limits: so many requests in a fixed window that begins with the first one (CCExtractor, study 2.4)."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``limit`` requests in ``window`` seconds; a limit of 0 lets everything through."""

    limit: int
    window: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a caller stands in its window. ``reset_at``: the second in which the window ends."""

    limit: int
    remaining: int
    reset_at: float
    allowed: bool

    def retry_after(self, now: float) -> int:
        """Whole seconds to wait, at least one."""
        return max(1, math.ceil(self.reset_at - now))


def standing(rate: Rate, count: int, began_at: float) -> Standing:
    """Where a caller stands after ``count`` requests, this one included, in a window that began at ``began_at``."""
    remaining = max(0, rate.limit - count)
    return Standing(rate.limit, remaining, began_at + rate.window, not rate.limit or count <= rate.limit)
