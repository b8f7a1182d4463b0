"""Schedules: made, changed, and fired when their time has come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from resit.domain.access import Principal, Scope
from resit.domain.admission import Concurrency, OnConflict
from resit.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound, ResitError, Suspended, Unavailable
from resit.domain.project import Project, check_text
from resit.domain.run import Run, Via
from resit.domain.schedule import (
    GRACE_SECONDS,
    LATE_SECONDS,
    OVERDUE_SECONDS,
    Overlap,
    Schedule,
    alert,
    check_name,
)
from resit.domain.status import RunStatus
from resit.domain.webhook import Notice, WebhookEvent, payload
from resit.ports import Clock, Cron, ScheduleView, Store, Transaction
from resit.services.catalog import find_project
from resit.services.owned import find_owned
from resit.services.requests import MAX_NUMBER, Request, from_kept, kept
from resit.services.runs import Runs
from resit.services.timetable import Lapse, check_times, follow, lapse, next_time

MAX_SCHEDULES = 500
"""Schedules of a project."""
AT_ONCE = 100
"""Schedules that are fired in one look; the others follow in the next."""
CHANGES = ("name", "cron", "zone", "overlap", "active", "environment", "request")
"""What can be changed of a schedule."""
OWN_CHANGES = ("overlap", "active", "request")
"""What can be changed of an environment's own."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a schedule at its time: a run, or why there is none.

    ``problem`` is for people to look at; ``note`` tells of what was to be expected.
    """

    schedule: Schedule
    run: Run | None = None
    problem: str = ""
    note: str = ""


class Schedules:
    """See the module. Reading and writing need runs:read and runs:write."""

    def __init__(self, store: Store, clock: Clock, runs: Runs, cron: Cron) -> None:
        self._store, self._clock, self._runs, self._cron = store, clock, runs, cron

    # ---------------------------------------------------------------- kept

    def add(
        self,
        principal: Principal,
        project: str,
        *,
        name: str,
        cron: str,
        zone: str = "UTC",
        overlap: Overlap = Overlap.WAIT,
        active: bool = True,
        request: Request,
    ) -> ScheduleView:
        """Have a request made again and again.

        Raises :class:`AlreadyExists`, :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        check_name(name)
        check_times(self._cron, cron, zone, "cron")
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            found = find_project(tx, principal, project)
            _need_name(tx, found, name)
            if len(tx.schedules.of_project(found.id)) >= MAX_SCHEDULES:
                raise InvalidInput(f"a project has at most {MAX_SCHEDULES} schedules: remove one")
            made = Schedule(
                id=0,
                project_id=found.id,
                name=name,
                cron=cron,
                zone=zone,
                overlap=overlap,
                active=active,
                created_by=principal.name,
                created_at=now,
                updated_at=now,
            )
            made = self._asking(tx, principal, found, made, request)
            made = replace(made, next_at=next_time(self._cron, made, now))
            return _view(tx, tx.schedules.add(made).id)

    def change(self, principal: Principal, id: int, changes: Mapping[str, Any]) -> ScheduleView:
        """Change some of ``CHANGES``; members that are absent stay. What was wrong before is then forgotten.

        ``environment`` is a slug (empty: the default one), ``request`` the whole new request. Raises
        :class:`AlreadyExists`, :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        now = self._clock.now()
        with self._store.write(alone=True) as tx:
            before, project = self._owned(tx, principal, id)
            request = _kept(tx, before)
            if changes.get("environment") == request.environment:
                changes = {key: value for key, value in changes.items() if key != "environment"}
            _check_changes(before, changes)
            words = {key: value for key, value in changes.items() if key not in ("environment", "request")}
            changed = replace(before, **words, updated_at=now, missed=0, problem="", note="")
            if changed.name != before.name:
                check_name(changed.name)
                _need_name(tx, project, changed.name)
            check_times(self._cron, changed.cron, changed.zone, "cron")
            if "request" in changes:
                request = replace(changes["request"], environment=request.environment)
            if "environment" in changes:
                request = replace(request, environment=changes["environment"])
            changed = self._asking(tx, principal, project, changed, request)
            if (changed.cron, changed.zone, changed.active) != (before.cron, before.zone, before.active):
                changed = replace(changed, next_at=next_time(self._cron, changed, now))
            tx.schedules.save(changed)
            return _view(tx, id)

    def get(self, principal: Principal, id: int) -> ScheduleView:
        """A schedule within reach. Raises :class:`NotFound`."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            return _view(tx, self._owned(tx, principal, id)[0].id)

    def page(self, principal: Principal, project: str, after: int, limit: int) -> Sequence[ScheduleView]:
        """The schedules within reach (of a project, if one is named) with greater numbers than ``after``."""
        principal.need(Scope.RUNS_READ)
        with self._store.read() as tx:
            project_id = find_project(tx, principal, project).id if project else principal.project_id
            return tx.schedules.views(project_id, after, limit)

    def remove(self, principal: Principal, id: int) -> None:
        """Take a schedule away; its runs stay. Raises :class:`InvalidInput`, :class:`NotFound`."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write(alone=True) as tx:
            found, _ = self._owned(tx, principal, id)
            if found.of_environment:
                raise InvalidInput(_OWN)
            tx.schedules.remove(found.id)

    def upcoming(self, schedule: Schedule, number: int) -> Sequence[datetime]:
        """The next times of an active schedule, as clocks in its zone show them."""
        if schedule.next_at is None:
            return []
        following = self._cron.times(schedule.cron, schedule.zone, schedule.next_at, number - 1)
        return [self._cron.local(time, schedule.zone) for time in (schedule.next_at, *following)]

    def request(self, schedule: Schedule) -> Request:
        """What a schedule asks for, but for its environment."""
        return from_kept(schedule.request)

    def alert(self, schedule: Schedule) -> str:
        """Why somebody should look at a schedule; empty when all is well."""
        return alert(schedule, self._clock.now())

    def alerts(self) -> Sequence[tuple[Schedule, str]]:
        """The schedules of all projects that somebody should look at, each with the reason: for metrics and checks."""
        now = self._clock.now()
        with self._store.read() as tx:
            found = tx.schedules.troubled(now - OVERDUE_SECONDS)
        return [(schedule, words) for schedule in found if (words := alert(schedule, now))]

    # ---------------------------------------------------------------- fired

    def start(self, principal: Principal, id: int, key: str = "") -> tuple[Run, bool]:
        """Make the run of a schedule now, whatever its times are; see ``Runs.trigger``."""
        principal.need(Scope.RUNS_WRITE)
        with self._store.write(alone=True) as tx:
            schedule, project = self._owned(tx, principal, id)
            request = replace(self._request(tx, schedule), via=Via.MANUAL)
            run, new = self._runs.trigger_in(tx, principal, project.slug, request, key)
            if new:
                tx.schedules.save(replace(schedule, last_run_id=run.id, problem=""))
            return run, new

    def adopt(self) -> int:
        """Give environments their schedules that had a cron expression before there were schedules; tells how many."""
        now = self._clock.now()
        with self._store.read() as tx:
            if not tx.schedules.unscheduled():
                return 0
        number = 0
        with self._store.write(alone=True) as tx:
            for environment in tx.schedules.unscheduled():
                try:
                    follow(tx, self._cron, environment, now)
                    number += 1
                except InvalidInput:
                    # It was taken before anybody asked for its times, and it has none.
                    continue
        return number

    def due(self) -> Sequence[Schedule]:
        """The schedules whose time has come."""
        with self._store.read() as tx:
            return tx.schedules.due(self._clock.now(), AT_ONCE)

    def soon(self, seconds: float) -> bool:
        """True when a schedule is due within so many seconds."""
        with self._store.read() as tx:
            return bool(tx.schedules.due(self._clock.now() + seconds, 1))

    def fire(self, schedule: Schedule) -> Fired | None:
        """Make the run that is due; None when another control plane did, or the schedule was changed meanwhile.

        The run, and the next time of the schedule, are one transaction: it fires once for each time, whoever does it
        and whatever dies. Raises only what may be over soon (``Unavailable``, and faults): then it is still due.
        """
        now = self._clock.now()
        try:
            found = lapse(self._cron, schedule, now)
        except InvalidInput as error:
            return self._missed(schedule, Lapse(None, 1, None), error.message, now)
        if found.at is None:
            minutes = GRACE_SECONDS / 60
            words = f"no control plane was at work at its time, nor within {minutes:.0f} minutes after it"
            return self._missed(schedule, found, words, now)
        try:
            with self._store.write(alone=True) as tx:
                return self._begin(tx, schedule, found, found.at, now)
        except Unavailable:
            raise
        except ResitError as error:
            return self._missed(schedule, replace(found, missed=found.missed + 1), error.message, now)

    def _begin(self, tx: Transaction, schedule: Schedule, found: Lapse, at: float, now: float) -> Fired | None:
        fresh = _taken(tx, schedule, found)
        if fresh is None:
            return None
        project = tx.projects.get(fresh.project_id)
        if project is None:
            raise NotFound("its project is gone")
        if tx.organization.get().suspended:
            raise Suspended("the organization is suspended: the operator ends that with `resit org set --no-suspended`")
        kept_up = replace(fresh, next_at=found.next_at, last_at=at, missed=fresh.missed + found.missed, problem="")
        told = self._said(at, fresh)
        earlier = tx.runs.open_of_schedule(fresh.id)
        if earlier and fresh.overlap is Overlap.SKIP:
            note = f"skipped at {told}: run {earlier[-1].id} was still open"
            tx.schedules.save(replace(kept_up, note=note))
            return Fired(fresh, note=note)
        waiting = [place.id for place in earlier if place.status is RunStatus.REQUESTED]
        if waiting and fresh.overlap is Overlap.WAIT:
            raise Conflict(f"run {waiting[-1]} of an earlier time still waits: runs would pile up behind it")
        note = f"begun {(now - at) / 60:.0f} minutes after {told}" if now - at > LATE_SECONDS else ""
        request = replace(self._request(tx, fresh), via=Via.SCHEDULE)
        if note and not request.reason:
            request = replace(request, reason=f"due at {told}, {note.partition(' after')[0]} late")
        who = Principal(fresh.actor, project.id, frozenset({Scope.RUNS_WRITE}))
        run, _ = self._runs.trigger_in(tx, who, project.slug, request, f"schedule:{fresh.id}:{at:.0f}")
        tx.schedules.save(replace(kept_up, last_run_id=run.id, note=note))
        return Fired(fresh, run, note=note)

    def _missed(self, schedule: Schedule, found: Lapse, words: str, now: float) -> Fired | None:
        """Note that a schedule did not fire, and tell the project's webhooks when that is news."""
        with self._store.write(alone=True) as tx:
            fresh = _taken(tx, schedule, found)
            if fresh is None:
                return None
            told = self._said(schedule.next_at or now, fresh)
            missed = replace(
                fresh,
                next_at=found.next_at,
                missed=fresh.missed + found.missed,
                problem=words,
                note=f"missed at {told}",
            )
            tx.schedules.save(missed)
            if words != fresh.problem:
                tx.webhooks.post(*_notices(tx, missed, now))
        return Fired(missed, problem=words)

    # ---------------------------------------------------------------- parts

    def _owned(self, tx: Transaction, principal: Principal, id: int) -> tuple[Schedule, Project]:
        found = find_owned(tx.schedules, principal, id, "schedule")
        project = tx.projects.get(found.project_id)
        if project is None:
            raise NotFound("the project of the schedule is gone")
        return found, project

    def _asking(
        self, tx: Transaction, principal: Principal, project: Project, schedule: Schedule, request: Request
    ) -> Schedule:
        """A schedule with its request. While it is active, that is one that could be made now."""
        request.check()
        check_text(request.environment, "environment")
        if schedule.active:
            self._runs.drafted(tx, principal, project, request)
        environment = tx.projects.environment_by_slug(project.id, request.environment) if request.environment else None
        if request.environment and environment is None:
            raise InvalidInput(f"the project has no environment {request.environment[:80]!r}", field="environment")
        return replace(schedule, environment_id=environment.id if environment else None, request=kept(request))

    def _request(self, tx: Transaction, schedule: Schedule) -> Request:
        """What a schedule asks for now."""
        asked = _kept(tx, schedule)
        conflict = OnConflict.CANCEL if schedule.overlap is Overlap.CANCEL else OnConflict.WAIT
        group = asked.concurrency.group or ("" if schedule.overlap is Overlap.SKIP else schedule.group)
        return replace(
            asked,
            concurrency=Concurrency(group, conflict),
            actor=schedule.actor,
            schedule_id=schedule.id,
        )

    def _said(self, time: float, schedule: Schedule) -> str:
        """A time in the schedule's zone, for people."""
        try:
            local = self._cron.local(time, schedule.zone)
        except InvalidInput:
            local = datetime.fromtimestamp(time, UTC)
        return local.strftime("%Y-%m-%d %H:%M %Z")


