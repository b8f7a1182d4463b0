"""Test cases: listed, written down (study 1.6 and 1.7)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.qatech.errors import Answer
from resit.api.qatech.schemas import CaseIn, CaseV1In
from resit.api.qatech.scope import Paged, Paging, ProjectName, application_name, number, project_of
from resit.api.qatech.starting import Unknown, not_there
from resit.api.qatech.views import CLASSIFICATION
from resit.domain.access import Principal, Scope
from resit.domain.errors import InvalidInput
from resit.domain.project import Project
from resit.ports import Ids
from resit.ports.reads import CaseFilter, TestCase

router = APIRouter()
MAX_LABELS = 100


def list_cases(
    use: Services,
    who: Principal,
    page: Paging,
    *,
    project: str | None,
    application: str | None,
    labels: str,
    enabled: bool | None,
) -> dict[str, Any]:
    """A piece of the list of a project's test cases; those of its suite are enabled."""
    who.need(Scope.RESULTS_READ)
    found = project_of(use, who, project)
    if application is not None:
        check_application(use.ids, found, application, not_there)
    tags = tuple(label.strip() for label in labels.split(",") if label.strip())
    if len(tags) > MAX_LABELS:
        raise InvalidInput(f"at most {MAX_LABELS} labels", field="labels")
    cases = use.reads.cases_slice(found.id, CaseFilter(active=enabled, tags=tags), page.offset, page.limit)
    items = [_case(use.ids, found, case) for case in cases.items]
    return {"testCases": items, "total": cases.total, "limit": page.limit, "offset": page.offset}


def check_application(ids: Ids, project: Project, name: str, unknown: Unknown) -> None:
    """Raise when a short id is not that of the project's one application."""
    if number(ids, name) != project.id:
        raise unknown(f"project {project.slug!r} has no application {name[:80]!r}", "applicationShortId")


def _case(ids: Ids, project: Project, case: TestCase) -> dict[str, Any]:
    return {
        "id": case.uuid,
        "name": case.title,
        "isEnabled": case.active and not case.draft,
        "labels": list(case.tags),
        "classification": CLASSIFICATION,
        "applicationShortId": application_name(ids, project),
        "applicationName": project.name,
        "goal": case.goal or None,
        "createdAt": iso(case.created_at),
    }


def create_case(use: Services, who: Principal, project: Project, asked: CaseIn, unknown: Unknown) -> dict[str, Any]:
    """Write a test case down, as a draft that no run executes."""
    if asked.config_short_ids or asked.config_ids:
        raise unknown("configurations are not supported: there is none with this id", "configShortIds")
    if asked.scenario_short_id is not None or asked.scenario_id is not None:
        raise unknown("scenarios are not supported: there is none with this id", "scenarioShortId")
    if asked.resume_from_dependency_project_test_case_id or asked.wait_for_dependencies_project_test_case_ids:
        raise InvalidInput("dependencies are not supported: the suite says in which order its tests run")
    goal = asked.goal
    if asked.expected_result:
        goal = f"{goal}\n\nExpected result: {asked.expected_result}"
    case = use.cases.add_draft(who, project.slug, name=asked.name, goal=goal)
    url = f"{use.url}/p/{project.slug}/test-cases/{case.uuid}"
    return {"success": True, "testCase": {"id": case.uuid, "name": asked.name, "url": url}}


def post_case(use: Services, who: Principal, body: object) -> dict[str, Any]:
    """Write a test case down, from a body."""
    who.need(Scope.RUNS_WRITE)
    asked = parse(CaseV1In, body)
    project = project_of(use, who, asked.project_short_id)
    check_application(use.ids, project, asked.application_short_id, not_there)
    return create_case(use, who, project, asked, not_there)


@router.get("/v1/test-cases")
def get_test_cases(
    use: Use,
    who: Who,
    page: Paged,
    project: ProjectName = None,
    application: Annotated[str | None, Query(alias="applicationShortId", max_length=500)] = None,
    labels: Annotated[str, Query(max_length=20_000)] = "",
    enabled: Annotated[bool | None, Query(alias="isEnabled")] = None,
) -> Response:
    """The test cases of a project."""
    found = list_cases(use, who, page, project=project, application=application, labels=labels, enabled=enabled)
    return Answer(found)


@router.post("/v1/test-cases")
def post_test_case(use: Use, who: Who, body: Raw) -> Response:
    """Write a test case down."""
    who.need(Scope.RUNS_WRITE)
    return Answer(post_case(use, who, load(body)))
