"""How long a test is expected to take, from how long it took."""

from collections.abc import Sequence

KEPT = 5
"""Durations kept of a test and environment, the newest first."""
FADING = 0.7
"""How much less each older one weighs: of five, the newest two are half of the weight."""


def expected(recent: Sequence[float]) -> float:
    """The exponentially weighted median of some durations in seconds, newest first, at least one.

    A median forgives one bad day, where a mean is off for many runs; weights that fade follow a lasting change within
    two runs.
    """
    weighed = sorted((seconds, FADING**age) for age, seconds in enumerate(recent[:KEPT]))
    half = sum(weight for _, weight in weighed) / 2
    for seconds, weight in weighed:
        half -= weight
        if half <= 0:
            return seconds
    raise ValueError("no duration to expect anything from")
