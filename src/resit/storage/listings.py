"""Store of listings: what workers listed, to be used again."""

import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from resit.domain import wire
from resit.domain.plan import PlannedTest
from resit.domain.run import PlanFacts
from resit.ports.made import Known
from resit.storage import tables
from resit.storage.dialect import upsert
from resit.storage.rows import dumps, loads

_L = tables.listings
KEPT = 8
"""Listings kept of a project: a few branches and environments take turns."""


class Listings:
    """See ``resit.ports.made.ListingStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, project_id: int, key: str, since: float) -> Known | None:
        query = select(_L).where(_L.c.project_id == project_id, _L.c.key == key, _L.c.created_at >= since)
        row = self._db.execute(query).mappings().first()
        if row is None:
            return None
        listed: Sequence[Any] = loads(zlib.decompress(row["tests"]).decode(), [])
        facts = PlanFacts(**loads(row["facts"], {}))
        return Known(row["listed_in"], facts, tuple(wire.test_from_wire(test) for test in listed))

    def save(
        self, project_id: int, key: str, run_id: int, facts: PlanFacts, tests: Sequence[PlannedTest], now: float
    ) -> None:
        packed = zlib.compress(dumps([wire.test_to_wire(test) for test in tests]).encode(), 1)
        said = {name: getattr(facts, name) for name in PlanFacts.__dataclass_fields__}
        values = {"listed_in": run_id, "facts": dumps(said), "tests": packed, "created_at": now}
        statement = upsert(self._db, _L).values(project_id=project_id, key=key, **values)
        self._db.execute(statement.on_conflict_do_update(index_elements=["project_id", "key"], set_=values))
        mine = select(_L.c.key).where(_L.c.project_id == project_id).order_by(_L.c.created_at.desc(), _L.c.key)
        old = list(self._db.execute(mine.offset(KEPT)).scalars())
        if old:
            self._db.execute(delete(_L).where(_L.c.project_id == project_id, _L.c.key.in_(old)))

    def drop(self, project_id: int) -> None:
        self._db.execute(delete(_L).where(_L.c.project_id == project_id))
