"""Batches and their attempts: who may speak for which tests (product rule 5)."""

from dataclasses import dataclass
from enum import StrEnum

MAX_LOSSES = 2
"""A batch whose second worker dies too is lost (architecture, section 4)."""
LEASE_SECONDS = 10.0
"""How long a worker may be silent before its attempts count as dead."""


class AttemptState(StrEnum):
    """How an attempt stands."""

    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"
    RETURNED = "returned"
    """Its worker went politely and gave the batch back: no loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a batch on one worker. ``claim`` is the random name under which the worker speaks for it."""

    claim: str
    run_id: int
    batch: int
    number: int
    worker: str = ""
    shard: int = 0
    state: AttemptState = AttemptState.RUNNING
    started_at: float = 0.0
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchState:
    """A batch of a run and the attempt that holds its fence (None: nobody has taken it yet)."""

    run_id: int
    number: int
    ended: bool = False
    fence: Attempt | None = None


def lapsed(attempt: Attempt, now: float, watching_since: float) -> bool:
    """True when nobody works on the batch: its worker gave it up, or has been silent for longer than a lease.

    ``watching_since``: when this control plane began to listen; silence before that proves nothing.
    """
    if attempt.state is not AttemptState.RUNNING:
        return attempt.state is not AttemptState.ENDED
    return now - max(attempt.seen_at, watching_since) > LEASE_SECONDS


def used_up(fence: Attempt, losses: int) -> bool:
    """True when a batch that comes back to a worker must not be tried again, after ``losses`` attempts were lost.

    It comes back because the lease of its last attempt ended: one that still counts as running is the next loss.
    """
    return losses + (fence.state is AttemptState.RUNNING) >= MAX_LOSSES
