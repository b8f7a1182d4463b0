"""Numbered reports: what a worker says of a run is taken in its order, each report once, and none is missed.

The broker delivers at least once, to any control plane, and may lose its store. So each report carries the name of its
voice (one worker's share of one run) and a number from 1; the ledger remembers how far a voice was taken. A worker
keeps what has not been confirmed and says it again when it hears that something is missing.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

GAP_SECONDS = 30.0
"""How long a report waits for the ones before it: by then the worker would have said them again, were it alive."""
MOST_SECONDS = 4.0


class Turn(StrEnum):
    """What is to be done with a report."""

    TAKE = "take"
    KNOWN = "known"
    """It was taken before."""
    EARLY = "early"
    """Something before it is missing: it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How far the reports of one worker's share of one run were taken. ``gap``: some before ``taken`` never came."""

    run_id: int
    name: str
    taken: int = 0
    gap: bool = False


def turn(voice: Voice, number: int, age: float) -> Turn:
    """Whether the report of this number, which the broker has held for ``age`` seconds, has its turn."""
    if number <= voice.taken:
        return Turn.KNOWN
    if number == voice.taken + 1 or age > GAP_SECONDS:
        return Turn.TAKE
    return Turn.EARLY


def taken(voice: Voice, number: int) -> Voice:
    """The voice after a report was taken."""
    if number <= voice.taken:
        return voice
    return replace(voice, taken=number, gap=voice.gap or number > voice.taken + 1)


def patience(deliveries: int) -> float:
    """Seconds after which an early report is looked at again: soon at first, since it is most often under way."""
    return min(0.05 * 2 ** max(deliveries - 1, 0), MOST_SECONDS)
