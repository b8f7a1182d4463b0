"""Test definitions, and the files that they are in: what this API calls samples."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from resit.api.ccextractor import views, words
from resit.api.ccextractor.common import (
    Editor,
    Flag,
    Id,
    IdFilter,
    Paged,
    Reader,
    Text50,
    Text100,
    When,
    body,
    page,
    when,
    window,
)
from resit.api.ccextractor.schemas import RegressionTestChange, RegressionTestIn
from resit.api.context import Services, Use
from resit.api.dialect import Fault, Malformed, Raw
from resit.domain.access import Principal
from resit.domain.errors import Conflict, Forbidden, NotFound
from resit.domain.project import Platform
from resit.domain.status import Outcome
from resit.ports.insights import Execution, HistoryFilter
from resit.ports.reads import CaseFilter, FileFilter, FileView, TestCase

router = APIRouter(prefix="/api/v1")

ALL_FILES = 1_000_000
Activity = Literal["active", "inactive"]
Past = Literal["pass", "fail", "missing_output", "not_started"]
Sha256 = Annotated[str, Query(pattern=r"^([a-fA-F0-9]{64})?$")]
Extension = Annotated[str, Query(max_length=10, pattern=r"^[a-zA-Z0-9]*$")]
FROM_CODE = "regression tests come from the code of the test repository: change it there, and run it once"


@router.get("/regression-tests")
def list_regression_tests(
    use: Use,
    who: Reader,
    at: Paged,
    active: Flag = True,
    category: Text50 = "",
    tag: Text50 = "",
    sample_id: IdFilter = None,
) -> JSONResponse:
    """The tests of the suites, as they were listed last; with active=false those that are gone."""
    which = CaseFilter(active=active, drafts=False, folder=category, tags=(tag,) if tag else (), sample=sample_id)
    found = use.reads.cases_slice(who.project_id, which, at.offset, at.limit)
    return page(_definitions(use, found.items), found.total, at)


def _definitions(use: Services, cases: Sequence[TestCase]) -> list[dict[str, Any]]:
    """Test cases with the numbers of their files."""
    paths: dict[int, set[str]] = {}
    for case in cases:
        paths.setdefault(case.project_id, set()).add(case.file)
    numbers = {project: use.reads.file_numbers(project, files) for project, files in paths.items()}
    return [views.regression_out(case, numbers[case.project_id].get(case.file)) for case in cases]


@router.post("/regression-tests")
def add_regression_test(use: Use, who: Editor, request: Request, raw: Raw) -> JSONResponse:
    """Not supported."""
    asked = body(request, raw, RegressionTestIn)
    _file(use, who, asked.sample_id)
    raise Forbidden(FROM_CODE)


@router.get("/regression-tests/{regression_test_id}")
def get_regression_test(use: Use, who: Reader, regression_test_id: Id) -> JSONResponse:
    """One test; its expected outputs are in its code."""
    case = _case(use, who, regression_test_id)
    return JSONResponse({**_definitions(use, [case])[0], "outputs": []})


def _case(use: Services, who: Principal, id: int) -> TestCase:
    found = use.reads.cases_slice(who.project_id, CaseFilter(ids=(id,), drafts=False), 0, 1).items
    if not found:
        raise NotFound(f"no regression test {id}", resource="regression_test", id=id)
    return found[0]


@router.patch("/regression-tests/{regression_test_id}")
def change_regression_test(use: Use, who: Editor, request: Request, raw: Raw, regression_test_id: Id) -> JSONResponse:
    """Not supported."""
    asked = body(request, raw, RegressionTestChange)
    if not asked.model_fields_set:
        raise Malformed(Fault("", "name at least one field to change"))
    _case(use, who, regression_test_id)
    raise Forbidden(FROM_CODE)


@router.delete("/regression-tests/{regression_test_id}")
def delete_regression_test(use: Use, who: Editor, regression_test_id: Id) -> JSONResponse:
    """Not supported."""
    _case(use, who, regression_test_id)
    raise Conflict(FROM_CODE)


@router.get("/samples")
def list_samples(
    use: Use,
    who: Reader,
    at: Paged,
    status: Activity | None = None,
    name: Text100 = "",
    tag: Text50 = "",
    sha256: Sha256 = "",
    extension: Extension = "",
) -> JSONResponse:
    """The files of tests."""
    active = None if status is None else status == "active"
    which = FileFilter(text=name, active=active, extension=extension, tag=tag)
    if sha256:
        # The digest of a path is nowhere stored; who asks for one knows the file already.
        found = use.reads.files_like(who.project_id, which, 0, ALL_FILES).items
        items: Sequence[FileView] = [file for file in found if views.sha_of(file.path) == sha256.lower()]
        total, items = len(items), items[at.offset : at.offset + at.limit]
    else:
        piece = use.reads.files_like(who.project_id, which, at.offset, at.limit)
        items, total = piece.items, piece.total
    tags = use.reads.file_tags([file.id for file in items])
    return page([views.file_out(file, tags[file.id]) for file in items], total, at)


def _file(use: Services, who: Principal, id: int) -> FileView:
    found = use.reads.file(who.project_id, id)
    if found is None:
        raise NotFound(f"no sample {id}", resource="sample", id=id)
    return found


@router.get("/samples/{sample_id}")
def get_sample(use: Use, who: Reader, sample_id: Id) -> JSONResponse:
    """One file of tests."""
    file = _file(use, who, sample_id)
    return JSONResponse(views.file_out(file, use.reads.file_tags([file.id])[file.id]))


@router.get("/samples/{sample_id}/history")
def get_history(
    use: Use,
    who: Reader,
    at: Paged,
    sample_id: Id,
    regression_test_id: IdFilter = None,
    status: Past | None = None,
    branch: Text100 = "",
    platform: Platform | None = None,
    created_after: When = "",
    created_before: When = "",
) -> JSONResponse:
    """The results of a file's tests over all runs, newest run first."""
    start, end = window(created_after, created_before)
    file = _file(use, who, sample_id)
    if regression_test_id is not None:
        within = CaseFilter(ids=(regression_test_id,), sample=file.id)
        if not use.reads.cases_slice(who.project_id, within, 0, 1).items:
            raise Malformed(Fault("regression_test_id", f"not a test of sample {sample_id}"))
    which = HistoryFilter(
        outcomes=words.states(words.SampleWord(status)) if status else (),
        branch=branch,
        platform=platform,
        created_from=start,
        created_to=end,
        case_id=regression_test_id,
    )
    found, total = use.insights.executions_of_file(who.project_id, file.id, which, at.offset, at.limit)
    return page([_entry(execution) for execution in found], total, at)


def _entry(execution: Execution) -> dict[str, Any]:
    word = words.outcome_word(Outcome(execution.outcome))
    return {
        "run_id": execution.run_id,
        "regression_test_id": execution.case_id,
        "status": word.value,
        "platform": execution.platform.value,
        "branch": execution.branch[:100] or None,
        "commit_sha": words.commit_or_none(execution.commit),
        "tested_at": when(execution.at),
        "failure_signature": word.value if word is words.SampleWord.MISSING_OUTPUT else None,
    }
