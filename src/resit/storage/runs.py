"""Store of runs."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, func, insert, select, update

from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.storage import rows, tables

_OPEN = [status.value for status in RunStatus if status.open]


# Made once: to make them anew for each of fifty columns costs more than to execute them.
_INSERT = insert(tables.runs).returning(tables.runs.c.id)
_UPDATE = (
    update(tables.runs)
    .where(tables.runs.c.id == bindparam("b_id"))
    .values({column.name: bindparam(column.name) for column in tables.runs.c if column.name != "id"})
)


class Runs:
    """See ``resit.ports.storage.RunStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, run: Run) -> Run:
        found = self._db.execute(_INSERT, rows.run_values(run))
        return replace(run, id=found.scalar_one())

    def get(self, id: int) -> Run | None:
        row = self._db.execute(select(tables.runs).where(tables.runs.c.id == id)).mappings().first()
        return rows.run(row) if row else None

    def by_uuid(self, uuid: str) -> int | None:
        return self._db.execute(select(tables.runs.c.id).where(tables.runs.c.uuid == uuid)).scalar()

    def save(self, run: Run) -> None:
        self._db.execute(_UPDATE, {"b_id": run.id, **rows.run_values(run)})

    def open(self) -> Sequence[Run]:
        query = select(tables.runs).where(tables.runs.c.status.in_(_OPEN)).order_by(tables.runs.c.id)
        return [rows.run(row) for row in self._db.execute(query).mappings()]

    def open_of_project(self, project_id: int) -> Sequence[Run]:
        table = tables.runs
        query = select(table).where(table.c.project_id == project_id, table.c.status.in_(_OPEN)).order_by(table.c.id)
        return [rows.run(row) for row in self._db.execute(query).mappings()]

    def made_since(self, at: float) -> int:
        query = select(func.count()).select_from(tables.runs).where(tables.runs.c.created_at >= at)
        return self._db.execute(query).scalar_one()

    def remembered(self, key: str) -> tuple[str, int] | None:
        table = tables.requests
        row = self._db.execute(select(table.c.digest, table.c.run_id).where(table.c.key == key)).first()
        return (row[0], row[1]) if row else None

    def remember(self, key: str, digest: str, run_id: int, now: float) -> None:
        self._db.execute(insert(tables.requests).values(key=key, digest=digest, run_id=run_id, created_at=now))
