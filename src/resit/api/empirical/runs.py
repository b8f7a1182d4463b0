"""Test runs: triggered, listed, read, cancelled, run again (study 1.1)."""

import re
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from resit.api.context import Services, Use, Who
from resit.api.dialect import Raw, iso, load, parse
from resit.api.empirical import schemas, words
from resit.api.empirical.errors import refusal
from resit.api.empirical.scope import (
    MAX_NUMBER,
    Id,
    Number,
    Page,
    Paging,
    Scoped,
    Text,
    answer,
    numbers,
    same_project,
)
from resit.api.empirical.views import (
    FINAL,
    UNNAMED_BRANCH,
    case_row,
    chosen,
    details,
    project_out,
    run_out,
    run_whole,
    triggered,
)
from resit.api.files import download
from resit.domain import admission
from resit.domain.access import Principal, Scope
from resit.domain.errors import InvalidInput, NotFound
from resit.domain.ids import large, small
from resit.domain.project import Environment, Project
from resit.domain.rerun import Again, SourceMust
from resit.domain.run import Build, Run
from resit.domain.selection import Taken
from resit.domain.status import SelectionKind
from resit.ports import ArtifactRow
from resit.ports.reads import LedgerFilter, RunFilter, RunView
from resit.services.links import LINK_SECONDS, sign_artifact, signed_artifact
from resit.services.requests import Request
from resit.services.runs import find_run

router = APIRouter()
DAY = 86_400.0
RUN_CASES = 1000
"""The greatest page of a run's tests (study 4, number 18)."""


def view_of(use: Services, who: Principal, id: int, scope: Scope = Scope.RUNS_READ) -> RunView:
    """A run within reach. Raises :class:`NotFound` for all others, in the same words."""
    who.need(scope)
    with use.store.read() as tx:
        run = find_run(tx, use.ids, who, id)
    found = use.reads.run(run.id)
    if found is None:
        raise NotFound(f"no run {id}")
    return found


def environments_of(use: Services, project_id: int) -> dict[int, Environment]:
    """The environments of a project by their numbers."""
    return {environment.id: environment for environment in use.reads.environments(project_id)}


# ---------------------------------------------------------------- trigger


def _environment(use: Services, project: Project, name: str) -> str:
    """The slug that a request means: clients write it in either case (study 4, number 22)."""
    if name.strip():
        return name.strip().lower()
    known = ", ".join(e.slug for e in use.reads.environments(project.id) if not e.disabled)
    raise InvalidInput(f"environment is missing: name one of {known}", field="environment")


def start(use: Services, who: Principal, project: Project, asked: schemas.Trigger) -> Run:
    """Do what a trigger asks: a run, or a re-run when it names a source."""
    same_project(project, asked.project_id)
    if asked.branch and any(asked.build.model_dump().values()):
        raise InvalidInput("branch and build can't be used together: send one of them", field="branch")
    if asked.rerun_only_failed and asked.rerun_source_id is None:
        raise InvalidInput(
            "rerun_only_failed needs rerun_source_id: say which run is run again", field="rerun_source_id"
        )
    group = asked.concurrency
    request = Request(
        environment=_environment(use, project, asked.target),
        build=Build(**asked.build.model_dump()),
        branch=asked.branch,
        prefer_branch=asked.build.branch,
        metadata=asked.metadata,
        variables=asked.variables,
        tags=tuple(asked.tags),
        tests=tuple(dict.fromkeys(asked.test_case_ids)) if asked.rerun_source_id is None else (),
        lenient=True,
        shards=asked.total_shards or 0,
        actor=asked.github_actor,
        notify=asked.send_notifications,
        concurrency=admission.Concurrency(group.group, admission.OnConflict(group.on_conflict))
        if group
        else admission.Concurrency(),
    )
    if asked.rerun_source_id is None:
        return use.runs.trigger(who, project.slug, request)[0]
    source = view_of(use, who, asked.rerun_source_id).run
    if source.project_id != project.id:
        raise NotFound(f"no run {source.id} in project {project.slug!r}")
    return use.runs.rerun(who, source.id, _again(asked), request)[0]


