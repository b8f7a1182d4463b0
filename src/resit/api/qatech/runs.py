"""Runs under ``/v1``: started, read, run again (seed; study 1.1 to 1.3, 1.8)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, load, parse
from resit.api.files import download
from resit.api.qatech import views
from resit.api.qatech.errors import Answer
from resit.api.qatech.schemas import RerunIn, StartV1In
from resit.api.qatech.scope import MAX_OFFSET, Paged, Paging, ProjectName, project_of, run_of
from resit.api.qatech.starting import not_there, start
from resit.api.qatech.words import TESTS_FAILED
from resit.domain.access import Principal, Scope
from resit.domain.errors import NotFound
from resit.domain.rerun import Again, SourceMust
from resit.domain.selection import Taken
from resit.domain.status import SelectionKind
from resit.domain.wire import SMALL
from resit.ports import Ledgered
from resit.ports.reads import LedgerFilter, RunView
from resit.services.links import signed_artifact

router = APIRouter()
Which = Literal["failed", "all"]
Short = Annotated[str, Path(alias="shortId")]


def start_run(use: Services, who: Principal, body: object) -> dict[str, Any]:
    """Start a run from a body."""
    who.need(Scope.RUNS_WRITE)
    asked = parse(StartV1In, body)
    project = project_of(use, who, asked.project_short_id)
    run, plan = start(use, who, project, asked, not_there)
    made = views.started(use, project.slug, run, use.runs.size(who, run.id))
    return {"success": True, "run": {**made, "testPlan": views.plan(use, plan, legacy=False)}}


def rerun_run(use: Services, who: Principal, short: str, body: object) -> dict[str, Any]:
    """Run the tests of a run again, as a new one."""
    who.need(Scope.RUNS_WRITE)
    asked = parse(RerunIn, body)
    source = run_of(use, who, short, asked.project_short_id, Scope.RUNS_WRITE)
    run, _ = use.runs.rerun(who, source.run.id, _again(asked))
    use.signals().outbox()
    return {"success": True, "run": views.started(use, source.project, run, use.runs.size(who, run.id))}


def _again(asked: RerunIn) -> Again:
    kind, tests = SelectionKind.ALL, tuple[str, ...]()
    if asked.project_test_case_ids is not None:
        kind, tests = SelectionKind.CHOSEN, tuple(asked.project_test_case_ids)
    elif asked.failed_only:
        kind = SelectionKind.FAILED
    return Again(kind=kind, tests=tests, taken=Taken.NOT_PASSED, source=SourceMust.EXIST)


def read_run(use: Services, who: Principal, short: str, which: Which | None, project: str | None) -> dict[str, Any]:
    """How a run stands, with all of its tests, those that did not pass, or none."""
    view = run_of(use, who, short, project)
    found: list[dict[str, Any]] = []
    if which is not None:
        who.need(Scope.RESULTS_READ)
        found = views.run_tests(use, who, view, TESTS_FAILED if which == "failed" else ())
    return {**views.status(use, view), "runTestCases": found}


@router.post("/v1/run")
def post_run(use: Use, who: Who, body: Raw) -> Response:
    """Start a run."""
    who.need(Scope.RUNS_WRITE)
    return Answer(start_run(use, who, load(body)))


@router.post("/run/{shortId}")
@router.post("/v1/run/{shortId}")
def post_rerun(use: Use, who: Who, short: Short, body: Raw) -> Response:
    """Run again."""
    who.need(Scope.RUNS_WRITE)
    return Answer(rerun_run(use, who, short, load(body)))


@router.get("/run/{shortId}")
@router.get("/v1/run/{shortId}")
def get_run(
    use: Use,
    who: Who,
    short: Short,
    project: ProjectName = None,
    test_cases: Annotated[Which | None, Query(alias="testCases")] = None,
    issues: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """How a run stands. ``issues`` is taken and shows nothing: Resit looks for none (see the differences)."""
    del issues
    return Answer(read_run(use, who, short, test_cases, project))


# ---------------------------------------------------------------- one test in a run


def _row(use: Services, who: Principal, short: str, project: str | None) -> tuple[RunView, Ledgered]:
    """A test in a run within reach, by its short id. Raises :class:`NotFound`."""
    run, ordinal = use.ids.numbers(short, 2) or (0, 0)
    missing = NotFound(f"no test {short[:80]!r} of a run")
    if not 0 < run < MAX_OFFSET or not 0 < ordinal <= SMALL:
        raise missing
    try:
        view = run_of(use, who, str(run), project, Scope.RESULTS_READ)
    except NotFound as error:
        raise missing from error
    found = views.ledger(use, who, view, LedgerFilter(after=ordinal - 2), 1)
    if not found or found[0].row.ordinal != ordinal - 1:
        raise missing
    return view, found[0]


@router.get("/v1/run-test-case/{shortId}")
def get_run_test_case(use: Use, who: Who, short: Short, project: ProjectName = None) -> Response:
    """One execution of one test."""
    view, item = _row(use, who, short, project)
    results = use.reads.results(view.run.id, [item.row.ordinal])
    return Answer(views.detail(use, view, item, results.get(item.row.ordinal, ())))


@router.get("/v1/run-test-case/{shortId}/trace")
def get_trace(use: Use, who: Who, short: Short, page: Paged, project: ProjectName = None) -> Response:
    """The steps of one execution, a piece at a time."""
    view, item = _row(use, who, short, project)
    results = use.reads.results(view.run.id, [item.row.ordinal]).get(item.row.ordinal, ())
    steps = views.steps(use, view, results)
    return Answer({"runTestCaseShortId": short, **_piece(page, len(steps)), "steps": _some(steps, page)})


def _piece(page: Paging, total: int) -> dict[str, Any]:
    return {"total": total, "limit": page.limit, "offset": page.offset}


def _some(items: list[dict[str, Any]], page: Paging) -> list[dict[str, Any]]:
    return items[page.offset : page.offset + page.limit]


@router.get("/v1/artifacts/{id}/content")
def read_file(
    use: Use,
    id: Annotated[str, Path(max_length=100)],
    exp: Annotated[int, Query(ge=0, lt=MAX_OFFSET)],
    sig: Annotated[str, Query(max_length=1000)],
) -> Response:
    """A stored file, opened by the link that a test's detail has."""
    with use.store.read() as tx:
        artifact = signed_artifact(tx, use.signer, use.clock.now(), id, exp, sig)
    return download(use, artifact.key, artifact.name or artifact.id, artifact.content_type)
