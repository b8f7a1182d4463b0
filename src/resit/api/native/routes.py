"""Routes of projects, environments, tokens, test cases and runs."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import PlainTextResponse

from resit.api.context import Services, Use, Who
from resit.api.files import download
from resit.api.native import catalog_schemas as catalog
from resit.api.native import schemas
from resit.domain.access import Principal, Scope
from resit.domain.admission import Concurrency
from resit.domain.errors import InvalidInput, NotFound
from resit.domain.lineage import effective
from resit.domain.rerun import Again
from resit.domain.selection import Taken
from resit.domain.status import Outcome, RunStatus, SelectionKind, Verdict
from resit.domain.wire import SMALL
from resit.ports.reads import LedgerFilter, RunFilter, RunView, one_kind
from resit.services.catalog import find_project
from resit.services.runs import find_artifact, find_run

router = APIRouter(prefix="/resit/v1")

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str, Query(max_length=100, description="`next` of the page before")]
Key = Annotated[
    str, Header(alias="Idempotency-Key", description="Repeating a request with its key makes no second run")
]
LOG_PIECE = 1_000_000


def number_of(cursor: str, start: int) -> int:
    """What a cursor of ours holds. Raises :class:`InvalidInput`."""
    if not cursor:
        return start
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise InvalidInput("the cursor is not one of ours", field="cursor")
    return int(cursor)


def view_of(use: Services, who: Principal, name: str, scope: Scope = Scope.RUNS_READ) -> RunView:
    """A run within reach, by number, short id or UUID."""
    who.need(scope)
    with use.store.read() as tx:
        run = find_run(tx, use.ids, who, name)
    found = use.reads.run(run.id)
    if found is None:
        raise NotFound(f"no run {name}")
    return found


def run_out(use: Services, id: int) -> schemas.RunOut:
    """A run as it stands."""
    found = use.reads.run(id)
    if found is None:
        raise NotFound(f"no run {id}")
    return runs_out(use, [found])[0]


def runs_out(use: Services, views: Sequence[RunView]) -> list[schemas.RunOut]:
    """Runs as they stand, each with what it waits for."""
    waiting = use.queue.waiting_for([view.run for view in views])
    return [schemas.RunOut.of(view, use.ids, use.url, waiting.get(view.run.id, "")) for view in views]


# ---------------------------------------------------------------- projects, environments


@router.post("/projects", status_code=201, tags=["projects"])
def add_project(use: Use, who: Who, body: catalog.ProjectIn) -> catalog.ProjectOut:
    """Register a suite."""
    project = use.catalog.add_project(who, **body.model_dump())
    return _project(use, project.slug, who)


@router.get("/projects", tags=["projects"])
def list_projects(use: Use, who: Who, limit: Limit = 100, cursor: Cursor = "") -> catalog.Many[catalog.ProjectOut]:
    """The projects within reach."""
    who.need(Scope.RUNS_READ)
    page = use.reads.projects(who.project_id, number_of(cursor, 0), limit)
    return catalog.Many(items=[catalog.ProjectOut.of(project) for project in page.items], next=page.next)


@router.get("/projects/{slug}", tags=["projects"])
def get_project(use: Use, who: Who, slug: str) -> catalog.ProjectOut:
    """A project with its environments."""
    who.need(Scope.RUNS_READ)
    return _project(use, slug, who)


def _project(use: Services, slug: str, who: Principal) -> catalog.ProjectOut:
    with use.store.read() as tx:
        project = find_project(tx, who, slug)
    environments = [catalog.EnvironmentOut.of(e) for e in use.reads.environments(project.id)]
    return catalog.ProjectOut.of(project, environments)


@router.post("/projects/{slug}/environments", status_code=201, tags=["projects"])
def add_environment(use: Use, who: Who, slug: str, body: catalog.EnvironmentIn) -> catalog.EnvironmentOut:
    """Add a target. Secrets are sealed and never shown again."""
    words = body.model_dump()
    return catalog.EnvironmentOut.of(use.catalog.add_environment(who, slug, **words))


@router.get("/projects/{slug}/environments", tags=["projects"])
def list_environments(use: Use, who: Who, slug: str) -> catalog.Many[catalog.EnvironmentOut]:
    """The environments of a project."""
    return catalog.Many(items=get_project(use, who, slug).environments, next=None)


@router.get("/projects/{slug}/test-cases", tags=["test cases"])
def list_test_cases(
    use: Use,
    who: Who,
    slug: str,
    q: Annotated[str, Query(max_length=500, description="Part of id, file or title")] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> catalog.Many[catalog.TestCaseOut]:
    """The test cases that were ever planned."""
    who.need(Scope.RESULTS_READ)
    with use.store.read() as tx:
        project = find_project(tx, who, slug)
    page = use.reads.test_cases(project.id, q, number_of(cursor, 0), limit)
    return catalog.Many(items=[catalog.TestCaseOut.of(case) for case in page.items], next=page.next)


@router.get("/projects/{slug}/test-cases/{case_id:path}", tags=["test cases"])
def get_test_case(use: Use, who: Who, slug: str, case_id: str) -> catalog.TestCaseOut:
    """A test case, by its UUID or the framework's id."""
    who.need(Scope.RESULTS_READ)
    with use.store.read() as tx:
        project = find_project(tx, who, slug)
    case = use.reads.test_case(project.id, case_id)
    if case is None:
        raise NotFound(f"no test case {case_id[:200]!r}")
    return catalog.TestCaseOut.of(case)


