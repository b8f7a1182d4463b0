"""Stores of workers, their pools and credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from resit.domain.fleet import ALIVE_SECONDS, MAX_HOLDING, Holding, Pool, Worker, WorkerCredential
from resit.domain.status import RunStatus
from resit.ports.fleet import PoolUse
from resit.storage import tables
from resit.storage.dialect import held, upsert
from resit.storage.rows import AnyRow, dumps, loads

_OPEN = [status.value for status in RunStatus if status.open]
_LISTED = 20
"""Environments of a pool that are named, at most."""


class Workers:
    """See ``resit.ports.fleet.WorkerStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def seen(self, worker: Worker) -> None:
        table = tables.workers
        values = _worker_values(worker)
        statement = upsert(self._db, table).values(values)
        mine = or_(table.c.pool == worker.pool, table.c.seen_at < worker.seen_at - ALIVE_SECONDS)
        self._db.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values, where=mine))

    def gone(self, name: str, pool: str) -> None:
        table = tables.workers
        self._db.execute(delete(table).where(table.c.name == name, table.c.pool == pool))

    def forget(self, before: float) -> None:
        self._db.execute(delete(tables.workers).where(tables.workers.c.seen_at < before))

    def all(self, since: float) -> Sequence[Worker]:
        table = tables.workers
        query = select(table).where(table.c.seen_at >= since).order_by(table.c.pool, table.c.name)
        return [_worker(row) for row in self._db.execute(query).mappings()]

    def alive(self, pool: str, since: float) -> int:
        table = tables.workers
        query = select(func.count()).select_from(table).where(table.c.pool == pool, *_takes_work(since))
        return self._db.execute(query).scalar_one()

    def alive_by_pool(self, since: float) -> Mapping[str, int]:
        table = tables.workers
        query = select(table.c.pool, func.count()).where(*_takes_work(since)).group_by(table.c.pool)
        return {row[0]: row[1] for row in self._db.execute(query)}


def _takes_work(since: float) -> tuple[Any, Any]:
    return tables.workers.c.seen_at >= since, tables.workers.c.draining.is_(False)


def _worker(row: AnyRow) -> Worker:
    values: dict[str, Any] = {name: row[name] for name in Worker.__dataclass_fields__}
    values["labels"] = loads(row["labels"], {})
    values["holding"] = tuple(Holding(*place) for place in loads(row["holding"], []))
    return Worker(**values)


def _worker_values(value: Worker) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(value, name) for name in Worker.__dataclass_fields__}
    holding = [[at.run, at.shard, at.batch, at.since] for at in value.holding[:MAX_HOLDING]]
    return {
        **values,
        "labels": dumps(dict(value.labels)) if value.labels else "",
        "holding": dumps(holding) if holding else "",
    }


class Pools:
    """See ``resit.ports.fleet.PoolStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, pool: Pool) -> None:
        self._db.execute(insert(tables.pools).values(_pool_values(pool)))

    def get(self, name: str) -> Pool | None:
        row = self._db.execute(select(tables.pools).where(tables.pools.c.name == name)).mappings().first()
        return _pool(row) if row else None

    def save(self, pool: Pool) -> None:
        values = _pool_values(pool)
        statement = upsert(self._db, tables.pools).values(values)
        self._db.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))

    def remove(self, name: str) -> None:
        self._db.execute(delete(tables.pools).where(tables.pools.c.name == name))

    def all(self) -> Sequence[Pool]:
        query = select(tables.pools).order_by(tables.pools.c.name)
        return [_pool(row) for row in self._db.execute(query).mappings()]

    def use(self, name: str, now: float) -> PoolUse:
        projects, environments = tables.projects, tables.environments
        named = (
            select(projects.c.slug, environments.c.slug)
            .join_from(environments, projects, environments.c.project_id == projects.c.id)
            .where(environments.c.pool == name)
            .order_by(projects.c.slug, environments.c.slug)
            .limit(_LISTED)
        )
        runs = select(func.count()).select_from(tables.runs)
        runs = runs.where(tables.runs.c.pool == name, tables.runs.c.status.in_(_OPEN))
        kept = tables.worker_credentials
        valid = or_(kept.c.expires_at.is_(None), kept.c.expires_at > now)
        credentials = select(func.count()).select_from(kept)
        credentials = credentials.where(kept.c.pool == name, kept.c.revoked_at.is_(None), valid)
        return PoolUse(
            [f"{project}/{environment}" for project, environment in self._db.execute(named)],
            self._db.execute(runs).scalar_one(),
            self._db.execute(credentials).scalar_one(),
        )


def _pool(row: AnyRow) -> Pool:
    values: dict[str, Any] = {name: row[name] for name in Pool.__dataclass_fields__}
    return Pool(**{**values, "labels": loads(row["labels"], {})})


def _pool_values(value: Pool) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(value, name) for name in Pool.__dataclass_fields__}
    return {**values, "labels": dumps(dict(value.labels)) if value.labels else ""}


class WorkerCredentials:
    """See ``resit.ports.fleet.WorkerCredentialStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._table = tables.worker_credentials

    def add(self, value: WorkerCredential) -> WorkerCredential:
        statement = insert(self._table).values(_credential_values(value)).returning(self._table.c.id)
        return replace(value, id=self._db.execute(statement).scalar_one())

    def get(self, id: int) -> WorkerCredential | None:
        query = held(self._db, select(self._table).where(self._table.c.id == id))
        row = self._db.execute(query).mappings().first()
        return _credential(row) if row else None

    def by_prefix(self, prefix: str) -> Sequence[WorkerCredential]:
        query = select(self._table).where(self._table.c.prefix == prefix).order_by(self._table.c.id)
        return [_credential(row) for row in self._db.execute(query).mappings()]

    def all(self) -> Sequence[WorkerCredential]:
        query = select(self._table).order_by(self._table.c.id)
        return [_credential(row) for row in self._db.execute(query).mappings()]

    def save(self, value: WorkerCredential) -> None:
        self._db.execute(update(self._table).where(self._table.c.id == value.id).values(_credential_values(value)))


def _credential(row: AnyRow) -> WorkerCredential:
    return WorkerCredential(**{name: row[name] for name in WorkerCredential.__dataclass_fields__})


def _credential_values(value: WorkerCredential) -> dict[str, Any]:
    return {name: getattr(value, name) for name in WorkerCredential.__dataclass_fields__ if name != "id"}
