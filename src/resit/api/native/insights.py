"""Routes that look over many runs: by day, and by test case."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from resit.api.context import Services, Use, Who
from resit.api.native.catalog_schemas import when
from resit.domain.access import Principal, Scope
from resit.domain.errors import NotFound
from resit.domain.insights import MAX_DAYS, MetricsOrder, Span, ordered, rates, span, summary
from resit.ports.insights import CaseMetrics, DayOfRuns, Window
from resit.ports.reads import TestCase
from resit.services.catalog import find_project

router = APIRouter(prefix="/resit/v1")
DAYS = 30


class Over(BaseModel):
    """What was asked for: a time, and what narrows it."""

    environment: str
    branch: str
    days: int | None
    start_date: date | None
    end_date: date | None

    def window(self, use: Services, who: Principal, slug: str) -> tuple[Window, Span]:
        """The window over a project within reach. Raises :class:`NotFound` and ``InvalidInput``."""
        days = span(use.clock.now(), self.days, self.start_date, self.end_date, default=DAYS)
        with use.store.read() as tx:
            project = find_project(tx, who, slug)
            found = tx.projects.environment_by_slug(project.id, self.environment) if self.environment else None
        if self.environment and found is None:
            raise NotFound(f"no environment {self.environment[:80]!r}", field="environment")
        number = found.id if found else None
        window = Window(
            project_id=project.id, start=days.start, end=days.end, environment_id=number, branch=self.branch
        )
        return window, days


def over(
    environment: Annotated[str, Query(max_length=100, description="Slug; none: all")] = "",
    branch: Annotated[
        str, Query(max_length=500, description="Of what was under test, or of the tests; none: all")
    ] = "",
    days: Annotated[
        int | None,
        Query(ge=1, le=MAX_DAYS, description=f"Days up to and with today; {DAYS} if nothing is said"),
    ] = None,
    start_date: Annotated[date | None, Query(description="First day (UTC), together with `end_date`")] = None,
    end_date: Annotated[date | None, Query(description="Last day (UTC), inclusive")] = None,
) -> Over:
    """The part of the query that says which runs."""
    return Over(environment=environment, branch=branch, days=days, start_date=start_date, end_date=end_date)


Asked = Annotated[Over, Depends(over)]


class DayOut(BaseModel):
    """Runs made on one UTC day that are over."""

    date: date
    runs: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    reruns: int
    tests: int
    tests_passed: int = Field(description="Flaky ones included")
    tests_failed: int
    tests_blocking: int = Field(description="Failed ones that no snooze covers")
    tests_flaky: int

    @classmethod
    def of(cls, value: DayOfRuns) -> "DayOut":
        """The words for a day."""
        members = {name: getattr(value, name) for name in cls.model_fields if name != "date"}
        return cls(date=date.fromisoformat(value.date), **members)


class RunsOut(BaseModel):
    """Runs by day, days without runs left out, and all of them together. Rates are whole percents."""

    first_day: date
    last_day: date
    days: list[DayOut]
    runs: int
    passed: int
    failed: int
    errored: int
    cancelled: int
    reruns: int
    pass_rate: int
    rerun_rate: int
    tests_per_run: int


class CaseOut(BaseModel):
    """How one test case fared. Skipped executions do not count; rates are whole percents of the others."""

    id: str
    test: str
    file: str
    title: str
    variant: str
    tags: list[str]
    active: bool
    passed: int
    failed: int = Field(description="Errored ones included")
    flaky: int
    pass_rate: int
    fail_rate: int
    flaky_rate: int
    last_run_at: datetime | None

    @classmethod
    def of(cls, case: TestCase, value: CaseMetrics) -> "CaseOut":
        """The words for a test case."""
        shown = rates(value)
        return cls(
            id=case.uuid,
            test=case.test,
            file=case.file,
            title=case.title,
            variant=case.variant,
            tags=list(case.tags),
            active=case.active,
            passed=value.passed,
            failed=value.failed,
            flaky=value.flaky,
            pass_rate=shown.passed,
            fail_rate=shown.failed,
            flaky_rate=shown.flaky,
            last_run_at=when(value.last_run_at),
        )


class CasesOut(BaseModel):
    """The first of the test cases in the order asked for. ``total``: all that were executed."""

    first_day: date
    last_day: date
    items: list[CaseOut]
    total: int


@router.get("/projects/{slug}/insights/runs", tags=["insights"])
def runs_by_day(use: Use, who: Who, slug: str, asked: Asked) -> RunsOut:
    """How runs came out, day by day."""
    who.need(Scope.RUNS_READ)
    window, days = asked.window(use, who, slug)
    found = use.insights.days(window)
    together = summary(found)
    return RunsOut(
        first_day=days.first,
        last_day=days.last,
        days=[DayOut.of(day) for day in found],
        runs=together.runs,
        passed=together.passed,
        failed=together.failed,
        errored=together.errored,
        cancelled=together.cancelled,
        reruns=together.reruns,
        pass_rate=together.pass_rate,
        rerun_rate=together.rerun_rate,
        tests_per_run=together.tests_per_run,
    )


@router.get("/projects/{slug}/insights/tests", tags=["insights"])
def cases_by_rate(
    use: Use,
    who: Who,
    slug: str,
    asked: Asked,
    order: Annotated[MetricsOrder, Query(description="What comes first: the highest rate, or the last run")] = (
        MetricsOrder.FAIL_RATE
    ),
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> CasesOut:
    """Which test cases fail, and which are flaky."""
    who.need(Scope.RESULTS_READ)
    window, days = asked.window(use, who, slug)
    found = ordered(use.insights.metrics(window), lambda metrics: metrics, order)
    shown = found[:limit]
    cases = use.reads.cases_of([metrics.case_uuid for metrics in shown])
    return CasesOut(
        first_day=days.first,
        last_day=days.last,
        items=[CaseOut.of(cases[item.case_uuid], item) for item in shown if item.case_uuid in cases],
        total=len(found),
    )
