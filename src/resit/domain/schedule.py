"""Schedules: runs that begin by the clock. What their times are is the word of ``ports.world.Cron``.

A schedule that does not fire when it should is never silent: it has a problem, which is told, listed and counted.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from resit.domain.errors import InvalidInput
from resit.domain.project import check_slug

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|([a-z]+|[0-9]+)(?:-([a-z]+|[0-9]+))?)(?:/([0-9]+))?", re.ASCII)
MAX_TEXT = 200
GRACE_SECONDS = 3600.0
"""How late a schedule still fires, when no server was there at its time."""
LATE_SECONDS = 60.0
"""A run that begins later than this after its time says so."""
OVERDUE_SECONDS = 120.0
"""A schedule whose time is past for so long, and that has neither fired nor said why, is not looked after."""
MOST_COUNTED = 1_000
"""How many missed times are counted one by one."""
OF_ENVIRONMENT = "environment:"
"""The names of environments' own schedules begin so, which those that people choose can't."""


class Overlap(StrEnum):
    """What a schedule does at its time while its run before is still open.

    ``WAIT``: the new run waits for it; if one waits already, the time is missed. ``SKIP``: no run is made.
    ``CANCEL``: the new run takes its place.
    """

    WAIT = "wait"
    SKIP = "skip"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A request that is made again and again, at the times of a cron expression in a zone.

    ``request``: what is asked for, as the services keep it; ``environment_id`` None: the project's default one.
    ``next_at``: when it fires next, None while it is paused. ``last_at``: the time that it fired for last, with
    ``last_run_id``. ``missed``: times that led to no run, since it was made or changed. ``problem``: why it did not
    fire at its last time; empty when it did. ``note``: what else is worth saying of that time.
    """

    id: int
    project_id: int
    environment_id: int | None = None
    name: str
    cron: str
    zone: str = "UTC"
    request: str = ""
    overlap: Overlap = Overlap.WAIT
    active: bool = True
    next_at: float | None = None
    last_at: float | None = None
    last_run_id: int | None = None
    missed: int = 0
    problem: str = ""
    note: str = ""
    created_by: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def of_environment(self) -> bool:
        """True for what follows from an environment's cron expression: it is changed there."""
        return self.name.startswith(OF_ENVIRONMENT)

    @property
    def group(self) -> str:
        """The concurrency group of its runs, when they are not to overlap and name no other."""
        return f"schedule {self.name}"

    @property
    def actor(self) -> str:
        """Who asks for its runs."""
        return f"schedule {self.name}"


def check_name(name: str) -> str:
    """The name of a schedule that somebody makes, or :class:`InvalidInput`."""
    return check_slug(name, field="name")


def alert(schedule: Schedule, now: float) -> str:
    """Why somebody should look at a schedule; empty when all is well. Who pauses one has looked."""
    if not schedule.active:
        return ""
    late = now - schedule.next_at if schedule.next_at is not None else 0.0
    if not schedule.problem and late > OVERDUE_SECONDS:
        return f"it should have fired {late / 60:.0f} minutes ago: is a control plane at work?"
    return schedule.problem


def check_schedule(text: str, field: str = "schedule") -> str:
    """A cron expression of five fields, or an empty text for none. Raises :class:`InvalidInput`.

    Fields hold ``*``, numbers, three-letter names of months and days, ranges, lists and steps.
    """
    if not text:
        return text
    fields = text.lower().split()
    if len(text) > MAX_TEXT or len(fields) != len(_FIELDS):
        raise InvalidInput(
            f"{text[:80]!r} is no schedule: a cron expression has five fields, like '0 6 * * mon-fri'", field=field
        )
    for said, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        if not all(_fits(part, least, most, names) for part in said.split(",")):
            raise InvalidInput(f"{said[:40]!r} is no {name} of a cron expression", field=field)
    return text


def _fits(part: str, least: int, most: int, names: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if found is None:
        return False
    first, last, step = found.groups()
    if step is not None and (len(step) > 3 or int(step) == 0):
        return False
    numbers = [_number(word, least, names) for word in (first, last) if word is not None]
    return all(number is not None and least <= number <= most for number in numbers) and numbers == sorted(
        number for number in numbers if number is not None
    )


def _number(word: str, least: int, names: tuple[str, ...]) -> int | None:
    if word in names:
        return names.index(word) + least
    return int(word) if word.isdigit() and len(word) < 4 else None
