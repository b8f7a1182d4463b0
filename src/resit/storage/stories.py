"""Runs that have ended and of which nobody was told yet, and what their stories are made of."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, case, func, select, update

from resit.domain.attempt import AttemptState
from resit.domain.run import Run
from resit.domain.status import ResultStatus
from resit.domain.trace import AttemptTime, Ended, ResultTime, Story
from resit.storage import rows, tables
from resit.storage.connect import transaction

_R, _L, _A = tables.results, tables.ledger, tables.attempts
_GOOD = [ResultStatus.PASSED.value, ResultStatus.SKIPPED.value]


class SqlStories:
    """See ``resit.ports.telemetry.Stories``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def untold(self, limit: int, besides: Collection[int] = ()) -> Sequence[Ended]:
        """Runs that have ended, those that ended first."""
        runs, projects, environments = tables.runs, tables.projects, tables.environments
        query = (
            select(runs, projects.c.slug.label("p_slug"), environments.c.slug.label("e_slug"))
            .join_from(runs, projects, runs.c.project_id == projects.c.id)
            .join(environments, runs.c.environment_id == environments.c.id)
            .where(runs.c.finished_at.is_not(None), runs.c.told_at.is_(None))
            .order_by(runs.c.finished_at, runs.c.id)
            .limit(limit)
        )
        if besides:
            query = query.where(runs.c.id.not_in(list(besides)))
        with transaction(self._engine, write=False) as db:
            found = db.execute(query).mappings().all()
        return [Ended(rows.run(row), row["p_slug"], row["e_slug"]) for row in found]

    def attempts(self, run_id: int) -> Mapping[str, int]:
        """How many attempts of a run came to which state."""
        query = select(_A.c.state, func.count()).where(_A.c.run_id == run_id).group_by(_A.c.state)
        with transaction(self._engine, write=False) as db:
            return {row[0]: row[1] for row in db.execute(query)}

    def story(self, ended: Ended, most: int) -> Story:
        """All that a trace is made of, with at most ``most`` attempts and as many results, the bad ones first."""
        run = ended.run
        with transaction(self._engine, write=False) as db:
            results, number = _results(db, run, most)
            query = select(_A).where(_A.c.run_id == run.id).order_by(_A.c.batch, _A.c.number).limit(most)
            attempts = [
                _attempt(row, results.get((row["batch"], row["number"]), ())) for row in db.execute(query).mappings()
            ]
            source = None
            if run.source_run_id is not None:
                row = db.execute(select(tables.runs).where(tables.runs.c.id == run.source_run_id)).mappings().first()
                source = rows.run(row) if row else None
        told = sum(len(attempt.results) for attempt in attempts)
        return Story(ended, attempts, source, max(0, number - told))

    def told(self, ids: Collection[int], now: float) -> None:
        """These are done with."""
        if not ids:
            return
        # What is forgotten with the machine's power is told once more.
        with transaction(self._engine, write=True, lasting=False) as db:
            db.execute(update(tables.runs).where(tables.runs.c.id.in_(sorted(ids))).values(told_at=now))


def _results(db: Connection, run: Run, most: int) -> tuple[dict[tuple[int, int], list[ResultTime]], int]:
    """Results of a run by batch and number of their attempt, and how many there are in all."""
    number = db.execute(select(func.count()).select_from(_R).where(_R.c.run_id == run.id)).scalar_one()
    bad_first = case((_R.c.status.in_(_GOOD), 1), else_=0)
    query = (
        select(
            _L.c.batch, _L.c.test, _L.c.file, _L.c.title,
            _R.c.ordinal, _R.c.attempt, _R.c.retry, _R.c.status, _R.c.started_at, _R.c.duration,
        )
        .join_from(_R, _L, (_R.c.run_id == _L.c.run_id) & (_R.c.ordinal == _L.c.ordinal))
        .where(_R.c.run_id == run.id)
        .order_by(bad_first, _R.c.ordinal, _R.c.attempt, _R.c.retry)
        .limit(most)
    )  # fmt: skip
    found: dict[tuple[int, int], list[ResultTime]] = {}
    for row in db.execute(query).mappings():
        found.setdefault((row["batch"], row["attempt"]), []).append(_result(row))
    return found, number


def _result(row: rows.AnyRow) -> ResultTime:
    names = ("ordinal", "test", "file", "title", "retry", "started_at", "duration")
    values: dict[str, Any] = {name: row[name] for name in names}
    return ResultTime(**values, status=ResultStatus(row["status"]))


def _attempt(row: rows.AnyRow, results: Sequence[ResultTime]) -> AttemptTime:
    names = ("batch", "number", "shard", "worker", "started_at")
    values: dict[str, Any] = {name: row[name] for name in names}
    return AttemptTime(**values, state=AttemptState(row["state"]), ended_at=row["seen_at"], results=results)