def _again(asked: schemas.Trigger) -> Again:
    """Which tests a trigger with a source means; tests that are named are the narrower word."""
    tests = tuple(dict.fromkeys(asked.test_case_ids))
    kind = SelectionKind.FAILED if asked.rerun_only_failed else SelectionKind.ALL
    return Again(
        kind=SelectionKind.CHOSEN if tests else kind,
        tests=tests,
        taken=Taken.SHOWN_FAILED,
        source=SourceMust.CARRIED_THROUGH,
        lenient=True,
        notify=asked.send_notifications,
    )


@router.put("/api/test-runs")
def trigger(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """Trigger a run (seed)."""
    run = start(use, who, project, parse(schemas.Trigger, load(raw)))
    use.signals().outbox()
    return answer(triggered(run))


@router.post("/v1/trigger")
@router.post("/v1/trigger/", include_in_schema=False)
def dispatch(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """The same in the words of the older clients (study 3.1)."""
    run = start(use, who, project, parse(schemas.Dispatch, load(raw)))
    use.signals().outbox()
    return answer(triggered(run))


# ---------------------------------------------------------------- look


def _paged(
    page: Page = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 20,
    limit: Annotated[int | None, Query(ge=1, le=100)] = None,
    offset: Annotated[int | None, Query(ge=0, le=10**9)] = None,
) -> Paging:
    """Pages, or the older ``limit`` and ``offset``, which are taken as the page that they begin in."""
    if limit is None and offset is None:
        return Paging(page, per_page)
    size = limit or 20
    return Paging((offset or 0) // size + 1, size)


def _branches(branch: str) -> tuple[str, ...]:
    """What is shown as one branch: runs of the default branch have none that was named."""
    if not branch:
        return ()
    return (branch, "") if branch == UNNAMED_BRANCH else (branch,)


@router.get("/api/test-runs")
def list_runs(
    use: Use,
    who: Who,
    project: Scoped,
    paging: Annotated[Paging, Depends(_paged)],
    id: Number = None,
    branch: Text = "",
    interval_in_days: Annotated[int | None, Query(ge=1, le=36_500)] = None,
    state: words.State | None = None,
    result: words.Result | None = None,
    environment_ids: Text = "",
    project_id: Number = None,
) -> JSONResponse:
    """Runs of a project, newest first."""
    who.need(Scope.RUNS_READ)
    same_project(project, project_id)
    kinds = words.kinds(state, result)
    which = RunFilter(
        project_id=project.id,
        run_id=None if id is None else min(id, MAX_NUMBER),
        branches=_branches(branch),
        kinds=kinds or (),
        environment_ids=numbers(environment_ids, "environment_ids"),
        created_from=None if interval_in_days is None else use.clock.now() - interval_in_days * DAY,
    )
    items: list[dict[str, Any]] = []
    total = 0
    if kinds is not None:
        found = use.reads.runs_slice(which, paging.offset, paging.size)
        environments = environments_of(use, project.id)
        items, total = [run_out(use, view, environments) for view in found.items], found.total
    data = {"project": project_out(project), "test_runs": {"items": items}}
    return answer(data, pagination=paging.of(total))


@router.get("/api/test-runs/{id}")
def get_run(use: Use, who: Who, id: Id) -> JSONResponse:
    """A run with its project and tests."""
    view = view_of(use, who, id)
    who.need(Scope.RESULTS_READ)
    with use.store.read() as tx:
        project = tx.projects.get(view.run.project_id)
    if project is None:
        raise NotFound(f"no run {id}")
    found = {
        "testRun": run_whole(use, view, environments_of(use, project.id)),
        "project": project_out(project),
        "flattenedSummaryDetails": details(use, view.run),
    }
    return answer({"test_run": found})


@router.get("/api/v2/test-runs/{id}/cases")
def list_run_cases(
    use: Use, who: Who, id: Id, page: Page = 1, per_page: Annotated[int, Query(ge=1, le=RUN_CASES)] = 100
) -> JSONResponse:
    """The tests of a run that have an outcome, whatever it is."""
    run = view_of(use, who, id, Scope.RESULTS_READ).run
    paging = Paging(page, per_page)
    found = use.reads.ledger_slice(run.id, LedgerFilter(states=FINAL), paging.offset, paging.size)
    rows = [case_row(item) for item in found.items]
    return answer([{**row, "nesting": row["suites"]} for row in rows], pagination=paging.of(found.total))


@router.get("/api/test-runs/{run_id}/status")
def get_status(use: Use, who: Who, run_id: Annotated[int, Path(ge=1)]) -> JSONResponse:
    """How a run stands, by its large number, or by its small one."""
    number = small(run_id)
    run = view_of(use, who, run_id if number is None else number).run
    state = words.state(run.status, run.verdict)
    result = words.result(run.status, run.verdict)
    return answer(
        {"id": run.id, "run_id": large(run.id), "state": state, "result": result, "test_case_ids": chosen(use, run)}
    )


# ---------------------------------------------------------------- cancel, re-run


@router.post("/api/test-runs/{id}/cancel")
def cancel(use: Use, who: Who, id: Id, raw: Raw) -> JSONResponse:
    """Stop a run; 412 when it is over."""
    asked = parse(schemas.Cancel, load(raw))
    run, stopped = use.runs.cancel(who, id, asked.reason)
    if not stopped:
        state = words.state(run.status, run.verdict)
        return refusal(412, f"run {run.id} is over ({state}): there is nothing to cancel")
    use.signals().outbox()
    use.signals().changed([run.id])
    return answer({"message": f"Test run {run.id} was cancelled"})


@router.post("/api/test-runs/{id}/re-run")
def rerun(use: Use, who: Who, id: Id, raw: Raw) -> JSONResponse:
    """Run again, all or what failed, as a new run (seed)."""
    asked = parse(schemas.Rerun, load(raw))
    again = Again(
        kind=SelectionKind.FAILED if asked.only_failed else SelectionKind.ALL,
        taken=Taken.SHOWN_FAILED,
        source=SourceMust.CARRIED_THROUGH,
        notify=asked.send_notifications,
    )
    run, _ = use.runs.rerun(who, id, again)
    use.signals().outbox()
    return answer(triggered(run))


# ---------------------------------------------------------------- artifacts


_UNSAFE = re.compile(r"[^\w.+@-]+", re.ASCII)


def _key(artifact: ArtifactRow) -> str:
    """A path relative to the run: unlike names, ids never come twice."""
    name = _UNSAFE.sub("-", artifact.name).strip("-.")[-150:] or "file"
    return f"data/{artifact.id}-{name}"


@router.get("/api/test-runs/{id}/artifacts")
def list_artifacts(use: Use, who: Who, id: Id, key: Text = "", prefix: Text = "", suffix: Text = "") -> JSONResponse:
    """The stored files of a run; each URL opens its file for an hour, without a token."""
    run = view_of(use, who, id, Scope.RESULTS_READ).run
    expires = int(use.clock.now() + LINK_SECONDS)
    stored = {file.key: file for file in use.artifacts.stored(f"{run.id}/")}
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = use.reads.artifacts(run.id, after, 1000)
        after = page.next
        for artifact, _ in page.items:
            name = _key(artifact)
            wanted = name == key if key else name.startswith(prefix) and name.endswith(suffix)
            file = stored.get(artifact.key) if wanted and artifact.stored else None
            if file is None:
                continue
            query = urlencode({"exp": expires, "sig": sign_artifact(use.signer, artifact.id, expires)})
            found.append(
                {
                    "key": name,
                    "url": f"{use.url}/api/artifacts/{artifact.id}/content?{query}",
                    "size": artifact.size,
                    "last_modified": iso(file.modified),
                }
            )
    return answer({"artifacts": found})


@router.get("/api/artifacts/{id}/content")
def read_artifact(
    use: Use,
    id: Annotated[str, Path(max_length=100)],
    exp: Annotated[int, Query()],
    sig: Annotated[str, Query(max_length=1000)],
) -> Response:
    """A stored file, opened by a signed link."""
    with use.store.read() as tx:
        artifact = signed_artifact(tx, use.signer, use.clock.now(), id, exp, sig)
    return download(use, artifact.key, artifact.name or artifact.id, artifact.content_type)
