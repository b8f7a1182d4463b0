"""When schedules fire next, and the schedules that follow from environments' own cron expressions."""

from dataclasses import dataclass, replace

from resit.domain.errors import InvalidInput
from resit.domain.project import Environment
from resit.domain.schedule import GRACE_SECONDS, MOST_COUNTED, OF_ENVIRONMENT, Schedule, check_schedule
from resit.ports import Cron, Transaction


@dataclass(frozen=True, slots=True)
class Lapse:
    """What is due of a schedule: the time to fire for (None: all are too long ago), how many times are missed besides
    it, and when it fires next."""

    at: float | None
    missed: int
    next_at: float | None


def lapse(cron: Cron, schedule: Schedule, now: float) -> Lapse:
    """What is due of a schedule whose next time has come. Raises :class:`InvalidInput` if nobody can tell any more."""
    first = now if schedule.next_at is None else schedule.next_at
    later = cron.times(schedule.cron, schedule.zone, first, MOST_COUNTED, now)
    latest = later[-1] if later else first
    if len(later) == MOST_COUNTED:
        recent = cron.times(schedule.cron, schedule.zone, now - GRACE_SECONDS, MOST_COUNTED, now)
        latest = recent[-1] if recent else latest
    following = next_time(cron, schedule, now)
    if now - latest > GRACE_SECONDS:
        return Lapse(None, len(later) + 1, following)
    return Lapse(latest, len(later), following)


def next_time(cron: Cron, schedule: Schedule, now: float) -> float | None:
    """When an active schedule fires next; None for one that is paused, or never fires again."""
    found = cron.times(schedule.cron, schedule.zone, now, 1) if schedule.active else ()
    return found[0] if found else None


def check_times(cron: Cron, expression: str, zone: str, field: str) -> None:
    """Raise :class:`InvalidInput` for what never fires."""
    if not check_schedule(expression, field):
        raise InvalidInput("a schedule has a cron expression of five fields, like '0 6 * * mon-fri'", field=field)
    cron.check(expression, zone)


def follow(tx: Transaction, cron: Cron, environment: Environment, now: float) -> None:
    """Make, change or take away the schedule of an environment, so that it is as the environment says.

    A disabled environment's is paused. Raises :class:`InvalidInput` for an expression that never comes.
    """
    known = tx.schedules.of_environment(environment.id)
    if not environment.schedule:
        if known is not None:
            tx.schedules.remove(known.id)
        return
    check_times(cron, environment.schedule, "UTC", "schedule")
    before = known or Schedule(
        id=0,
        project_id=environment.project_id,
        environment_id=environment.id,
        name="",
        cron="",
        created_by="its environment",
        created_at=now,
    )
    wanted = replace(
        before,
        name=f"{OF_ENVIRONMENT}{environment.slug}",
        cron=environment.schedule,
        active=not environment.disabled,
    )
    if wanted == known:
        return
    wanted = replace(wanted, next_at=next_time(cron, wanted, now), problem="", note="", missed=0, updated_at=now)
    if known is None:
        tx.schedules.add(wanted)
    else:
        tx.schedules.save(wanted)
