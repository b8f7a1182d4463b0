"""Retention in SQL; see ``resit.ports.retention``.

Rows go in small transactions that need not last: what a power cut brings back is deleted again. A run is marked first,
in one transaction; from then on nobody reads it, so nobody sees half of it.
"""

from collections.abc import Collection, Sequence, Set
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, func, or_, select, tuple_, update
from sqlalchemy import text as sql

from resit.domain.retention import Policy, Standing
from resit.domain.status import RunStatus
from resit.ports.retention import Kept, Room, Usage
from resit.storage import tables
from resit.storage.connect import transaction

_R, _P, _A = tables.runs, tables.projects, tables.artifacts
_OPEN = [status.value for status in RunStatus if status.open]
PARTS: Sequence[Table] = (
    tables.requests,
    tables.outbox,
    tables.plan_parts,
    tables.voices,
    tables.logs,
    tables.artifacts,
    tables.results,
    tables.reports,
    tables.attempts,
    tables.batches,
    tables.ledger,
)
"""All tables with rows of one run, in the order in which they are emptied."""
_COUNTS = ("passed", "failed", "flaky", "skipped", "errored", "lost", "not_found", "cancelled", "planned", "running")
_AT_ONCE = 500


class SqlRetention:
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def projects(self, project_id: int | None = None) -> Sequence[Kept]:
        query = select(_P.c.id, _P.c.slug, _P.c.keep_days, _P.c.keep_runs, _P.c.keep_bytes).order_by(_P.c.id)
        query = query.where(or_(_P.c.keep_days > 0, _P.c.keep_runs > 0, _P.c.keep_bytes > 0))
        if project_id is not None:
            query = query.where(_P.c.id == project_id)
        with transaction(self._engine, write=False) as db:
            return [Kept(row.id, row.slug, _policy(row)) for row in db.execute(query)]

    def standings(self, project_id: int, *, sizes: bool) -> Sequence[Standing]:
        again = _R.alias("again")
        needed = select(again.c.source_run_id).where(again.c.status.in_(_OPEN), again.c.source_run_id.is_not(None))
        short = select(_R.c.id, _R.c.status, _R.c.finished_at, _R.c.created_at, _R.c.kept)
        short = short.where(_R.c.project_id == project_id, ~_R.c.gone)
        with transaction(self._engine, write=False) as db:
            sources = set(db.execute(needed).scalars())
            taken = _sizes(db, project_id) if sizes else {}
            return [
                Standing(
                    id=row.id,
                    # A run of an early version may have ended without a time.
                    ended_at=None if row.status in _OPEN else (row.finished_at or row.created_at),
                    kept=row.kept,
                    needed=row.id in sources,
                    bytes=taken.get(row.id, 0),
                )
                for row in db.execute(short)
            ]

    def mark(self, ids: Collection[int]) -> int:
        wanted = sorted(ids)[:_AT_ONCE]
        again = _R.alias("again")
        held = select(again.c.id).where(again.c.source_run_id == _R.c.id, again.c.status.in_(_OPEN)).exists()
        may_go = (_R.c.id.in_(wanted), _R.c.status.not_in(_OPEN), ~_R.c.kept, ~_R.c.gone, ~held)
        with transaction(self._engine, write=True) as db:
            # Held before they are looked at: who makes a re-run holds its source as well.
            db.execute(select(_R.c.id).where(_R.c.id.in_(wanted)).order_by(_R.c.id).with_for_update())
            marked = list(db.execute(update(_R).where(*may_go).values(gone=True).returning(_R.c.id)).scalars())
            alone = {"source_gone": _R.c.source_run_id, "source_run_id": None}
            db.execute(update(_R).where(_R.c.source_run_id.in_(marked)).values(alone))
        return len(marked)

    def marked(self) -> int | None:
        # In the words of the index that has these runs alone.
        query = select(_R.c.id).where(sql("gone" if self._postgresql else "gone = 1"))
        with transaction(self._engine, write=False) as db:
            return db.execute(query.order_by(_R.c.id).limit(1)).scalar()

    @property
    def _postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def erase(self, run_id: int, most: int) -> tuple[int, bool]:
        rows = 0
        with transaction(self._engine, write=True, lasting=False) as db:
            gone = select(_R.c.id).where(_R.c.id == run_id, _R.c.gone)
            if db.execute(gone).scalar() is None:
                return 0, True
            for table in PARTS:
                while rows < most and (done := _erase(db, table, run_id, most - rows)):
                    rows += done
                if rows >= most:
                    return rows, False
            db.execute(update(_R).where(_R.c.source_run_id == run_id).values(source_gone=run_id, source_run_id=None))
            db.execute(delete(_R).where(_R.c.id == run_id))
        return rows + 1, True

    def known(self, keys: Collection[str]) -> Set[str]:
        of_runs: dict[tuple[int, str], str] = {}
        of_resources: dict[int, str] = {}
        for key in keys:
            run, _, id = key.partition("/")
            if run.isdigit() and id:
                of_runs[int(run), id] = key
            elif key.startswith("resource-") and key[9:].isdigit():
                of_resources[int(key[9:])] = key
        runs = sorted({run for run, _ in of_runs})
        with transaction(self._engine, write=False) as db:
            named = [id for _, id in of_runs]
            stored = select(_A.c.run_id, _A.c.id).where(_A.c.id.in_(named))
            found = {of_runs[row.run_id, row.id] for row in db.execute(stored) if (row.run_id, row.id) in of_runs}
            reports = select(tables.reports.c.key).where(tables.reports.c.run_id.in_(runs))
            found.update(db.execute(reports).scalars())
            busy = set(db.execute(select(_R.c.id).where(_R.c.id.in_(runs), _open_or_gone())).scalars())
            found.update(key for (run, _), key in of_runs.items() if run in busy)
            table = tables.resources
            there = db.execute(select(table.c.id).where(table.c.id.in_(list(of_resources)))).scalars()
            return found | {of_resources[id] for id in there}

    def usage(self, project_id: int | None) -> Sequence[Usage]:
        only = () if project_id is None else (_P.c.id == project_id,)
        tests: Any = sum((_R.c[name] for name in _COUNTS[1:]), _R.c[_COUNTS[0]])
        kept = func.count().filter(_R.c.kept)
        runs = select(_R.c.project_id, func.count(), kept, func.sum(tests), func.min(_R.c.created_at))
        runs = runs.where(~_R.c.gone).group_by(_R.c.project_id)
        size = func.coalesce(func.sum(_A.c.size), 0)
        files = select(_R.c.project_id, func.count(), size).join(_A, _A.c.run_id == _R.c.id).where(_A.c.stored)
        of = tables.reports
        reports = select(_R.c.project_id, func.count(), func.coalesce(func.sum(of.c.size), 0))
        reports = reports.join(of, of.c.run_id == _R.c.id).where(of.c.key != "").group_by(_R.c.project_id)
        own = tables.resources
        resources = select(own.c.project_id, func.count(), func.coalesce(func.sum(own.c.size), 0))
        resources = resources.where(own.c.status == "uploaded", own.c.url == "").group_by(own.c.project_id)
        projects = select(_P.c.id, _P.c.slug, _P.c.keep_days, _P.c.keep_runs, _P.c.keep_bytes)
        with transaction(self._engine, write=False) as db:
            stored: dict[int, tuple[int, int]] = {}
            for query in (files.group_by(_R.c.project_id), reports, resources):
                for project, number, taken in db.execute(query):
                    before = stored.get(project, (0, 0))
                    stored[project] = (before[0] + number, before[1] + int(taken))
            counted = {row[0]: row for row in db.execute(runs)}
            found: list[Usage] = []
            for row in db.execute(projects.where(*only).order_by(_P.c.slug)):
                _, number, keeps, rows, oldest = counted.get(row.id, (row.id, 0, 0, 0, None))
                number_of_files, taken = stored.get(row.id, (0, 0))
                found.append(
                    Usage(
                        project_id=row.id,
                        slug=row.slug,
                        policy=_policy(row),
                        runs=number,
                        kept=keeps,
                        tests=int(rows or 0),
                        files=number_of_files,
                        bytes=taken,
                        oldest=oldest,
                    )
                )
            return found

    def room(self) -> Room:
        with transaction(self._engine, write=False) as db:
            if self._postgresql:
                return Room(db.execute(sql("SELECT pg_database_size(current_database())")).scalar_one(), 0)
            page, pages, free = (
                int(db.execute(sql(f"PRAGMA {name}")).scalar_one())
                for name in ("page_size", "page_count", "freelist_count")
            )
            return Room(page * pages, page * free)


def _policy(row: Any) -> Policy:
    return Policy(days=row.keep_days, runs=row.keep_runs, bytes=row.keep_bytes)


def _open_or_gone() -> ColumnElement[bool]:
    return or_(_R.c.status.in_(_OPEN), _R.c.gone)


def _sizes(db: Connection, project_id: int) -> dict[int, int]:
    """Bytes of the files of a project's runs."""
    found: dict[int, int] = {}
    reports = tables.reports
    of_project = _R.c.project_id == project_id
    for table, extra in ((_A, (_A.c.stored,)), (reports, ())):
        query = select(_R.c.id, func.coalesce(func.sum(table.c.size), 0)).join(table, table.c.run_id == _R.c.id)
        for id, size in db.execute(query.where(of_project, *extra).group_by(_R.c.id)):
            found[id] = found.get(id, 0) + int(size)
    return found


def _erase(db: Connection, table: Table, run_id: int, most: int) -> int:
    key = [*table.primary_key]
    some = select(*key).where(table.c.run_id == run_id).limit(most)
    found = tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
    return int(cast("Any", db.execute(delete(table).where(found))).rowcount)
