"""Store of reports that workers make of finished runs."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from resit.domain.report import Report, ReportState
from resit.storage import tables
from resit.storage.dialect import upsert

_T, _R = tables.reports, tables.runs
_NAMES = tuple(Report.__dataclass_fields__)
_KEY = ("run_id", "kind")
_OPEN = [state.value for state in ReportState if state.open]


class Reports:
    """See ``resit.ports.made.ReportStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, run_id: int, kind: str) -> Report | None:
        query = select(_T).where(_T.c.run_id == run_id, _T.c.kind == kind)
        row = self._db.execute(query).mappings().first()
        return _report(row) if row else None

    def save(self, report: Report) -> None:
        values = {**asdict(report), "state": report.state.value}
        statement = upsert(self._db, _T)
        new = {name: statement.excluded[name] for name in _NAMES if name not in _KEY}
        self._db.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=new), [values])

    def touch(self, run_ids: Collection[int], kind: str, now: float) -> None:
        these = update(_T).where(_T.c.run_id.in_(list(run_ids)), _T.c.kind == kind, _T.c.state.in_(_OPEN))
        self._db.execute(these.values(touched_at=now))

    def quiet(self, before: float, limit: int) -> Sequence[tuple[Report, str]]:
        query = select(_T, _R.c.pool).join(_R, _R.c.id == _T.c.run_id)
        query = query.where(_T.c.state.in_(_OPEN), _T.c.touched_at < before, ~_R.c.gone)
        query = query.order_by(_T.c.touched_at, _T.c.run_id).limit(limit)
        return [(_report(row), row["pool"]) for row in self._db.execute(query).mappings()]


def _report(row: RowMapping) -> Report:
    values: dict[str, Any] = {name: row[name] for name in _NAMES}
    values["state"] = ReportState(row["state"])
    return Report(**values)
