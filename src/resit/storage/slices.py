"""Lists that vendors' APIs page by offset, with how many there are in all."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Engine, Select, Table, and_, func, select

from resit.domain.project import Project
from resit.domain.project import repository as repository_of
from resit.domain.resource import Resource, ResourceStatus
from resit.domain.snooze import Snooze
from resit.ports import Ledgered
from resit.ports.reads import (
    CaseFilter,
    FileFilter,
    FileView,
    LedgerFilter,
    RunFilter,
    RunOrder,
    RunView,
    Slice,
    TestCase,
)
from resit.storage import rows, shelf, tables
from resit.storage.cases import slices
from resit.storage.connect import transaction
from resit.storage.queries import (
    CASE,
    VIEW,
    built_branch,
    case_conditions,
    contains,
    ends,
    ledger_conditions,
    run_conditions,
    run_view,
    tagged,
    test_case,
)

T = TypeVar("T")
_R, _L, _C, _E, _F = tables.runs, tables.ledger, tables.test_cases, tables.environments, tables.files


class SqlSlices:
    """A part of ``resit.ports.reads.Reads``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _all(self, query: Select[*tuple[Any, ...]]) -> list[Any]:
        with transaction(self._engine, write=False) as connection:
            return list(connection.execute(query).mappings())

    def _slice(
        self, query: Select[Any], read: Callable[[Any], T], order: ColumnElement[Any], offset: int, limit: int
    ) -> Slice[T]:
        """A piece of what a query finds. It is counted only where the piece itself does not tell how many there are."""
        with transaction(self._engine, write=False) as connection:
            found = connection.execute(query.order_by(order).offset(offset).limit(limit)).mappings().all()
            if found and len(found) < limit:
                total = offset + len(found)
            else:
                total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        return Slice([read(row) for row in found], total)

    def runs_slice(
        self, which: RunFilter, offset: int, limit: int, order: RunOrder = RunOrder.NEWEST
    ) -> Slice[RunView]:
        conditions = run_conditions(which)
        by = _R.c.id.desc() if order is RunOrder.NEWEST else _R.c.id.asc()
        with transaction(self._engine, write=False) as connection:
            query = VIEW.where(*conditions).order_by(by).offset(offset).limit(limit)
            found = connection.execute(query).mappings().all()
            if found and len(found) < limit:
                total = offset + len(found)
            else:
                counted = select(func.count()).select_from(_R.join(_E, _E.c.id == _R.c.environment_id))
                total = connection.execute(counted.where(*conditions)).scalar_one()
        return Slice([run_view(row) for row in found], total)

    def cases_slice(self, project_id: int | None, which: CaseFilter, offset: int, limit: int) -> Slice[TestCase]:
        return self._slice(CASE.where(*case_conditions(project_id, which)), test_case, _C.c.id.asc(), offset, limit)

    def cases_of(self, uuids: Collection[str]) -> Mapping[str, TestCase]:
        found: dict[str, TestCase] = {}
        for some in slices(uuids):
            found |= {row["uuid"]: test_case(row) for row in self._all(CASE.where(_C.c.uuid.in_(some)))}
        return found

    def ledger_slice(self, run_id: int, which: LedgerFilter, offset: int, limit: int) -> Slice[Ledgered]:
        query = select(_L).where(*ledger_conditions(run_id, which))
        return self._slice(query, rows.ledgered, _L.c.ordinal.asc(), offset, limit)

    def test_seconds(self, run_id: int) -> float:
        return self._all(select(func.sum(_L.c.duration).label("sum")).where(_L.c.run_id == run_id))[0]["sum"] or 0.0

    def _files(self, project_id: int | None) -> Select[Any]:
        projects = tables.projects
        tests = (
            select(func.count())
            .select_from(_C)
            .where(_C.c.project_id == _F.c.project_id, _C.c.file == _F.c.path, _C.c.listed_in == projects.c.listed_in)
            .correlate(_F, projects)
            .scalar_subquery()
        )
        query = select(_F, tests.label("tests")).join(projects, projects.c.id == _F.c.project_id)
        return query if project_id is None else query.where(_F.c.project_id == project_id)

    def files_slice(self, project_id: int | None, text: str, offset: int, limit: int) -> Slice[FileView]:
        query = self._files(project_id)
        if text:
            query = query.where(contains(text, _F.c.path))
        return self._slice(query, _file, _F.c.id.asc(), offset, limit)

    def files_like(self, project_id: int | None, which: FileFilter, offset: int, limit: int) -> Slice[FileView]:
        query = self._files(project_id)
        if which.text:
            query = query.where(contains(which.text, _F.c.path))
        if which.extension:
            query = query.where(ends(f".{which.extension}", _F.c.path))
        active = self._active_cases(tables.projects)
        if which.active is not None:
            query = query.where(active.exists() if which.active else ~active.exists())
        if which.tag:
            own = func.coalesce(_C.c.own_tags, _C.c.tags)
            query = query.where(active.where(tagged([which.tag], own)).exists())
        return self._slice(query, _file, _F.c.id.asc(), offset, limit)

    def _active_cases(self, projects: Table) -> Select[Any]:
        """The active test cases of a file, for a question about files."""
        return (
            select(_C.c.id)
            .where(_C.c.project_id == _F.c.project_id, _C.c.file == _F.c.path, _C.c.listed_in == projects.c.listed_in)
            .correlate(_F, projects)
        )

    def file_tags(self, ids: Collection[int]) -> Mapping[int, Sequence[str]]:
        projects = tables.projects
        found: dict[int, dict[str, None]] = {id: {} for id in ids}
        for some in slices(found):
            query = (
                select(_F.c.id, func.coalesce(_C.c.own_tags, _C.c.tags).label("tags"))
                .join(projects, projects.c.id == _F.c.project_id)
                .join(_C, and_(_C.c.project_id == _F.c.project_id, _C.c.file == _F.c.path))
                .where(_F.c.id.in_(some), _C.c.listed_in == projects.c.listed_in)
                .distinct()
            )
            for row in self._all(query):
                found[row["id"]].update(dict.fromkeys(rows.loads(row["tags"], [])))
        return {id: list(tags) for id, tags in found.items()}

    def projects_for(self, project_id: int | None, repository: str) -> Sequence[Project]:
        table = tables.projects
        query = select(table).order_by(table.c.id)
        if project_id is not None:
            query = query.where(table.c.id == project_id)
        found = [rows.project(row) for row in self._all(query)]
        return [project for project in found if repository_of(project).lower() == repository.lower()]

    def file(self, project_id: int | None, id: int) -> FileView | None:
        found = self._all(self._files(project_id).where(_F.c.id == id))
        return _file(found[0]) if found else None

    def file_numbers(self, project_id: int, paths: Collection[str]) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for some in slices(set(paths)):
            query = select(_F.c.path, _F.c.id).where(_F.c.project_id == project_id, _F.c.path.in_(some))
            found |= {row["path"]: row["id"] for row in self._all(query)}
        return found

    def snoozes(
        self, project_id: int, environment_id: int | None, active: bool | None, at: float, offset: int, limit: int
    ) -> Slice[Snooze]:
        table = tables.snoozes
        query = select(table).where(table.c.project_id == project_id)
        if environment_id is not None:
            query = query.where(table.c.environment_id == environment_id)
        if active is not None:
            query = query.where(table.c.until > at if active else table.c.until <= at)
        return self._slice(query, shelf.snooze, table.c.id.desc(), offset, limit)

    def resources(self, project_id: int, offset: int, limit: int) -> Slice[Resource]:
        table = tables.resources
        there = table.c.status == ResourceStatus.UPLOADED.value
        query = select(table).where(table.c.project_id == project_id, there)
        return self._slice(query, shelf.resource, table.c.id.desc(), offset, limit)

    def latest_run(self, environment_id: int, branch: str = "") -> RunView | None:
        query = VIEW.where(_R.c.environment_id == environment_id)
        if branch:
            query = query.where(built_branch == branch)
        found = self._all(query.order_by(_R.c.id.desc()).limit(1))
        return run_view(found[0]) if found else None


def _file(row: Any) -> FileView:
    return FileView(row["id"], row["path"], row["tests"], row["created_at"], row["project_id"])
