"""Which control planes there are, and which of them does what only one needs to do."""

from collections.abc import Sequence

from sqlalchemy import Engine, delete, insert, select, update

from resit.ports import Plane
from resit.storage import tables
from resit.storage.connect import transaction
from resit.storage.dialect import upsert
from resit.storage.times import clock_now

_D, _P = tables.duties, tables.control_planes
FORGET_SECONDS = 7 * 24 * 3600.0


class SqlDuties:
    """See ``resit.ports.Duties``."""

    def __init__(self, engine: Engine, plane: Plane) -> None:
        self._engine, self._plane = engine, plane

    def hold(self, name: str, seconds: float) -> bool:
        with transaction(self._engine, write=True, lasting=False) as db:
            statement = upsert(db, _D).values(name=name, holder=self._plane.name, until=clock_now() + seconds)
            taken = {column: statement.excluded[column] for column in ("holder", "until")}
            free = (_D.c.holder == self._plane.name) | (_D.c.until < clock_now())
            statement = statement.on_conflict_do_update(index_elements=["name"], set_=taken, where=free)
            return db.execute(statement.returning(_D.c.name)).first() is not None

    def release(self, name: str) -> None:
        with transaction(self._engine, write=True, lasting=False) as db:
            db.execute(delete(_D).where(_D.c.name == name, _D.c.holder == self._plane.name))

    def present(self) -> None:
        plane = self._plane
        with transaction(self._engine, write=True, lasting=False) as db:
            found = db.execute(update(_P).where(_P.c.name == plane.name).values(seen_at=clock_now()))
            if not found.rowcount:
                values = {name: getattr(plane, name) for name in ("name", "url", "version", "broker", "key")}
                db.execute(insert(_P).values(**values, started_at=clock_now(), seen_at=clock_now()))
                db.execute(delete(_P).where(_P.c.seen_at < clock_now() - FORGET_SECONDS))

    def planes(self, within: float) -> Sequence[Plane]:
        with transaction(self._engine, write=False) as db:
            query = select(_P).where(_P.c.seen_at >= clock_now() - within).order_by(_P.c.name)
            return [Plane(**row) for row in db.execute(query).mappings()]
