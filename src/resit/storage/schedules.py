"""Store of schedules."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, or_, select, update

from resit.domain.project import Environment
from resit.domain.schedule import OF_ENVIRONMENT, Overlap, Schedule
from resit.ports import ScheduleView
from resit.storage import rows, tables
from resit.storage.dialect import held
from resit.storage.shelf import Shelf

_S = tables.schedules
_P, _E, _R = tables.projects, tables.environments, tables.runs
_OWN = _S.c.name.startswith(OF_ENVIRONMENT, autoescape=True)


def schedule(row: rows.AnyRow) -> Schedule:
    """A schedule."""
    values: dict[str, Any] = {name: row[name] for name in Schedule.__dataclass_fields__}
    values["overlap"] = Overlap(values["overlap"])
    return Schedule(**values)


class Schedules(Shelf[Schedule]):
    """See ``resit.ports.storage.ScheduleStore``."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, _S, schedule)

    def _one(self, query: Select[Any]) -> Schedule | None:
        row = self._db.execute(query).mappings().first()
        return schedule(row) if row else None

    def by_name(self, project_id: int, name: str) -> Schedule | None:
        return self._one(select(_S).where(_S.c.project_id == project_id, _S.c.name == name))

    def of_environment(self, environment_id: int) -> Schedule | None:
        return self._one(held(self._db, select(_S).where(_S.c.environment_id == environment_id, _OWN)))

    def due(self, now: float, limit: int) -> Sequence[Schedule]:
        query = select(_S).where(_S.c.next_at <= now, _S.c.active).order_by(_S.c.next_at, _S.c.id).limit(limit)
        return [schedule(row) for row in self._db.execute(query).mappings()]

    def take(self, schedule: Schedule, next_at: float | None) -> bool:
        # The row is held from here on, and who comes second finds another time in it.
        query = update(_S).where(_S.c.id == schedule.id, _S.c.next_at == schedule.next_at, _S.c.active)
        return self._db.execute(query.values(next_at=next_at)).rowcount == 1

    def _views(self, query: Select[Any]) -> Sequence[ScheduleView]:
        found = [(schedule(row), row["_project"], row["_environment"]) for row in self._db.execute(query).mappings()]
        numbers = [one.last_run_id for one, _, _ in found if one.last_run_id is not None]
        last = {
            row["id"]: rows.run(row)
            for row in self._db.execute(select(_R).where(_R.c.id.in_(numbers))).mappings()
        }  # fmt: skip
        return [
            ScheduleView(one, project, environment or "", last.get(one.last_run_id or 0))
            for one, project, environment in found
        ]

    def views(self, project_id: int | None, after: int, limit: int) -> Sequence[ScheduleView]:
        query = _VIEW.where(_S.c.id > after).order_by(_S.c.id).limit(limit)
        return self._views(query if project_id is None else query.where(_S.c.project_id == project_id))

    def view(self, id: int) -> ScheduleView | None:
        found = self._views(_VIEW.where(_S.c.id == id))
        return found[0] if found else None

    def troubled(self, overdue: float) -> Sequence[Schedule]:
        query = select(_S).where(_S.c.active, or_(_S.c.problem != "", _S.c.next_at < overdue)).order_by(_S.c.id)
        return [schedule(row) for row in self._db.execute(query).mappings()]

    def unscheduled(self) -> Sequence[Environment]:
        query = (
            select(_E)
            .outerjoin(_S, and_(_S.c.environment_id == _E.c.id, _OWN))
            .where(_E.c.schedule != "", _S.c.id.is_(None))
            .order_by(_E.c.id)
        )
        return [rows.environment(row) for row in self._db.execute(query).mappings()]


_VIEW = (
    select(_S, _P.c.slug.label("_project"), _E.c.slug.label("_environment"))
    .join(_P, _P.c.id == _S.c.project_id)
    .outerjoin(_E, _E.c.id == _S.c.environment_id)
)
