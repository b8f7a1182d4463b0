"""Questions over many runs, as SQL: a few statements each, however many runs and test cases there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, case, func, or_, select
from sqlalchemy.sql.functions import Function

from resit.domain.project import Platform
from resit.domain.status import Outcome, RunStatus, Verdict
from resit.ports.insights import CaseMetrics, DayOfRuns, Execution, History, HistoryFilter, Window
from resit.storage import tables
from resit.storage.cases import slices
from resit.storage.connect import transaction
from resit.storage.queries import built_branch, built_commit, state_condition
from resit.storage.times import utc_day

_R, _L, _C, _E, _F = tables.runs, tables.ledger, tables.test_cases, tables.environments, tables.files
_OVER = [status.value for status in RunStatus if not status.open]
_FAILED = (Outcome.FAILED, Outcome.ERRORED)
_EXECUTED = (Outcome.PASSED, *_FAILED, Outcome.FLAKY)
_AT: ColumnElement[float] = func.coalesce(_R.c.finished_at, _R.c.started_at, _R.c.created_at)


def _words(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.value for outcome in outcomes]


def _number(condition: ColumnElement[bool]) -> Function[int]:
    """How many rows meet the condition."""
    return func.sum(case((condition, 1), else_=0))


def _closed(verdict: Verdict) -> ColumnElement[bool]:
    return (_R.c.status == RunStatus.FINISHED.value) & (_R.c.verdict == verdict.value)


def _within(which: Window) -> list[ColumnElement[bool]]:
    """Runs of the window that are over."""
    found: list[ColumnElement[bool]] = [
        _R.c.project_id == which.project_id,
        _R.c.created_at >= which.start,
        _R.c.created_at < which.end,
        _R.c.status.in_(_OVER),
        ~_R.c.gone,
    ]
    if which.environment_id is not None:
        found.append(_R.c.environment_id == which.environment_id)
    if which.branch:
        found.append(built_branch == which.branch)
    return found


_EXECUTION = (
    _L.c.case_uuid,
    _L.c.run_id,
    _L.c.ordinal,
    _R.c.environment_id,
    _L.c.outcome,
    _L.c.precluded,
    _AT.label("at"),
    _L.c.duration,
    _L.c.tries,
    _L.c.reason,
    built_branch.label("branch"),
    built_commit.label("commit"),
)


def _execution(row: Any) -> Execution:
    return Execution(
        case_uuid=row["case_uuid"],
        run_id=row["run_id"],
        environment_id=row["environment_id"],
        outcome=row["outcome"],
        precluded=row["precluded"],
        at=row["at"],
        duration=row["duration"],
        retries=max(row["tries"] - 1, 0),
        reason=row["reason"],
        case_id=row["case_id"] or 0,
        branch=row["branch"],
        commit=row["commit"],
        platform=Platform(row["platform"]),
    )


class SqlInsights:
    """See ``resit.ports.insights.Insights``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _all(self, query: Select[*tuple[Any, ...]]) -> list[Any]:
        with transaction(self._engine, write=False) as connection:
            return list(connection.execute(query).mappings())

    def days(self, which: Window) -> Sequence[DayOfRuns]:
        counted = _R.c
        failed = counted.failed + counted.errored + counted.lost + counted.not_found
        passed = counted.passed + counted.flaky
        day = utc_day(_R.c.created_at).label("date")
        query = (
            select(
                day,
                func.count().label("runs"),
                _number(_closed(Verdict.PASSED)).label("passed"),
                _number(_closed(Verdict.FAILED)).label("failed"),
                _number(_closed(Verdict.ERRORED)).label("errored"),
                _number(_R.c.status == RunStatus.CANCELLED.value).label("cancelled"),
                _number(_R.c.source_run_id.is_not(None)).label("reruns"),
                func.sum(passed + failed + counted.skipped + counted.cancelled).label("tests"),
                func.sum(passed).label("tests_passed"),
                func.sum(failed).label("tests_failed"),
                # a snooze may cover a test that did not run as well, which is none of the failed ones
                func.sum(case((counted.snoozed < failed, failed - counted.snoozed), else_=0)).label("tests_blocking"),
                func.sum(counted.flaky).label("tests_flaky"),
            )
            .where(*_within(which))
            .group_by(day)
            .order_by(day)
        )
        return [DayOfRuns(**row) for row in self._all(query)]

    def tests_by_day(self, which: Window) -> Sequence[tuple[str, int]]:
        day = utc_day(_R.c.created_at).label("date")
        query = (
            select(day, func.count(_L.c.case_uuid.distinct()).label("tests"))
            .select_from(_R.join(_L, _L.c.run_id == _R.c.id))
            .where(*_within(which), _L.c.outcome.in_(_words(_EXECUTED)))
            .group_by(day)
            .order_by(day)
        )
        return [(row["date"], row["tests"]) for row in self._all(query)]

    def metrics(self, which: Window) -> Sequence[CaseMetrics]:
        query = (
            select(
                _L.c.case_uuid,
                _number(_L.c.outcome == Outcome.PASSED.value).label("passed"),
                _number(_L.c.outcome.in_(_words(_FAILED))).label("failed"),
                _number(_L.c.outcome == Outcome.FLAKY.value).label("flaky"),
                func.max(_AT).label("last_run_at"),
            )
            .select_from(_R.join(_L, _L.c.run_id == _R.c.id))
            .where(*_within(which), _L.c.outcome.in_(_words(_EXECUTED)))
            .group_by(_L.c.case_uuid)
            .order_by(_L.c.case_uuid)
        )
        return [CaseMetrics(**row) for row in self._all(query)]

    def history(self, which: Window, cases: Sequence[str], limit: int) -> History:
        found: dict[str, list[Execution]] = {}
        truncated: set[str] = set()
        # the newest first; a run has a test case once
        place = func.row_number().over(partition_by=_L.c.case_uuid, order_by=_L.c.run_id.desc()).label("place")
        # the numbers of the window's runs, so that the ledger's index is searched for these alone
        bounds = self._all(
            select(func.min(_R.c.id).label("first"), func.max(_R.c.id).label("last")).where(*_within(which))
        )
        first, last = bounds[0]["first"], bounds[0]["last"]
        if first is None:
            return History({})
        for some in slices(dict.fromkeys(cases)):
            ranked = (
                select(*_EXECUTION, place)
                .select_from(_R.join(_L, _L.c.run_id == _R.c.id))
                .where(
                    *_within(which),
                    _L.c.case_uuid.in_(some),
                    _L.c.run_id.between(first, last),
                    _L.c.outcome.is_not(None),
                    _L.c.outcome != Outcome.CANCELLED.value,
                )
                .subquery()
            )
            query = (
                select(ranked, _C.c.id.label("case_id"), _E.c.platform)
                .join(_E, _E.c.id == ranked.c.environment_id)
                .outerjoin(_C, _C.c.uuid == ranked.c.case_uuid)
                .where(ranked.c.place <= limit + 1)
                .order_by(ranked.c.case_uuid, ranked.c.place)
            )
            for row in self._all(query):
                if row["place"] > limit:
                    truncated.add(row["case_uuid"])
                else:
                    found.setdefault(row["case_uuid"], []).append(_execution(row))
        return History(found, frozenset(truncated))

    def executions_of_file(
        self, project_id: int | None, file_id: int, which: HistoryFilter, offset: int, limit: int
    ) -> tuple[Sequence[Execution], int]:
        conditions = [_F.c.id == file_id, _L.c.outcome.is_not(None)]
        equal = (
            (_F.c.project_id, project_id),
            (_C.c.id, which.case_id),
            (built_branch, which.branch or None),
            (_E.c.platform, which.platform and which.platform.value),
        )
        conditions.extend(column == value for column, value in equal if value is not None)
        if which.outcomes:
            conditions.append(or_(*(state_condition(state) for state in which.outcomes)))
        if which.created_from is not None:
            conditions.append(_R.c.created_at >= which.created_from)
        if which.created_to is not None:
            conditions.append(_R.c.created_at <= which.created_to)
        joined = (
            _F.join(_C, (_C.c.project_id == _F.c.project_id) & (_C.c.file == _F.c.path))
            .join(_L, _L.c.case_uuid == _C.c.uuid)
            .join(_R, _R.c.id == _L.c.run_id)
            .join(_E, _E.c.id == _R.c.environment_id)
        )
        query = (
            select(*_EXECUTION, _C.c.id.label("case_id"), _E.c.platform)
            .select_from(joined)
            .where(*conditions)
            .order_by(_L.c.run_id.desc(), _L.c.ordinal.asc())
            .offset(offset)
            .limit(limit)
        )
        with transaction(self._engine, write=False) as connection:
            found = connection.execute(query).mappings().all()
            if found and len(found) < limit:
                total = offset + len(found)
            else:
                counted = select(func.count()).select_from(joined).where(*conditions)
                total = connection.execute(counted).scalar_one()
        return [_execution(row) for row in found], total
