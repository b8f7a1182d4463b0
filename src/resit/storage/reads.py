"""Lists and details as SQL. Every list pages by key, so a page costs the same at any depth."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from sqlalchemy import case, func, or_, select

from resit.domain.attempt import Attempt
from resit.domain.junit import Outline
from resit.domain.lineage import Said
from resit.domain.project import Environment, Project
from resit.ports import ArtifactRow, Ledgered, LogPart, Page, StoredResult
from resit.ports.reads import Execution, LedgerFilter, RunFilter, RunView, TestCase
from resit.storage import rows, tables
from resit.storage.connect import transaction
from resit.storage.dialect import setting
from resit.storage.queries import CASE, VIEW, contains, ledger_conditions, run_conditions, run_view, test_case
from resit.storage.slices import SqlSlices

T = TypeVar("T")
_R, _L, _C = tables.runs, tables.ledger, tables.test_cases
_STATE = case(
    (_L.c.precluded, "did_not_run"),
    else_=func.coalesce(_L.c.outcome, case((_L.c.running, "running"), else_="planned")),
)
"""A test's state in one word, as :meth:`Reads.cells` has it."""


def _page(items: Sequence[T], limit: int, keys: Sequence[object]) -> Page[T]:
    """The first ``limit`` of the items, of which one more was asked for than is shown."""
    if len(items) <= limit:
        return Page(items)
    return Page(items[:limit], str(keys[limit - 1]))


