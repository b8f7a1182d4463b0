"""Test cases: listed, read, tagged (study 1.2)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import JSONResponse

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.empirical import schemas
from resit.api.empirical.scope import MAX_NUMBER, Page, Paging, Scoped, Text, answer, listed
from resit.domain.access import Scope
from resit.domain.errors import NotFound
from resit.ports.reads import CaseFilter, TestCase
from resit.services.cases import find_case

router = APIRouter()
MAX_IDS = 100
"""Ids of a filter that count (study 1.2)."""
Case = Annotated[str, Path(max_length=4000)]
Project = Annotated[str, Header(alias="x-project-id", max_length=15)]


def case_out(case: TestCase) -> dict[str, Any]:
    """A test case. Resit takes serial groups up by itself, so nobody has to know of dependencies."""
    return {
        "id": case.key or case.uuid,
        "name": case.title_path[-1] if case.title_path else case.test,
        "file_path": case.file,
        "suites": list(case.title_path[:-1]),
        "playwright_project": case.variant,
        "tags": list(case.tags),
        "created_at": iso(case.created_at),
        "updated_at": iso(case.updated_at or case.created_at),
        "first_seen_commit_sha": case.first_commit or None,
        "last_seen_commit_sha": case.last_commit or None,
        "dependencies": None,
    }


@router.get("/api/v2/test-cases")
@router.get("/api/test-cases/v2")
def list_test_cases(
    use: Use,
    who: Who,
    project: Scoped,
    ids: Annotated[str, Query(max_length=100_000)] = "",
    file_path: Text = "",
    playwright_project: Text = "",
    tags: Text = "",
    search: Text = "",
    first_seen_commit_sha: Text = "",
    last_seen_commit_sha: Text = "",
    is_active: Literal["true", "false", ""] = "",
    page: Page = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 100,
) -> JSONResponse:
    """The test cases of a project."""
    who.need(Scope.RESULTS_READ)
    paging = Paging(page, per_page)
    which = CaseFilter(
        active=None if not is_active else is_active == "true",
        names=tuple(listed(ids, MAX_IDS)),
        file_prefix=file_path,
        variant=playwright_project,
        tags=tuple(listed(tags)),
        search=search,
        first_commit=first_seen_commit_sha,
        last_commit=last_seen_commit_sha,
        drafts=False,
    )
    found = use.reads.cases_slice(project.id, which, paging.offset, paging.size)
    more = paging.offset + len(found.items) < found.total
    data = {"test_cases": [case_out(case) for case in found.items], "sync_error": None}
    return answer(data, pagination=paging.of(found.total, has_more=more))


def _number(header: str) -> int | None:
    """The project that a header names, to tell test cases of one name apart."""
    return int(header) if header.isascii() and header.isdigit() and 0 < int(header) < MAX_NUMBER else None


def _shown(use: Services, uuid: str) -> dict[str, Any]:
    found = use.reads.cases_of([uuid]).get(uuid)
    if found is None:
        raise NotFound("no such test case")
    return case_out(found)


@router.get("/api/v2/test-cases/{id}")
@router.get("/api/test-cases/v2/{id}")
def get_test_case(use: Use, who: Who, id: Case, project: Project = "") -> JSONResponse:
    """A test case."""
    who.need(Scope.RESULTS_READ)
    with use.store.read() as tx:
        _, case = find_case(tx, who, id, _number(project))
    return answer({"test_case": _shown(use, case.uuid)})


@router.patch("/api/v2/test-cases/{id}")
@router.patch("/api/test-cases/v2/{id}")
def set_tags(use: Use, who: Who, id: Case, raw: Raw, project: Project = "") -> JSONResponse:
    """Set a test case's tags. The test's source is never edited."""
    asked = parse(schemas.Tags, load(raw))
    uuid = use.cases.set_tags(who, id, asked.tags, _number(project))
    return answer({"test_case": _shown(use, uuid), "source_file_updated": False})