# ---------------------------------------------------------------- tokens


@router.post("/tokens", status_code=201, tags=["tokens"])
def create_token(use: Use, who: Who, body: catalog.TokenIn) -> catalog.NewToken:
    """Make a token. Its secret is in this answer and nowhere else."""
    token, secret = use.access.create_token(
        who,
        project=body.project,
        scopes=body.scopes or (),
        expires_in_days=body.expires_in_days,
        name=body.name,
    )
    return catalog.NewToken(**catalog.TokenOut.of(token).model_dump(), token=secret, project=body.project)


@router.get("/tokens", tags=["tokens"])
def list_tokens(use: Use, who: Who) -> catalog.Many[catalog.TokenOut]:
    """The tokens within reach, without their secrets."""
    return catalog.Many(items=[catalog.TokenOut.of(token) for token in use.access.tokens(who)], next=None)


@router.delete("/tokens/{token_id}", status_code=204, tags=["tokens"])
def revoke_token(use: Use, who: Who, token_id: int) -> Response:
    """End a token's life."""
    use.access.revoke(who, token_id)
    return Response(status_code=204)


# ---------------------------------------------------------------- runs


@router.post("/projects/{slug}/runs", status_code=201, tags=["runs"])
def trigger(
    use: Use, who: Who, slug: str, response: Response, body: schemas.RunIn | None = None, key: Key = ""
) -> schemas.RunOut:
    """Request a run: 201 for a new one, 200 for the one that the same `Idempotency-Key` made before."""
    asked = body or schemas.RunIn()
    group = asked.concurrency
    request = asked.request(
        concurrency=Concurrency(group.group, group.on_conflict) if group else Concurrency(),
        start_at=asked.start_at.timestamp() if asked.start_at else None,
        actor=asked.actor,
    )
    run, new = use.runs.trigger(who, slug, request, key)
    use.signals().outbox()
    response.status_code = 201 if new else 200
    return run_out(use, run.id)