_OWN = (
    "this schedule follows from its environment: change it there, with `resit env set --schedule`, or over the API "
    "with the environment's `schedule`"
)


def _kept(tx: Transaction, schedule: Schedule) -> Request:
    """What a schedule was told to ask for."""
    environment = tx.projects.environment(schedule.environment_id) if schedule.environment_id else None
    return replace(from_kept(schedule.request), environment=environment.slug if environment else "")


def _need_name(tx: Transaction, project: Project, name: str) -> None:
    if tx.schedules.by_name(project.id, name):
        raise AlreadyExists(f"project {project.slug!r} has a schedule {name!r} already", field="name")


def _check_changes(schedule: Schedule, changes: Mapping[str, Any]) -> None:
    known = OWN_CHANGES if schedule.of_environment else CHANGES
    for name in sorted(set(changes) - set(known)):
        if name in CHANGES:
            raise InvalidInput(_OWN, field=name)
        raise InvalidInput(f"a schedule has no {name[:80]!r}; there are: {', '.join(known)}", field=name[:80])


def _taken(tx: Transaction, schedule: Schedule, found: Lapse) -> Schedule | None:
    """The schedule as it stands, held until the end of the transaction; None when it is not due any more."""
    return tx.schedules.get(schedule.id) if tx.schedules.take(schedule, found.next_at) else None


def _view(tx: Transaction, id: int) -> ScheduleView:
    found = tx.schedules.view(id) if 0 < id < MAX_NUMBER else None
    if found is None:
        raise NotFound(f"no schedule {id}", resource="schedule", id=str(id))
    return found


def _notices(tx: Transaction, schedule: Schedule, now: float) -> Iterator[Notice]:
    event = WebhookEvent.SCHEDULE_FAILED
    said = {"id": schedule.id, "name": schedule.name, "problem": schedule.problem, "missed": schedule.missed}
    words = payload(event, now, schedule=said)
    for webhook in tx.webhooks.of_project(schedule.project_id):
        if webhook.active and event in webhook.events:
            yield Notice(id=0, webhook_id=webhook.id, event=event, payload=words, due_at=now)
