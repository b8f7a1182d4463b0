"""Which waiting runs may go ahead: the project's limit and the concurrency groups. First come, first served."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from resit.domain.errors import InvalidInput
from resit.domain.run import Run
from resit.domain.status import RunStatus

MAX_GROUP = 512
"""Characters of a group's name (Empirical, study 2.4)."""


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


def admissible(opened: Sequence[Run], limit: int) -> list[Run]:
    """The waiting runs that may go ahead now, of all open runs of one project, oldest first.

    ``limit``: runs at work at a time; 0 for no limit. A run that waits for its group holds up nobody else.
    """
    working = sum(run.status is not RunStatus.REQUESTED for run in opened)
    busy = {run.group for run in opened if run.group and run.status is not RunStatus.REQUESTED}
    found: list[Run] = []
    for run in sorted(opened, key=lambda run: run.id):
        if run.status is not RunStatus.REQUESTED:
            continue
        if limit and working >= limit:
            break
        if run.group in busy:
            continue
        found.append(run)
        working += 1
        if run.group:
            busy.add(run.group)
    return found


def superseded(opened: Sequence[Run], run: Run) -> list[Run]:
    """The earlier open runs of the group of ``run``, which it takes the place of."""
    return [other for other in opened if run.group and other.group == run.group and other.id < run.id]
