"""Runs that wait: what for, and how to change whose turn it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from resit.domain.access import Principal, Scope
from resit.domain.admission import Queued, check_priority, check_start
from resit.domain.errors import Conflict
from resit.domain.fleet import ALIVE_SECONDS
from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.domain.waiting import why_waiting
from resit.ports import Clock, Ids, Store
from resit.services.desk import Desk
from resit.services.runs import find_run


class Queue:
    """See the module."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store, self._clock, self._ids = store, clock, ids

    def admit_due(self, after: float) -> tuple[Sequence[int], float]:
        """Let delayed runs go ahead whose time came after ``after``, as far as their projects allow.

        Returns the runs that changed, and until when this has looked: the next time begins there. Who has to wait for
        something else then is let go ahead by its end, like any other run.
        """
        now = self._clock.now()
        with self._store.read() as tx:
            projects = tx.runs.come_due(after, now)
        changed: list[int] = []
        for id in projects:
            with self._store.write() as tx:
                desk = Desk(tx, now)
                project = tx.projects.get(id)
                if project is not None and desk.admit(project):
                    changed += desk.file()
        return changed, now

    def soon(self, seconds: float) -> bool:
        """True when a delayed run's time comes within so many seconds."""
        now = self._clock.now()
        with self._store.read() as tx:
            return bool(tx.runs.come_due(now, now + seconds))

    def change(
        self,
        principal: Principal,
        name: str | int,
        *,
        priority: int | None = None,
        start_at: float | None = None,
        at_once: bool = False,
    ) -> Run:
        """Give a waiting run another priority, or another time to start at (``at_once``: now). None: as it was.

        Raises :class:`Conflict` for a run that does not wait any more, :class:`InvalidInput`, :class:`NotFound`.
        """
        principal.need(Scope.RUNS_WRITE)
        now = self._clock.now()
        if priority is not None:
            check_priority(priority)
        check_start(start_at, now)
        with self._store.write() as tx:
            desk = Desk(tx, now)
            run = desk.run(find_run(tx, self._ids, principal, name).id)
            if run.status is not RunStatus.REQUESTED:
                raise Conflict(
                    f"run {run.id} does not wait any more, it is {run.status}: only runs that wait are changed",
                    status=run.status.value,
                )
            run = desk.put(
                replace(
                    run,
                    priority=run.priority if priority is None else priority,
                    start_at=None if at_once else run.start_at if start_at is None else start_at,
                )
            )
            project = tx.projects.get(run.project_id)
            if project is not None:
                desk.admit(project)
            desk.file()
            return desk.run(run.id)

    def waiting_for(self, runs: Iterable[Run]) -> Mapping[int, str]:
        """What each of some runs waits for, in words, by its number; those that wait for nothing are left out."""
        now = self._clock.now()
        wanted = [run for run in runs if run.status.open]
        if not wanted:
            return {}
        queues: dict[int, tuple[Sequence[Queued], int]] = {}
        alive: dict[str, int] = {}
        found: dict[int, str] = {}
        with self._store.read() as tx:
            for run in wanted:
                if run.pool not in alive:
                    alive[run.pool] = tx.workers.alive(run.pool, now - ALIVE_SECONDS)
                if run.status is RunStatus.REQUESTED and run.project_id not in queues:
                    project = tx.projects.get(run.project_id)
                    queues[run.project_id] = (tx.runs.queue(run.project_id), project.max_runs if project else 0)
                opened, limit = queues.get(run.project_id, ((), 0))
                words = why_waiting(run, opened, limit, now, pool=run.pool, workers=alive[run.pool])
                if words:
                    found[run.id] = words
        return found
