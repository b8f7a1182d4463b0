"""What the reconciler repairs: it compares what should be with what is. Every action may be repeated."""

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, replace

from resit.domain import ledger
from resit.domain.attempt import LEASE_SECONDS, MAX_LOSSES, AttemptState, BatchState, lapsed
from resit.domain.run import Problem, Run
from resit.domain.status import RunStatus
from resit.ports import ANEW, Clock, Job, Outgoing, Store
from resit.services.desk import QUEUE_SECONDS, Desk
from resit.services.sources import planned_source

IN_VAIN = 3
"""So many shards in a row that came and left without the batches that the broker says it holds: it does not hand them
out. A broker that was killed can come back with a message, and with a consumer that takes it for delivered."""
QUIET = 5.0
"""Seconds without a change after which a run's work is looked for at the broker."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the broker holds of a run, delivered or not."""

    jobs: frozenset[Job]
    batches: frozenset[int]


@dataclass(frozen=True, slots=True)
class Sight:
    """What the reconciler saw: whether anything is open, which runs it ended, and which to look for at the broker."""

    busy: bool
    ended: Sequence[int]
    quiet: Sequence[Run]
    """Nothing has changed in them for a while, or a worker of theirs is silent: work may have got lost."""
    urgent: Set[int] = frozenset()
    """Those of them whose worker is silent."""


