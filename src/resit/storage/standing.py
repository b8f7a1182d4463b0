"""How a server stands, by questions that cost little whatever the database holds: only what is open is looked at."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, literal, or_, select
from sqlalchemy.pool import QueuePool

from resit.domain.fleet import ALIVE_SECONDS
from resit.domain.schedule import OVERDUE_SECONDS
from resit.domain.status import RunStatus
from resit.ports.telemetry import PoolStanding, Standing
from resit.storage import tables
from resit.storage.connect import transaction
from resit.storage.rows import loads

MOST_COUNTED = 10_000
_OPEN = [status.value for status in RunStatus if status.open]
_UNBEGUN = [RunStatus.REQUESTED.value, RunStatus.ADMITTED.value]


class SqlStandings:
    """See ``resit.ports.telemetry.Standings``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def standing(self, now: float) -> Standing:
        """How the server stands. Raises :class:`Unavailable`."""
        outbox, notices = tables.outbox, tables.notices
        with transaction(self._engine, write=False) as db:
            active, troubled, missed = _schedules(db, now)
            return Standing(
                runs=_runs(db),
                oldest_wait=_oldest_wait(db, now),
                pools=_pools(db, now),
                outbox=_some(db, select(outbox.c.id)),
                outbox_first=db.execute(select(func.min(outbox.c.id))).scalar() or 0,
                notices=_some(db, select(notices.c.id)),
                notices_failing=_some(db, select(notices.c.id).where(notices.c.attempts > 0)),
                schedules=active,
                schedules_troubled=troubled,
                schedules_missed=missed,
            )

    def connections(self) -> tuple[int, int]:
        """The connections of this process to the database: in use, and idle."""
        pool = self._engine.pool
        return (pool.checkedout(), pool.checkedin()) if isinstance(pool, QueuePool) else (0, 0)

    @property
    def kind(self) -> str:
        """Which database it is: ``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name


def _some(db: Connection, query: Select[Any]) -> int:
    """How many rows there are, counted up to :data:`MOST_COUNTED`."""
    return db.execute(select(func.count()).select_from(query.limit(MOST_COUNTED).subquery())).scalar_one()


def _runs(db: Connection) -> dict[str, int]:
    table = tables.runs
    query = select(table.c.status, func.count()).where(table.c.status.in_(_OPEN)).group_by(table.c.status)
    return {**dict.fromkeys(_OPEN, 0), **{row[0]: row[1] for row in db.execute(query)}}


def _oldest_wait(db: Connection, now: float) -> float:
    table = tables.runs
    since = func.coalesce(table.c.start_at, table.c.created_at)
    due = or_(table.c.start_at.is_(None), table.c.start_at <= now)
    first = db.execute(select(func.min(since)).where(table.c.status.in_(_UNBEGUN), due)).scalar()
    return 0.0 if first is None else max(0.0, now - first)


def _pools(db: Connection, now: float) -> dict[str, PoolStanding]:
    table = tables.workers
    found: dict[str, PoolStanding] = {}
    for row in db.execute(select(table).where(table.c.seen_at >= now - ALIVE_SECONDS)).mappings():
        known = found.get(row["pool"], PoolStanding())
        draining = bool(row["draining"])
        found[row["pool"]] = replace(
            known,
            workers=known.workers + (not draining),
            draining=known.draining + draining,
            slots=known.slots + row["slots"],
            busy=known.busy + min(row["slots"], len(loads(row["holding"], []))),
            versions=known.versions | {row["version"]},
        )
    for pool, number in _waiting(db):
        known = found.get(pool, PoolStanding())
        found[pool] = replace(known, waiting=known.waiting + number)
    return found


def _waiting(db: Connection) -> list[tuple[str, int]]:
    """Runs whose plan nobody makes yet, and batches that nobody has taken, by pool."""
    runs, batches = tables.runs, tables.batches
    jobs = select(runs.c.pool, func.count()).where(runs.c.status == RunStatus.ADMITTED.value).group_by(runs.c.pool)
    free = and_(batches.c.run_id == runs.c.id, batches.c.ended.is_(False), batches.c.fence.is_(None))
    work = select(runs.c.pool, func.count(literal(1))).join_from(runs, batches, free)
    work = work.where(runs.c.status == RunStatus.RUNNING.value).group_by(runs.c.pool)
    return [(row[0], row[1]) for query in (jobs, work) for row in db.execute(query)]


def _schedules(db: Connection, now: float) -> tuple[int, int, int]:
    table = tables.schedules
    troubled = or_(table.c.problem != "", table.c.next_at < now - OVERDUE_SECONDS)
    query = select(
        func.count(),
        func.count().filter(troubled),
        func.coalesce(func.sum(table.c.missed), 0),
    ).where(table.c.active.is_(True))
    row = db.execute(query).one()
    return row[0], row[1], row[2]
