"""What an open run waits for, in words for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from resit.domain.admission import Queued, due, turns
from resit.domain.status import RunStatus


def why_waiting(run: Queued, opened: Sequence[Queued], limit: int, now: float, *, pool: str, workers: int) -> str:
    """What an open run waits for at ``now``; empty when it waits for nothing, as far as can be known.

    ``opened``: all open runs of its project, if the run itself is not admitted yet (else they don't matter), ``limit``:
    how many of them may be at work at a time (0: any number). ``workers``: how many workers of its ``pool`` are alive.
    """
    if not run.status.open:
        return ""
    if run.status is RunStatus.REQUESTED:
        return _before_admission(run, opened, limit, now)
    if not workers:
        return f"waits for a worker of pool {pool!r}: none is alive"
    return f"waits for a free slot of pool {pool!r}" if run.status is RunStatus.ADMITTED else ""


def _before_admission(run: Queued, opened: Sequence[Queued], limit: int, now: float) -> str:
    if run.start_at is not None and not due(run, now):
        return f"starts at {in_utc(run.start_at)}"
    for other, hold in turns(opened, limit, now):
        if other.id != run.id or hold is None:
            continue
        if hold.run is not None:
            return f"waits for run {hold.run} (group {run.group!r})"
        runs = "1 run" if limit == 1 else f"{limit} runs"
        first = f"; {hold.ahead} {'goes' if hold.ahead == 1 else 'go'} before it" if hold.ahead else ""
        return f"waits: the project's limit of {runs} is reached{first}"
    return "waits to be admitted"


def in_utc(time: float) -> str:
    """``2026-12-01 08:00:00 UTC``."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
