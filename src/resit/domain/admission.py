"""Which waiting runs may go ahead: their time, the project's limit, the concurrency groups, and who goes first.

Runs go in the order of their priority, then of their age: who has waited longest, counted from the time at which it was
allowed to start. Priority is strict and nobody's grows by waiting: as long as runs of a higher one keep coming, a lower
one waits, and says so (domain/waiting.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from resit.domain.errors import InvalidInput
from resit.domain.status import RunStatus

MAX_GROUP = 512
"""Characters of a group's name (Empirical, study 2.4)."""
MAX_PRIORITY = 100
"""Priorities are whole numbers from minus this to this."""
MAX_AHEAD = 366 * 86400.0
"""Seconds; how far ahead a run can be delayed."""


class OnConflict(StrEnum):
    """What a run does about an earlier open run of its group: let it end first, or cancel it."""

    WAIT = "wait"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Concurrency:
    """A name that runs of one project share; at most one of them is at work at a time."""

    group: str = ""
    on_conflict: OnConflict = OnConflict.WAIT

    def check(self) -> None:
        """Raise :class:`InvalidInput` for a name that is too long."""
        if len(self.group) > MAX_GROUP:
            raise InvalidInput(f"a concurrency group's name has at most {MAX_GROUP} characters", field="concurrency")


class Queued(Protocol):
    """What admission looks at in an open run: a :class:`~resit.domain.run.Run` has it, and so has a :class:`Place`."""

    @property
    def id(self) -> int: ...
    @property
    def status(self) -> RunStatus: ...
    @property
    def group(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def start_at(self) -> float | None: ...
    @property
    def created_at(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An open run, in short: no more than is needed to know whose turn it is."""

    id: int
    status: RunStatus
    group: str = ""
    priority: int = 0
    start_at: float | None = None
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Hold:
    """What a waiting run waits for: another run of its group, or else the project's limit, which ``ahead`` others reach
    before it."""

    run: int | None = None
    ahead: int = 0


Q = TypeVar("Q", bound=Queued)


def check_priority(priority: int, field: str = "priority") -> None:
    """Raise :class:`InvalidInput` for what is no priority."""
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInput(f"{field}: a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}", field=field)


def check_start(start_at: float | None, now: float) -> None:
    """Raise :class:`InvalidInput` for a start that is too far away. One in the past means at once."""
    if start_at is not None and not 0.0 <= start_at <= now + MAX_AHEAD:  # nor is "no number" (NaN) a time
        raise InvalidInput("start_at: a run starts within 366 days; use a schedule for what repeats", field="start_at")


def rank(priority: int) -> int:
    """1, 0 or -1: what a priority is worth to those who know no more than before, between and after the others."""
    return (priority > 0) - (priority < 0)


def due(run: Queued, now: float) -> bool:
    """True when the time has come that a run was delayed to, if it was."""
    return run.start_at is None or run.start_at <= now


def in_order(runs: Iterable[Q]) -> list[Q]:
    """Runs in the order in which they go: the highest priority, then who could have started first."""
    return sorted(runs, key=lambda run: (-run.priority, max(run.created_at, run.start_at or 0.0), run.id))


def turns(opened: Sequence[Q], limit: int, now: float) -> Iterator[tuple[Q, Hold | None]]:
    """Each waiting run whose time has come, in order, with what holds it up; None: it may go ahead now.

    ``opened``: all open runs of one project. ``limit``: runs at work at a time; 0 for no limit. A run that waits for
    its group holds up nobody else, and neither does one whose time has not come.
    """
    working = sum(run.status is not RunStatus.REQUESTED for run in opened)
    busy = {run.group: run.id for run in opened if run.group and run.status is not RunStatus.REQUESTED}
    ahead = 0
    for run in in_order(run for run in opened if run.status is RunStatus.REQUESTED and due(run, now)):
        if run.group in busy:
            yield run, Hold(run=busy[run.group])
            continue
        if run.group:
            # From here on it is the first of its group, even if it waits for the limit.
            busy[run.group] = run.id
        if limit and working >= limit:
            yield run, Hold(ahead=ahead)
            ahead += 1
            continue
        working += 1
        yield run, None


def admissible(opened: Sequence[Q], limit: int, now: float) -> list[Q]:
    """The waiting runs that may go ahead now, of all open runs of one project, in order; see :func:`turns`."""
    return [run for run, hold in turns(opened, limit, now) if hold is None]


def superseded(opened: Sequence[Q], run: Queued) -> list[Q]:
    """The earlier open runs of the group of ``run``, which it takes the place of."""
    return [other for other in opened if run.group and other.group == run.group and other.id < run.id]
