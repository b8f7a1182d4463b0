"""Questions over many runs, as SQL."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from resit.ports.insights import CaseMetrics, DayOfRuns, Execution, Window


class SqlInsights:
    """See ``resit.ports.insights.Insights``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def days(self, which: Window) -> Sequence[DayOfRuns]:
        raise NotImplementedError

    def tests_by_day(self, which: Window) -> Sequence[tuple[str, int]]:
        raise NotImplementedError

    def metrics(self, which: Window) -> Sequence[CaseMetrics]:
        raise NotImplementedError

    def history(self, which: Window, cases: Sequence[str], limit: int) -> Mapping[str, Sequence[Execution]]:
        raise NotImplementedError

    def executions_of_file(
        self, project_id: int | None, file_id: int, case_id: int | None, offset: int, limit: int
    ) -> tuple[Sequence[Execution], int]:
        raise NotImplementedError
