"""Analytics: runs and tests by day, how test cases fare (study 1.5 and 2.11)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.empirical import schemas, words
from resit.api.empirical.scope import MAX_NUMBER, Scoped, Text, answer, listed
from resit.api.empirical.views import milliseconds, moment
from resit.domain.access import Scope
from resit.domain.errors import InvalidInput
from resit.domain.insights import MetricsOrder, Span, change, ordered, rates, span, summary
from resit.domain.project import Project
from resit.domain.status import Outcome
from resit.ports.insights import CaseMetrics, DayOfRuns, Execution, Window
from resit.ports.reads import CaseFilter, TestCase

router = APIRouter()
ALL = 1_000_000
"""More test cases than a project has."""
MAX_ROWS = 500
HISTORY = 50
"""Executions of a test case that are shown when nothing is said."""


def _date(text: str | None, field: str) -> date | None:
    """A day, or the UTC day of a time. Raises :class:`InvalidInput`."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC).date() if found.tzinfo else found.date()
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{field} is no day: send one like 2026-11-22", field=field) from error


def _environment(text: str | int | None) -> int | None:
    if text is None or text == "":
        return None
    words = str(text)
    if not (words.isascii() and words.isdigit() and len(words) < 16 and 0 < int(words) < MAX_NUMBER):
        raise InvalidInput("environment_id is an environment's number", field="environment_id")
    return int(words)


class Asked:
    """The window of a request, as its query says it."""

    def __init__(
        self,
        days: Annotated[int | None, Query(ge=1, le=90)] = None,
        start_date: Text = "",
        end_date: Text = "",
        environment_id: Text = "",
    ) -> None:
        self.days, self.start, self.end = days, _date(start_date, "start_date"), _date(end_date, "end_date")
        self.environment_id = _environment(environment_id)

    def window(self, use: Services, project: Project, default: int, branch: str = "") -> Window:
        """The window in a project; ``default`` days when nothing is said."""
        found = span(use.clock.now(), self.days, self.start, self.end, default=default)
        return window_of(found, project, self.environment_id, branch)


Over = Annotated[Asked, Depends()]


def window_of(found: Span, project: Project, environment_id: int | None, branch: str = "") -> Window:
    """Days as a window in a project."""
    return Window(project_id=project.id, start=found.start, end=found.end, environment_id=environment_id, branch=branch)


# ---------------------------------------------------------------- by day


def _day(day: DayOfRuns) -> dict[str, Any]:
    return {
        "date": day.date,
        "run_count": day.runs,
        "passed_runs": day.passed,
        "failed_runs": day.failed,
        "error_runs": day.errored,
        "cancelled_runs": day.cancelled,
        "rerun_count": day.reruns,
        "total_tests": day.tests,
        "passed_tests": day.tests_passed,
        "failed_tests": day.tests_failed,
        "failed_tests_after_snooze": day.tests_blocking,
        "flaky_tests": day.tests_flaky,
    }


@router.get("/api/v2/analytics/test-runs")
@router.get("/api/v1/analytics/test-runs")
def runs_by_day(use: Use, who: Who, project: Scoped, over: Over, branch: Text = "") -> JSONResponse:
    """Runs that are over by the UTC day on which they were made."""
    who.need(Scope.RUNS_READ)
    days = use.insights.days(over.window(use, project, 30, branch))
    found = summary(days)
    said = {
        "total_runs": found.runs,
        "passed_runs": found.passed,
        "failed_runs": found.failed,
        "error_runs": found.errored,
        "pass_rate": found.pass_rate,
        "avg_tests_per_run": found.tests_per_run,
        "rerun_count": found.reruns,
        "rerun_rate": found.rerun_rate,
    }
    return answer({"daily": [_day(day) for day in days], "summary": said})


@router.get("/api/v2/analytics/test-count")
@router.get("/api/v1/analytics/test-count")
def tests_by_day(use: Use, who: Who, project: Scoped, over: Over) -> JSONResponse:
    """How many different tests were executed on each day."""
    who.need(Scope.RESULTS_READ)
    days = use.insights.tests_by_day(over.window(use, project, 90))
    found = change([number for _, number in days])
    said = {
        "latest_count": found.latest,
        "first_count": found.first,
        "change": found.change,
        "change_percent": found.percent,
    }
    return answer({"daily": [{"date": day, "test_count": number} for day, number in days], "summary": said})


# ---------------------------------------------------------------- by test case


def _row(case: TestCase, metrics: CaseMetrics) -> dict[str, Any]:
    found = rates(metrics)
    return {
        "test_case_id": case.key or case.uuid,
        "test_name": case.title_path[-1] if case.title_path else case.test,
        "file_path": case.file,
        "project_name": case.variant,
        "tags": list(case.tags),
        "last_run_at": moment(metrics.last_run_at),
        "metrics": {
            "total_runs": metrics.total,
            "pass_count": metrics.passed,
            "fail_count": metrics.failed,
            "flaky_count": metrics.flaky,
            "pass_rate": found.passed,
            "fail_rate": found.failed,
            "flaky_rate": found.flaky,
        },
    }


