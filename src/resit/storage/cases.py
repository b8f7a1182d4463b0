"""Store of test cases. Names come by the thousand, so everything goes in bulk."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from resit.domain.ids import case_key, case_uuid
from resit.domain.plan import PlannedTest
from resit.domain.run import Run
from resit.ports import CaseRow
from resit.storage import rows, tables
from resit.storage.dialect import insert_all, trying, upsert
from resit.storage.rows import dumps, loads

_C = tables.test_cases
_IN = 500
"""Values in one IN list: far under every database's limit."""
_SUITE_SAYS = ("file", "title", "variant", "tags", "line", "key", "last_commit", "listed_in", "updated_at")


def slices(values: Collection[Any]) -> Iterator[list[Any]]:
    """The values in pieces that fit an IN list."""
    found = list(values)
    for start in range(0, len(found), _IN):
        yield found[start : start + _IN]


def case_values(run: Run, uuid: str, test: PlannedTest) -> dict[str, Any]:
    """Columns of a test case that a run named."""
    return {
        "uuid": uuid,
        "project_id": run.project_id,
        "test": test.id,
        "file": test.file,
        "title": dumps(list(test.title_path)),
        "variant": test.variant,
        "tags": dumps(list(test.tags)) if test.tags else "",
        "line": test.line,
        "key": case_key(test),
        "created_at": run.touched_at,
        "updated_at": run.touched_at,
    }


def _named(names: list[Any]) -> ColumnElement[bool]:
    return or_(*(column.in_(names) for column in (_C.c.test, _C.c.key, _C.c.uuid)))


def case_row(row: rows.AnyRow) -> CaseRow:
    """A test case as the core needs it."""
    own = loads(row["own_tags"] or "", None)
    return CaseRow(
        id=row["id"],
        uuid=row["uuid"],
        key=row["key"],
        planned=PlannedTest(
            id=row["test"],
            file=row["file"],
            title_path=tuple(loads(row["title"], [])),
            variant=row["variant"],
            tags=tuple(loads(row["tags"], [])),
            line=row["line"],
        ),
        own_tags=None if own is None else tuple(own),
        draft=row["draft"],
    )


class Cases:
    """See ``resit.ports.storage.CaseStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def sync(self, run: Run, tests: Sequence[PlannedTest]) -> None:
        projects = tables.projects
        # It comes first, so that two listings of a suite, or a listing and what a run has taught, follow each other.
        listed = update(projects).where(projects.c.id == run.project_id).values(listed_in=run.id)
        project_uuid = self._db.execute(listed.returning(projects.c.uuid)).scalar_one()
        seen = {"first_commit": run.commit, "last_commit": run.commit, "listed_in": run.id}
        values = [{**case_values(run, case_uuid(project_uuid, test.id), test), **seen} for test in tests]
        statement = upsert(self._db, _C)
        now = {name: statement.excluded[name] for name in _SUITE_SAYS}
        known = statement.on_conflict_do_update(index_elements=["project_id", "test"], set_=now)
        files = [
            {"project_id": run.project_id, "path": path, "created_at": run.touched_at}
            for path in dict.fromkeys(test.file for test in tests)
        ]
        with trying(self._db):
            insert_all(self._db, known, values)
            insert_all(self._db, upsert(self._db, tables.files).on_conflict_do_nothing(), files)

    def add(self, project_id: int, uuid: str, title: str, goal: str, now: float) -> int:
        values = {
            "uuid": uuid,
            "project_id": project_id,
            "test": uuid,
            "title": dumps([title]),
            "goal": goal,
            "draft": True,
            "created_at": now,
            "updated_at": now,
        }
        return self._db.execute(insert(_C).values(values).returning(_C.c.id)).scalar_one()

    def active(self, project_id: int) -> Sequence[CaseRow]:
        listed = select(tables.projects.c.listed_in).where(tables.projects.c.id == project_id).scalar_subquery()
        query = select(_C).where(_C.c.project_id == project_id, _C.c.listed_in == listed).order_by(_C.c.id)
        return [case_row(row) for row in self._db.execute(query).mappings()]

    def named(self, project_id: int, names: Collection[str]) -> Sequence[CaseRow]:
        return self._some(project_id, names, _named)

    def numbered(self, project_id: int, ids: Collection[int]) -> Sequence[CaseRow]:
        return self._some(project_id, ids, _C.c.id.in_)

    def projects_with(self, name: str) -> Sequence[int]:
        query = select(_C.c.project_id).where(_named([name])).distinct().order_by(_C.c.project_id)
        return list(self._db.execute(query).scalars())

    def _some(
        self, project_id: int, names: Collection[Any], which: Callable[[list[Any]], ColumnElement[bool]]
    ) -> Sequence[CaseRow]:
        found: list[CaseRow] = []
        for some in slices(names):
            query = select(_C).where(_C.c.project_id == project_id, which(some)).order_by(_C.c.id)
            found.extend(case_row(row) for row in self._db.execute(query).mappings())
        return found

    def own_tags(self, project_id: int) -> Mapping[str, tuple[str, ...]]:
        query = select(_C.c.test, _C.c.own_tags).where(_C.c.project_id == project_id, _C.c.own_tags.is_not(None))
        return {row[0]: tuple(loads(row[1], [])) for row in self._db.execute(query)}

    def set_tags(self, id: int, tags: Sequence[str], now: float) -> None:
        self._db.execute(update(_C).where(_C.c.id == id).values(own_tags=dumps(list(tags)), updated_at=now))