class SqlReads(SqlSlices):
    """See ``resit.ports.reads.Reads``."""

    def projects(self, project_id: int | None, after: int, limit: int) -> Page[Project]:
        table = tables.projects
        query = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit + 1)
        if project_id is not None:
            query = query.where(table.c.id == project_id)
        found = [rows.project(row) for row in self._all(query)]
        return _page(found, limit, [p.id for p in found])

    def environments(self, project_id: int) -> Sequence[Environment]:
        table = tables.environments
        query = select(table).where(table.c.project_id == project_id).order_by(table.c.id)
        return [rows.environment(row) for row in self._all(query)]

    def runs(self, which: RunFilter, limit: int) -> Page[RunView]:
        query = VIEW.where(*run_conditions(which)).order_by(_R.c.id.desc()).limit(limit + 1)
        found = [run_view(row) for row in self._all(query)]
        return _page(found, limit, [view.run.id for view in found])

    def run(self, id: int) -> RunView | None:
        found = self._all(VIEW.where(_R.c.id == id))
        return run_view(found[0]) if found else None

    def run_seq(self, id: int) -> int | None:
        found = self._all(select(_R.c.seq).where(_R.c.id == id))
        return found[0]["seq"] if found else None

    def lineage(self, id: int) -> Sequence[RunView]:
        up = select(_R.c.id, _R.c.source_run_id).where(_R.c.id == id).cte("up", recursive=True)
        up = up.union(select(_R.c.id, _R.c.source_run_id).join(up, _R.c.id == up.c.source_run_id))
        root = select(up.c.id).where(up.c.source_run_id.is_(None))
        down = select(_R.c.id).where(_R.c.id.in_(root)).cte("down", recursive=True)
        down = down.union(select(_R.c.id).join(down, _R.c.source_run_id == down.c.id))
        return [run_view(row) for row in self._all(VIEW.where(_R.c.id.in_(select(down.c.id))).order_by(_R.c.id))]

    def ledger(self, run_id: int, which: LedgerFilter, limit: int) -> Page[Ledgered]:
        query = select(_L).where(*ledger_conditions(run_id, which)).order_by(_L.c.ordinal).limit(limit + 1)
        found = [rows.ledgered(row) for row in self._all(query)]
        return _page(found, limit, [item.row.ordinal for item in found])

    def results(self, run_id: int, ordinals: Sequence[int]) -> Mapping[int, Sequence[StoredResult]]:
        table = tables.results
        found: dict[int, list[StoredResult]] = {ordinal: [] for ordinal in ordinals}
        if not found:
            return found
        query = (
            select(table)
            .where(table.c.run_id == run_id, table.c.ordinal.in_(list(ordinals)))
            .order_by(table.c.ordinal, table.c.attempt, table.c.retry)
        )
        for row in self._all(query):
            found[row["ordinal"]].append(rows.result(row))
        return found

    def cells(self, run_id: int, since: int = -1) -> Sequence[tuple[int, str]]:
        query = select(_L.c.ordinal, _STATE).where(_L.c.run_id == run_id, _L.c.seq > since).order_by(_L.c.ordinal)
        with transaction(self._engine, write=False) as db:
            return [(row[0], row[1]) for row in db.execute(query)]

    def standing(self, run_id: int) -> Sequence[tuple[str, int, str, float]]:
        columns = (_L.c.test, _L.c.ordinal, _STATE, _L.c.duration)
        query = select(*columns).where(_L.c.run_id == run_id).order_by(_L.c.ordinal)
        with transaction(self._engine, write=False) as db:
            return [(row[0], row[1], row[2], row[3]) for row in db.execute(query)]

    def outlines(self, run_id: int) -> Sequence[Outline]:
        short = ("ordinal", "file", "variant", "outcome", "running", "precluded", "began_at", "duration")
        query = select(*(_L.c[name] for name in short)).where(_L.c.run_id == run_id).order_by(_L.c.ordinal)
        return [rows.outline(row) for row in self._all(query)]

    def rows_of(self, run_id: int, ordinals: Sequence[int]) -> Mapping[int, Ledgered]:
        query = select(_L).where(_L.c.run_id == run_id, _L.c.ordinal.in_(list(ordinals)))
        return {row["ordinal"]: rows.ledgered(row) for row in self._all(query)}

    def attempts(self, run_id: int) -> Sequence[Attempt]:
        table = tables.attempts
        query = select(table).where(table.c.run_id == run_id).order_by(table.c.batch, table.c.number)
        return [rows.attempt(row) for row in self._all(query)]

    def executions(self, run_id: int, limit: int) -> Sequence[Execution]:
        table = tables.results
        names = ("attempt", "status", "counted", "started_at", "duration")
        parallel = func.coalesce(setting(table.c.details, "parallel"), -1).label("parallel")
        query = (
            select(_L.c.ordinal, _L.c.batch, *(table.c[name] for name in names), parallel)
            .join(_L, (_L.c.run_id == table.c.run_id) & (_L.c.ordinal == table.c.ordinal))
            .where(table.c.run_id == run_id)
            .order_by(table.c.started_at, table.c.ordinal, table.c.retry)
            .limit(limit)
        )
        with transaction(self._engine, write=False) as db:
            return [Execution(*row) for row in db.execute(query)]

    def outcomes(self, run_ids: Sequence[int]) -> Sequence[Mapping[str, Said]]:
        found: dict[int, dict[str, Said]] = {id: {} for id in run_ids}
        columns = (_L.c.run_id, _L.c.test, _L.c.outcome, _L.c.precluded, _L.c.snoozed)
        query = select(*columns).where(_L.c.run_id.in_(list(run_ids))).order_by(_L.c.run_id, _L.c.ordinal)
        for row in self._all(query):
            found[row["run_id"]][row["test"]] = (row["outcome"], row["precluded"], row["snoozed"])
        return [found[id] for id in run_ids]

    def artifacts(self, run_id: int, after: str, limit: int) -> Page[tuple[ArtifactRow, str]]:
        table = tables.artifacts
        query = (
            select(table, func.coalesce(_L.c.test, "").label("test"))
            .outerjoin(_L, (_L.c.run_id == table.c.run_id) & (_L.c.ordinal == table.c.ordinal))
            .where(table.c.run_id == run_id, table.c.id > after)
            .order_by(table.c.id)
            .limit(limit + 1)
        )
        found = [(rows.artifact(row), str(row["test"])) for row in self._all(query)]
        return _page(found, limit, [artifact.id for artifact, _ in found])

    def logs(self, run_id: int) -> Sequence[LogPart]:
        table = tables.logs
        size = func.max(table.c.offset + func.length(table.c.text)).label("size")
        query = select(table.c.shard, size).where(table.c.run_id == run_id).group_by(table.c.shard)
        return [LogPart(row["shard"], row["size"]) for row in self._all(query.order_by(table.c.shard))]

    def log(self, run_id: int, shard: int, after: int, limit: int) -> str:
        table = tables.logs
        query = (
            select(table.c.offset, table.c.text)
            .where(
                table.c.run_id == run_id,
                table.c.shard == shard,
                table.c.offset + func.length(table.c.text) > after,
                table.c.offset < after + limit,
            )
            .order_by(table.c.offset)
        )
        pieces = [row["text"][max(0, after - row["offset"]) :] for row in self._all(query)]
        return "".join(pieces)[:limit]

    def log_times(self, run_id: int, shard: int) -> Sequence[tuple[int, float]]:
        table = tables.logs
        query = select(table.c.offset, table.c.at).where(table.c.run_id == run_id, table.c.shard == shard)
        return [(row["offset"], row["at"]) for row in self._all(query.order_by(table.c.offset))]

    def test_cases(self, project_id: int, text: str, after: int, limit: int) -> Page[TestCase]:
        query = CASE.where(_C.c.project_id == project_id, _C.c.id > after, _C.c.listed_in.is_not(None))
        if text:
            query = query.where(contains(text, _C.c.test, _C.c.file, _C.c.title))
        found = [test_case(row) for row in self._all(query.order_by(_C.c.id).limit(limit + 1))]
        return _page(found, limit, [case.id for case in found])

    def test_case(self, project_id: int, uuid: str) -> TestCase | None:
        names = (_C.c.uuid == uuid, _C.c.test == uuid, _C.c.key == uuid)
        found = self._all(CASE.where(_C.c.project_id == project_id, or_(*names)))
        return test_case(found[0]) if found else None