def _execution(found: Execution) -> dict[str, Any]:
    return {
        "timestamp": iso(found.at),
        "status": words.history_status(Outcome(found.outcome)),
        "test_run_id": str(found.run_id),
        "environment_id": str(found.environment_id),
        "executed_at": iso(found.at),
        "duration_total": milliseconds(found.duration),
        "retries": found.retries,
    }


class Filters:
    """Which test cases, and in which order."""

    def __init__(
        self,
        search: Text = "",
        tags: Text = "",
        test_case_id: Annotated[str, Query(max_length=4000)] = "",
        is_active: Literal["true", "false", ""] = "",
        order_by: MetricsOrder = MetricsOrder.FAIL_RATE,
        order: Literal["asc", "desc"] = "desc",
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
        limit_history: Annotated[int, Query(ge=1, le=100)] = HISTORY,
    ) -> None:
        self.order_by, self.descending, self.limit, self.limit_history = order_by, order == "desc", limit, limit_history
        self.cases = CaseFilter(
            active=None if is_active == "false" or test_case_id else True,
            search=search,
            tags=tuple(listed(tags)),
            names=(test_case_id,) if test_case_id else (),
            drafts=False,
        )


Which = Annotated[Filters, Depends()]


def _rows(
    use: Services, project: Project, window: Window, which: Filters
) -> tuple[list[tuple[TestCase, CaseMetrics]], dict[str, int]]:
    """The test cases in their order with their metrics, and the summary over all that the filters let through."""
    metrics = {found.case_uuid: found for found in use.insights.metrics(window)}
    cases = use.reads.cases_slice(project.id, which.cases, 0, ALL).items
    pairs = [(case, metrics.get(case.uuid) or _nothing(case)) for case in cases]
    said = {
        "total_test_cases": len(pairs),
        "test_cases_with_history": sum(found.total > 0 for _, found in pairs),
    }
    pairs = ordered(pairs, lambda pair: pair[1], which.order_by, descending=which.descending)
    return pairs[: which.limit], said


def _nothing(case: TestCase) -> CaseMetrics:
    return CaseMetrics(case_uuid=case.uuid, passed=0, failed=0, flaky=0, last_run_at=None)


@router.get("/api/v2/analytics/test-cases")
def by_test_case(use: Use, who: Who, project: Scoped, over: Over, which: Which) -> JSONResponse:
    """How test cases fare."""
    who.need(Scope.RESULTS_READ)
    pairs, said = _rows(use, project, over.window(use, project, 7), which)
    return answer({"test_cases": [_row(case, metrics) for case, metrics in pairs], "summary": said})


@router.get("/api/v1/analytics/test-cases")
def by_test_case_before(use: Use, who: Who, project: Scoped, over: Over, which: Which) -> JSONResponse:
    """The same with each test case's history; with ``test_case_id`` the other filters are ignored."""
    who.need(Scope.RESULTS_READ)
    window = over.window(use, project, 7)
    if which.cases.names:
        which.cases = CaseFilter(names=which.cases.names, drafts=False)
    pairs, said = _rows(use, project, window, which)
    history = use.insights.history(window, [case.uuid for case, _ in pairs], which.limit_history).by_case
    rows = [
        {**_row(case, metrics), "history": [_execution(found) for found in history.get(case.uuid, ())]}
        for case, metrics in pairs
    ]
    return answer({"test_cases": rows, "summary": said})


@router.post("/api/v2/analytics/test-case-history/batch")
def history_batch(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """The executions of several test cases, newest first. A test case that is not known has none."""
    who.need(Scope.RESULTS_READ)
    asked = parse(schemas.HistoryAsked, load(raw))
    start, end = _date(asked.start_date, "start_date"), _date(asked.end_date, "end_date")
    found = span(use.clock.now(), asked.days, start, end, default=30)
    window = window_of(found, project, _environment(asked.environment_id))
    ids = list(dict.fromkeys(asked.test_case_ids))
    cases = use.reads.cases_slice(project.id, CaseFilter(names=tuple(ids), drafts=False), 0, ALL).items
    uuids = _uuids(cases)
    history = use.insights.history(window, [case.uuid for case in cases], asked.limit_per_test_case)
    by_id = {id: [_execution(e) for e in history.by_case.get(uuids.get(id, ""), ())] for id in ids}
    meta = {
        "project_id": str(project.id),
        "days": None if start else asked.days or 30,
        "start_date": asked.start_date or None,
        "end_date": asked.end_date or None,
        "environment_id": None if window.environment_id is None else str(window.environment_id),
        "limit_per_test_case": asked.limit_per_test_case,
        "truncated_test_case_ids": [id for id in ids if uuids.get(id) in history.truncated],
    }
    return answer({"history_by_test_case_id": by_id}, meta=meta)


def _uuids(cases: Sequence[TestCase]) -> Mapping[str, str]:
    """The UUIDs of test cases by all their names."""
    return {name: case.uuid for case in cases for name in (case.test, case.uuid, case.key)}


@router.get("/api/analytics/{name}")
def before_versions(request: Request, name: Literal["test-runs", "test-count", "test-cases"]) -> RedirectResponse:
    """Paths without a version lead to the first one. Relative, so that a path in front of ours stays."""
    query = bytes(request.scope["query_string"]).decode("latin-1")
    return RedirectResponse(f"../v1/analytics/{name}{'?' if query else ''}{query}", 307)
