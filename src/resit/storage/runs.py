"""Store of runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from resit.domain.admission import Place
from resit.domain.run import Run
from resit.domain.status import RunStatus
from resit.storage import rows, tables
from resit.storage.cases import slices
from resit.storage.dialect import among, hold_word

_OPEN = [status.value for status in RunStatus if status.open]
_WAITING = RunStatus.REQUESTED.value


_OTHERS = ("id", "told_at", "gone", "source_gone")
"""What others than services say of a run."""
# Made once: to make them anew for each of fifty columns costs more than to execute them.
_INSERT = insert(tables.runs).returning(tables.runs.c.id)
_UPDATE = (
    update(tables.runs)
    .where(tables.runs.c.id == bindparam("b_id"))
    .values({column.name: bindparam(column.name) for column in tables.runs.c if column.name not in _OTHERS})
)

_THERE = select(tables.runs).where(~tables.runs.c.gone)
"""The runs that retention does not take apart."""
_ONE = _THERE.where(tables.runs.c.id == bindparam("number", type_=tables.runs.c.id.type))
_PLACES = select(*(tables.runs.c[name] for name in Place.__dataclass_fields__))


def _place(row: rows.AnyRow) -> Place:
    values: dict[str, Any] = {**row}
    values["status"] = RunStatus(row["status"])
    return Place(**values)


class Runs:
    """See ``resit.ports.storage.RunStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, run: Run) -> Run:
        found = self._db.execute(_INSERT, rows.run_values(run))
        return replace(run, id=found.scalar_one())

    def get(self, id: int) -> Run | None:
        row = self._db.execute(_ONE, {"number": id}).mappings().first()
        return rows.run(row) if row else None

    def some(self, ids: Collection[int]) -> Mapping[int, Run]:
        found: dict[int, Run] = {}
        for few in slices(sorted(ids)):
            query = _THERE.where(among(self._db, tables.runs.c.id, few))
            found.update((row["id"], rows.run(row)) for row in self._db.execute(query).mappings())
        return found

    def hold(self, ids: Collection[int]) -> Sequence[Run]:
        return self._held(ids, skip=False)

    def hold_free(self, ids: Collection[int]) -> Sequence[Run]:
        return self._held(ids, skip=True)

    def _held(self, ids: Collection[int], *, skip: bool) -> Sequence[Run]:
        found: list[Run] = []
        for some in slices(sorted(ids)):
            query = _THERE.where(among(self._db, tables.runs.c.id, some)).order_by(tables.runs.c.id)
            query = query.with_for_update(key_share=True, skip_locked=skip)
            found.extend(rows.run(row) for row in self._db.execute(query).mappings())
        return found

    def by_uuid(self, uuid: str) -> int | None:
        return self._db.execute(select(tables.runs.c.id).where(tables.runs.c.uuid == uuid)).scalar()

    def save(self, run: Run) -> None:
        self._db.execute(_UPDATE, {"b_id": run.id, **rows.run_values(run)})

    def open(self, at: float) -> Sequence[Run]:
        table = tables.runs
        query = select(table).where(
            or_(
                table.c.status.in_([status for status in _OPEN if status != _WAITING]),
                (table.c.status == _WAITING) & (table.c.start_at.is_(None) | (table.c.start_at <= at)),
            )
        )
        return [rows.run(row) for row in self._db.execute(query.order_by(table.c.id)).mappings()]

    def _places(self, query: Select[Any]) -> Sequence[Place]:
        found = self._db.execute(query.where(tables.runs.c.status.in_(_OPEN)).order_by(tables.runs.c.id)).mappings()
        return [_place(row) for row in found]

    def queue(self, project_id: int) -> Sequence[Place]:
        return self._places(_PLACES.where(tables.runs.c.project_id == project_id))

    def open_of_schedule(self, schedule_id: int) -> Sequence[Place]:
        return self._places(_PLACES.where(tables.runs.c.schedule_id == schedule_id))

    def come_due(self, after: float, until: float) -> Sequence[int]:
        table = tables.runs
        query = select(table.c.project_id).where(
            table.c.start_at > after, table.c.start_at <= until, table.c.status == _WAITING
        )
        return list(self._db.execute(query.distinct()).scalars())

    def priorities(self, ids: Collection[int]) -> Mapping[int, int]:
        table = tables.runs
        query = select(table.c.id, table.c.priority).where(among(self._db, table.c.id, ids))
        return {row[0]: row[1] for row in self._db.execute(query)}

    def open_of_project(self, project_id: int) -> Sequence[Run]:
        table = tables.runs
        query = select(table).where(table.c.project_id == project_id, table.c.status.in_(_OPEN)).order_by(table.c.id)
        return [rows.run(row) for row in self._db.execute(query).mappings()]

    def made_since(self, at: float) -> int:
        query = select(func.count()).select_from(tables.runs).where(tables.runs.c.created_at >= at)
        return self._db.execute(query).scalar_one()

    def remembered(self, key: str) -> tuple[str, int] | None:
        hold_word(self._db, key)
        table = tables.requests
        row = self._db.execute(select(table.c.digest, table.c.run_id).where(table.c.key == key)).first()
        return (row[0], row[1]) if row else None

    def remember(self, key: str, digest: str, run_id: int, now: float) -> None:
        self._db.execute(insert(tables.requests).values(key=key, digest=digest, run_id=run_id, created_at=now))