class Recovery:
    """Level-triggered: looks at how things are, not at what happened."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._since = clock.now()
        self._in_vain: dict[int, int] = {}

    def blind(self) -> None:
        """Nobody could be heard for a while: silence until now proves nothing."""
        self._since = self._clock.now()

    def look(self) -> Sight:
        """One look at what is open; runs past their deadline are ended."""
        now = self._clock.now()
        with self._store.read() as tx:
            runs = tx.runs.open(now)
            silent = set(tx.batches.silent(now - LEASE_SECONDS)) if runs else set[int]()
            # What the outbox still holds is not lost: to send it once more would make a backlog longer.
            unsent = tx.outbox.runs() if runs else frozenset[int]()
        late = [run.id for run in runs if run.deadline and now > run.deadline]
        for id in late:
            self._time_is_up(id, now)
        still = [run for run in runs if run.id not in unsent]
        open_now = {run.id for run in runs}
        self._in_vain = {id: times for id, times in self._in_vain.items() if id in open_now}
        quiet = [run for run in still if now - run.touched_at > QUIET or run.id in silent]
        return Sight(bool(runs), late, _one_waiting(quiet), silent)

    def _time_is_up(self, id: int, now: float) -> None:
        with self._store.write() as tx:
            desk = Desk(tx, now)
            run = desk.run(id)
            if run.status.open:
                desk.fail(run, _too_late(run))
            desk.file()

    def repair(self, run_id: int, held: Held) -> bool:
        """Hand out anew what a run needs and nobody has; give up what died twice. True when something was done."""
        with self._store.read() as tx:
            # Nearly always nothing is to be done, and then nobody has to wait for it.
            run = tx.runs.get(run_id)
            if run is None or (run.status is RunStatus.RUNNING and self._calm(tx.batches.open(run_id), held)):
                return False
        with self._store.write() as tx:
            desk = Desk(tx, self._clock.now())
            run = desk.run(run_id)
            if run.status is RunStatus.REQUESTED:
                done = self._admit(desk, run)
            elif run.status in (RunStatus.ADMITTED, RunStatus.PLANNING):
                done = self._plan(desk, run, held.jobs)
            elif run.status is RunStatus.RUNNING:
                done = self._batches(desk, run, held)
            else:
                done = False
            desk.file()
            return done

    def _calm(self, states: Sequence[BatchState], held: Held) -> bool:
        """True when each open batch is with a worker that lives, or with the broker and shards to pull it."""
        now = self._clock.now()
        waiting = [s for s in states if s.fence is None or lapsed(s.fence, now, self._since)]
        if not waiting:
            return bool(states)
        shards = any(job.kind == "shard" for job in held.jobs)
        return shards and all(s.fence is None and s.number in held.batches for s in waiting)

    def _admit(self, desk: Desk, run: Run) -> bool:
        project = desk.tx.projects.get(run.project_id)
        if project is None:
            return False
        return desk.admit(project)

    def _plan(self, desk: Desk, run: Run, jobs: Collection[Job]) -> bool:
        if Job("plan", run.id) in jobs:
            return False
        kind = "expand" if planned_source(desk.tx, run) else "plan"
        desk.tx.outbox.add(Outgoing(kind=kind, run_id=run.id, pool=run.pool))
        desk.put(run)
        return True

    def _batches(self, desk: Desk, run: Run, held: Held) -> bool:
        done = waiting = missing = others = False
        for state in desk.tx.batches.open(run.id):
            fence = state.fence
            if fence is not None and not lapsed(fence, desk.now, self._since):
                others = True
                continue
            just_lost = fence is not None and fence.state is AttemptState.RUNNING
            if fence is not None and just_lost:
                desk.tx.batches.save_attempt(replace(fence, state=AttemptState.LOST))
                done = True
            if not desk.tx.ledger.open_of_batch(run.id, state.number):
                # Its worker was lost between its last result and the word of its end, and there is nothing to execute.
                desk.tx.batches.end(run.id, state.number)
                done = True
                continue
            if fence is not None and desk.tx.batches.losses(run.id, state.number) >= MAX_LOSSES:
                # As they were left: what was being executed is told from what had not begun.
                run = self._lose(desk, run, state.number, fence.worker)
                done = True
                continue
            if just_lost:
                rows = desk.tx.ledger.open_of_batch(run.id, state.number)
                run = desk.restart(run, rows)
            waiting = True
            if state.number not in held.batches:
                message = Outgoing(kind="consumer", run_id=run.id, pool=run.pool, number=run.batches_at_once)
                desk.tx.outbox.add(message, replace(message, kind="batch", number=state.number))
                done = missing = True
        if waiting and not any(job.kind == "shard" for job in held.jobs):
            shard = Outgoing(kind="shard", run_id=run.id, pool=run.pool, number=1)
            if self._are_in_vain(run.id, doubtful=not (missing or others)):
                desk.tx.outbox.add(replace(shard, kind="consumer", number=run.batches_at_once, data=ANEW))
            desk.tx.outbox.add(shard)
            done = True
        if done:
            run = desk.put(desk.run(run.id))
        closed = desk.close_if_done(run)
        return done or closed is not run

    def _are_in_vain(self, run_id: int, *, doubtful: bool) -> bool:
        """True when shards have come and left often enough, while nobody had any of the batches that wait."""
        times = self._in_vain.pop(run_id, 0) + 1 if doubtful else 0
        if 0 < times < IN_VAIN:
            self._in_vain[run_id] = times
        return times >= IN_VAIN

    def _lose(self, desk: Desk, run: Run, batch: int, worker: str) -> Run:
        rows = desk.tx.ledger.open_of_batch(run.id, batch)
        words = f"lost: worker {worker} died, and so did the one before" if worker else "lost: two workers died"
        run = desk.move(run, rows, [ledger.lost(row, words) for row in rows])
        desk.tx.batches.end(run.id, batch)
        return run


def complete(run: Run, held: Held) -> bool:
    """True when the broker holds all that a run can need before it has a plan."""
    return run.status in (RunStatus.ADMITTED, RunStatus.PLANNING) and Job("plan", run.id) in held.jobs


def _one_waiting(runs: Sequence[Run]) -> list[Run]:
    """The runs, but of those that wait to be admitted one a project: its repair is a look at all of them."""
    seen: set[int] = set()
    found: list[Run] = []
    for run in runs:
        if run.status is RunStatus.REQUESTED:
            if run.project_id in seen:
                continue
            seen.add(run.project_id)
        found.append(run)
    return found


def _too_late(run: Run) -> Problem:
    if run.started_at is None:
        words = f"no worker took the run within {QUEUE_SECONDS / 3600:.0f} hours: is one running?"
        return Problem(code="no_worker", message=words)
    words = f"the run did not end within its time limit of {run.deadline - run.started_at:.0f} s"
    return Problem(code="time_limit", message=words)