@router.get("/runs", tags=["runs"])
def list_runs(
    use: Use,
    who: Who,
    project: Annotated[str, Query(max_length=100)] = "",
    environment: Annotated[str, Query(max_length=100)] = "",
    status: RunStatus | None = None,
    verdict: Verdict | None = None,
    branch: Annotated[str, Query(max_length=500)] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> catalog.Many[schemas.RunOut]:
    """Runs, newest first."""
    who.need(Scope.RUNS_READ)
    project_id = who.project_id
    if project:
        with use.store.read() as tx:
            project_id = find_project(tx, who, project).id
    which = RunFilter(
        project_id=project_id,
        environment=environment,
        kinds=one_kind(status, verdict),
        branch=branch,
        before=number_of(cursor, 0) or None,
    )
    page = use.reads.runs(which, limit)
    return catalog.Many(items=runs_out(use, page.items), next=page.next)


@router.get("/runs/{run}", tags=["runs"])
def get_run(use: Use, who: Who, run: str) -> schemas.RunOut:
    """A run by number, short id or UUID."""
    return runs_out(use, [view_of(use, who, run)])[0]


@router.patch("/runs/{run}", tags=["runs"])
def change_run(use: Use, who: Who, run: str, body: schemas.RunChange) -> schemas.RunOut:
    """Change a run that waits; what is absent stays. One that does not wait any more is refused."""
    at_once = "start_at" in body.model_fields_set and body.start_at is None
    start_at = body.start_at.timestamp() if body.start_at else None
    done = use.queue.change(who, run, priority=body.priority, start_at=start_at, at_once=at_once)
    use.signals().outbox()
    use.signals().changed([done.id])
    return run_out(use, done.id)


@router.get("/runs/{run}/lineage", tags=["runs"])
def get_lineage(use: Use, who: Who, run: str) -> schemas.LineageOut:
    """A run's first ancestor and all re-runs after it, and the effective verdict over them."""
    views = use.reads.lineage(view_of(use, who, run).run.id)
    known = use.reads.outcomes([view.run.id for view in views])
    return schemas.LineageOut(
        runs=runs_out(use, views),
        effective_verdict=effective(known, [bool(view.run.problems) for view in views]),
    )


@router.post("/runs/{run}/cancel", tags=["runs"])
def cancel(use: Use, who: Who, run: str, body: schemas.CancelIn | None = None) -> schemas.RunOut:
    """Stop a run. A run that is over stays as it is."""
    done, _ = use.runs.cancel(who, run, body.reason if body else "")
    use.signals().outbox()
    use.signals().changed([done.id])
    return run_out(use, done.id)


@router.post("/runs/{run}/rerun", status_code=201, tags=["runs"])
def rerun(
    use: Use, who: Who, run: str, response: Response, body: schemas.RerunIn | None = None, key: Key = ""
) -> schemas.RunOut:
    """Run again: all, what failed, or chosen tests, as a new run that names its source."""
    asked = body or schemas.RerunIn()
    kind = SelectionKind.CHOSEN if asked.tests and "selection" not in asked.model_fields_set else asked.selection
    if asked.cancelled and kind is not SelectionKind.FAILED:
        raise InvalidInput("`cancelled` adds to the selection 'failed'", field="cancelled")
    again = Again(
        kind=kind,
        tests=tuple(asked.tests),
        taken=Taken.NOT_GREEN if asked.cancelled else Taken.RED,
        reason=asked.reason,
        priority=asked.priority,
        max_failures=asked.max_failures,
        start_at=asked.start_at.timestamp() if asked.start_at else None,
    )
    made, new = use.runs.rerun(who, run, again, key=key)
    use.signals().outbox()
    response.status_code = 201 if new else 200
    return run_out(use, made.id)


@router.get("/runs/{run}/tests", tags=["runs"])
def list_tests(
    use: Use,
    who: Who,
    run: str,
    outcome: Outcome | None = None,
    state: Annotated[str, Query(pattern="^(planned|running|did_not_run)?$")] = "",
    q: Annotated[str, Query(max_length=500, description="Part of id, file, title or reason")] = "",
    test: Annotated[str, Query(max_length=4000, description="Exactly this id or test case UUID")] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> catalog.Many[schemas.LedgerRowOut]:
    """The ledger: every planned test with its outcome and results."""
    found = view_of(use, who, run, Scope.RESULTS_READ)
    which = LedgerFilter(state=outcome.value if outcome else state, text=q, test=test, after=number_of(cursor, -1))
    page = use.reads.ledger(found.run.id, which, limit)
    results = use.reads.results(found.run.id, [item.row.ordinal for item in page.items])
    items = [
        schemas.LedgerRowOut(
            **schemas.LedgerRowOut.values(item),
            results=[schemas.ResultOut.of(result, use.url) for result in results[item.row.ordinal]],
        )
        for item in page.items
    ]
    return catalog.Many(items=items, next=page.next)


@router.get("/runs/{run}/artifacts", tags=["runs"])
def list_artifacts(
    use: Use, who: Who, run: str, limit: Limit = 100, cursor: Cursor = ""
) -> catalog.Many[schemas.ArtifactOut]:
    """The stored files of a run."""
    found = view_of(use, who, run, Scope.RESULTS_READ)
    page = use.reads.artifacts(found.run.id, cursor, limit)
    return catalog.Many(
        items=[schemas.ArtifactOut.of(artifact, test, use.url) for artifact, test in page.items], next=page.next
    )


@router.get("/artifacts/{artifact_id}", tags=["runs"])
def read_artifact(use: Use, who: Who, artifact_id: str) -> Response:
    """A stored file. Always a download: what users' tests wrote does not run on our origin."""
    who.need(Scope.RESULTS_READ)
    with use.store.read() as tx:
        artifact = find_artifact(tx, who, artifact_id)
    return download(use, artifact.key, artifact.name or artifact.id, artifact.content_type)


@router.get("/runs/{run}/logs", tags=["runs"])
def list_logs(use: Use, who: Who, run: str) -> catalog.Many[schemas.LogOut]:
    """The logs of a run, one a shard."""
    found = view_of(use, who, run, Scope.RESULTS_READ)
    items = [
        schemas.LogOut(shard=part.shard, name=f"shard {part.shard}" if part.shard else "plan", size=part.size)
        for part in use.reads.logs(found.run.id)
    ]
    return catalog.Many(items=items, next=None)


@router.get("/runs/{run}/logs/{shard}", tags=["runs"], response_class=PlainTextResponse)
def read_log(
    use: Use,
    who: Who,
    run: str,
    shard: Annotated[int, Path(ge=0, le=SMALL)],
    after: Annotated[int, Query(ge=0, le=SMALL)] = 0,
) -> PlainTextResponse:
    """A piece of a log from a position on; `X-Resit-Next-Offset` says where the next one begins."""
    found = view_of(use, who, run, Scope.RESULTS_READ)
    text = use.reads.log(found.run.id, shard, after, LOG_PIECE)
    return PlainTextResponse(text, headers={"X-Resit-Next-Offset": str(after + len(text))})
