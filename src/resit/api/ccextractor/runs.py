"""Runs: listed, queued, cancelled, run again."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse

from resit.api.ccextractor import views, words
from resit.api.ccextractor.common import (
    Id,
    Paged,
    Reader,
    Text100,
    When,
    Writer,
    body,
    page,
    run_within,
    window,
)
from resit.api.ccextractor.errors import Refused, unprocessable
from resit.api.ccextractor.schemas import CancelIn, RetryIn, RunIn
from resit.api.context import Services, Use
from resit.api.dialect import Fault, Malformed, Raw
from resit.domain.access import Principal
from resit.domain.errors import Forbidden
from resit.domain.project import Platform, Project, for_platform, source_repository
from resit.domain.rerun import Again
from resit.domain.run import Build
from resit.domain.selection import Taken
from resit.domain.status import SelectionKind
from resit.ports.reads import CaseFilter, RunFilter, RunOrder
from resit.services.requests import Request as Wish

router = APIRouter(prefix="/api/v1/runs")

Sort = Literal["created_at", "-created_at", "run_id", "-run_id"]
Event = Literal["queued", "preparation", "testing", "completed", "canceled"]
Sha = Annotated[str, Query(pattern=r"^([a-fA-F0-9]{40})?$")]
Repository = Annotated[str, Query(max_length=100, pattern=r"^([a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+)?$")]
Key = Annotated[str, Header(alias="Idempotency-Key")]


@router.get("")
def list_runs(
    use: Use,
    who: Reader,
    at: Paged,
    status: words.RunWord | None = None,
    branch: Text100 = "",
    commit_sha: Sha = "",
    ccx_version: Annotated[str, Query(max_length=10)] = "",
    repository: Repository = "",
    platform: Platform | None = None,
    created_after: When = "",
    created_before: When = "",
    sort: Sort = "-created_at",
) -> JSONResponse:
    """Runs, newest first unless asked otherwise."""
    if ccx_version:
        raise Malformed(Fault("ccx_version", "no such release: filter by commit_sha"))
    start, end = window(created_after, created_before)
    project_ids = None
    if repository:
        project_ids = tuple(project.id for project in use.reads.projects_for(who.project_id, repository))
    which = RunFilter(
        project_id=who.project_id,
        project_ids=project_ids,
        platform=platform,
        kinds=words.kinds(status) if status else (),
        build_branch=branch,
        build_commit=commit_sha,
        created_from=start,
        created_to=end,
    )
    order = RunOrder.NEWEST if sort.startswith("-") else RunOrder.OLDEST
    found = use.reads.runs_slice(which, at.offset, at.limit, order)
    return page([views.run_out(view, use.url) for view in found.items], found.total, at)


@router.post("")
def create_run(use: Use, who: Writer, request: Request, raw: Raw, key: Key = "") -> JSONResponse:
    """Queue a run of what tests a repository, in the environment that stands for a platform."""
    asked = body(request, raw, RunIn)
    project = _project(use, who, asked.repository)
    environment = for_platform(use.reads.environments(project.id), asked.platform)
    if environment is None:
        raise unprocessable(
            f"project {project.slug} has no environment for {asked.platform.value}: add one, or enable it",
            commit_sha=asked.commit_sha,
            platform=asked.platform.value,
        )
    # Where the tests live in the repository under test, that commit's tests are meant.
    tests_there = source_repository(project.source).lower() == asked.repository.lower()
    wish = Wish(
        environment=environment.slug,
        build=Build(commit=asked.commit_sha, branch=asked.branch, repository=asked.repository),
        commit=asked.commit_sha if tests_there else "",
        tests=_tests(use, project, asked.regression_test_ids or ()),
        metadata={} if asked.pull_request is None else {words.PULL_REQUEST: asked.pull_request},
    )
    run, _ = use.runs.trigger(who, project.slug, wish, key)
    use.signals().outbox()
    return JSONResponse(views.run_out(run_within(use, who, run.id), use.url), 202)


def _project(use: Services, who: Principal, repository: str) -> Project:
    """The project within reach that tests a repository. Raises :class:`Forbidden`, :class:`Refused`."""
    found = use.reads.projects_for(who.project_id, repository)
    if not found:
        raise Forbidden(
            f"no project within reach tests {repository}: register one, or use a token that reaches it",
            owner_required=repository.partition("/")[0],
            repository=repository,
        )
    if len(found) > 1:
        slugs = [project.slug for project in found[:20]]
        message = f"{len(found)} projects test {repository} ({', '.join(slugs)}): use a token that is bound to one"
        raise unprocessable(message, projects=slugs)
    return found[0]


def _tests(use: Services, project: Project, ids: Sequence[int]) -> tuple[str, ...]:
    """The names of tests. Raises :class:`Refused` (422) for numbers that are unknown or not active."""
    if not ids:
        return ()
    cases = use.reads.cases_slice(project.id, CaseFilter(active=True, drafts=False, ids=tuple(ids)), 0, len(ids)).items
    names = {case.id: case.test for case in cases}
    if gone := [id for id in ids if id not in names]:
        raise unprocessable(
            f"{len(gone)} of the regression tests are unknown or inactive: see GET /regression-tests", inactive_ids=gone
        )
    return tuple(names[id] for id in ids)


@router.get("/{run_id}")
def get_run(use: Use, who: Reader, run_id: Id) -> JSONResponse:
    """One run."""
    return JSONResponse(views.run_out(run_within(use, who, run_id), use.url))


@router.get("/{run_id}/summary")
def get_summary(use: Use, who: Reader, run_id: Id) -> JSONResponse:
    """Counts of outcomes."""
    view = run_within(use, who, run_id)
    planned = 0 if view.run.counts.total else len(use.runs.foreseen(who, run_id))
    return JSONResponse(views.summary_out(view.run, planned, use.reads.test_seconds(run_id)))


@router.get("/{run_id}/progress")
def get_progress(use: Use, who: Reader, at: Paged, run_id: Id, status: Event | None = None) -> JSONResponse:
    """What became of a run, oldest first."""
    found = views.progress_out(run_within(use, who, run_id).run)
    if status:
        found = [event for event in found if event["status"] == status]
    return page(found[at.offset : at.offset + at.limit], len(found), at)


@router.get("/{run_id}/config")
def get_config(use: Use, who: Reader, run_id: Id) -> JSONResponse:
    """What the run was asked to execute; at most 500 of its tests by number, then ``truncated`` says so."""
    view = run_within(use, who, run_id)
    numbers, total = views.numbers_of(use, who, view)
    document: dict[str, Any] = {
        "run_id": run_id,
        "platform": view.platform.value,
        "branch": words.branch_of(view.run),
        "commit_sha": words.commit_of(view.run),
        "regression_test_ids": numbers,
    }
    if total > views.MAX_IDS:
        document |= {"truncated": True, "regression_test_count": total}
    return JSONResponse(document)


@router.post("/{run_id}/retry")
def retry(use: Use, who: Writer, request: Request, raw: Raw, run_id: Id, key: Key = "") -> JSONResponse:
    """A new run with the configuration of an existing one, which is never touched."""
    asked = body(request, raw, RetryIn, optional=True)
    again = Again(
        kind=SelectionKind.FAILED if asked.failed_only else SelectionKind.ALL,
        taken=Taken.RAN_AND_FAILED,
        reason=asked.reason,
    )
    made, _ = use.runs.rerun(who, run_id, again, key=key)
    use.signals().outbox()
    what = "the failed tests" if asked.failed_only else "all tests"
    return _acted(run_id, "retry", "accepted", f"Run {made.id} is queued: {what} of run {run_id}", made.id)


@router.post("/{run_id}/cancel")
def cancel(use: Use, who: Writer, request: Request, raw: Raw, run_id: Id) -> JSONResponse:
    """Stop a run; nothing happens to one that has ended."""
    asked = body(request, raw, CancelIn, optional=True)
    run, stopped = use.runs.cancel(who, run_id, asked.reason)
    if not stopped:
        word = words.run_word(run.status, run.verdict).value
        return _acted(run_id, "cancel", "no_op", f"Run {run_id} had ended: {word}")
    use.signals().outbox()
    use.signals().changed([run_id])
    return _acted(run_id, "cancel", "accepted", f"Run {run_id} is canceled")


@router.post("/{run_id}/restart")
def restart(use: Use, who: Writer, run_id: Id) -> JSONResponse:
    """Not supported: it would wipe the results of the run (study, section 5, item 1)."""
    run_within(use, who, run_id)
    raise Refused(
        405,
        "method_not_allowed",
        f"a run is never wiped here: POST /runs/{run_id}/retry makes a new one of the same tests",
    )


def _acted(run_id: int, action: str, status: str, message: str, new_run_id: int | None = None) -> JSONResponse:
    document: dict[str, Any] = {"run_id": run_id, "action": action, "status": status, "message": message}
    if new_run_id is not None:
        document["new_run_id"] = new_run_id
    return JSONResponse(document, 202)
