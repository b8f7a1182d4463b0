"""The older API under ``/api/projects/{id}``, which every released GitHub Action speaks (study 1.4, 1.5, 3.1)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from resit.api.context import Services, Use, principal
from resit.api.dialect import Raw, load, parse
from resit.api.qatech import views
from resit.api.qatech.cases import create_case
from resit.api.qatech.errors import Answer
from resit.api.qatech.schemas import CaseLegacyIn, StartIn
from resit.api.qatech.scope import run_of
from resit.api.qatech.starting import not_valid, start
from resit.api.qatech.words import Result
from resit.domain.access import Principal, Scope
from resit.domain.errors import Forbidden, InvalidInput, NotFound
from resit.domain.project import Project
from resit.domain.status import Outcome
from resit.services.reach import project_of_uuid

router = APIRouter(prefix="/api/projects/{projectId}")
SIGNATURE = "x-webhook-signature"
Uuid = Annotated[str, Path(alias="projectId")]


def bearer(request: Request, use: Use) -> Principal:
    """Who asks. A signed hook can't be verified, because Resit stores no token that it could be signed with."""
    if SIGNATURE in request.headers and "authorization" not in request.headers:
        raise Forbidden("X-Webhook-Signature is not supported: send 'Authorization: Bearer <token>'")
    return principal(request, use)


Who = Annotated[Principal, Depends(bearer)]


def _project(use: Services, who: Principal, uuid: str) -> Project:
    with use.store.read() as tx:
        return project_of_uuid(tx, who, uuid)


@router.post("/runs")
def post_run(use: Use, who: Who, uuid: Uuid, body: Raw) -> Response:
    """Start a run."""
    who.need(Scope.RUNS_WRITE)
    asked = parse(StartIn, load(body))
    project = _project(use, who, uuid)
    run, plan = start(use, who, project, asked, not_valid)
    made = views.started(use, project.slug, run, use.runs.size(who, run.id))
    return Answer({"success": True, "run": {**made, "testPlan": views.plan(use, plan, legacy=True)}})


@router.get("/runs/{shortId}")
def get_run(use: Use, who: Who, uuid: Uuid, short: Annotated[str, Path(alias="shortId")]) -> Response:
    """How a run stands; once its result is *failed*, with the tests that failed."""
    view = run_of(use, who, short, None)
    if view.run.project_id != _project(use, who, uuid).id:
        raise NotFound(f"no run {short[:80]}")
    said = views.status(use, view)
    failed = views.run_tests(use, who, view, (Outcome.FAILED,)) if said["result"] is Result.FAILED else []
    ids = {"id": said["id"], "shortId": said["shortId"], "short_id": said["shortId"]}
    return Answer({**ids, "status": said["status"], "result": said["result"], "failedTestCases": failed})


@router.post("/test-cases")
def post_test_case(use: Use, who: Who, uuid: Uuid, body: Raw) -> Response:
    """Write a test case down. A project is its own one application, and lends it its UUID."""
    who.need(Scope.RUNS_WRITE)
    asked = parse(CaseLegacyIn, load(body))
    project = _project(use, who, uuid)
    if asked.application_id != project.uuid:
        raise InvalidInput(f"project {project.slug!r} has no application {asked.application_id}", field="applicationId")
    return Answer(create_case(use, who, project, asked, not_valid))
