"""The list of runs, and the form that starts one."""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.access import Principal
from resit.domain.errors import InvalidInput, ResitError
from resit.domain.project import Environment, Project
from resit.domain.run import Build, Via
from resit.domain.status import RunStatus, Verdict
from resit.ports.reads import RunFilter, RunView, one_kind
from resit.services.catalog import find_project
from resit.services.requests import Request as Wanted
from resit.web.door import Form, Seen, Sent, Use, Visitor
from resit.web.pages import page

router = APIRouter()
PAGE, STRIP, STRIPS = 50, 25, 12
Word = Annotated[str, Query(max_length=200)]


@router.get("/")
def home(use: Use, seen: Seen) -> Response:
    """The runs are the first page."""
    del seen
    return RedirectResponse(_at(use, "/runs"), 303)


@router.get("/runs")
def runs(
    request: Request,
    use: Use,
    seen: Seen,
    q: Word = "",
    project: Word = "",
    environment: Word = "",
    branch: Word = "",
    status: Word = "",
    verdict: Word = "",
    who: Word = "",
    before: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    """Runs, newest first; what narrows them is in the address."""
    chosen = {
        "q": q, "project": project, "environment": environment, "branch": branch, "status": status,
        "verdict": verdict, "who": who,
    }  # fmt: skip
    found = _project(use, seen.who, project) if project else None
    which = RunFilter(
        project_id=found.id if found else seen.who.project_id,
        environment=environment,
        kinds=one_kind(_one(RunStatus, status, "status"), _one(Verdict, verdict, "verdict")),
        build_branch=branch,
        who=who,
        text=q,
        before=before or None,
    )
    items = use.reads.runs(which, PAGE)
    said: dict[str, Any] = {
        "page": items,
        "waiting": use.queue.waiting_for([view.run for view in items.items if view.run.status.open]),
        "chosen": chosen,
        "before": before,
    }
    if request.headers.get("x-resit-part") == "rows":
        return page(request, use, "_runs.html", seen, **said)
    return page(
        request,
        use,
        "runs.html",
        seen,
        **said,
        narrowed=any(chosen.values()),
        statuses=list(RunStatus),
        verdicts=list(Verdict),
        strips=_strips(use, found) if found and not before else (),
    )


def _strips(use: Services, project: Project) -> list[tuple[Environment, list[RunView]]]:
    """The last runs of each environment that has any."""
    found: list[tuple[Environment, list[RunView]]] = []
    for environment in use.reads.environments(project.id)[:STRIPS]:
        which = RunFilter(project_id=project.id, environment_ids=(environment.id,))
        if views := list(use.reads.runs(which, STRIP).items):
            found.append((environment, views))
    return found


def _one(kind: Any, word: str, field: str) -> Any:
    if not word:
        return None
    try:
        return kind(word)
    except ValueError:
        raise InvalidInput(f"there is no {field} {word[:40]!r}", field=field) from None


def _project(use: Services, who: Principal, slug: str) -> Project:
    with use.store.read() as tx:
        return find_project(tx, who, slug)


def _at(use: Services, path: str) -> str:
    return f"{use.url.rstrip('/')}{path}"


# ------------------------------------------------------------ starting one


ASKED = (
    "environment", "url", "branch", "tags", "variables", "shards", "reason", "commit", "minutes", "max_failures",
)  # fmt: skip
"""The fields of the form."""


@router.get("/start")
def new_run(request: Request, use: Use, seen: Seen, project: Word = "", environment: Word = "") -> Response:
    """The form that starts a run."""
    return _form(request, use, seen, project, {**dict.fromkeys(ASKED, ""), "environment": environment})


def _form(
    request: Request,
    use: Services,
    seen: Visitor,
    slug: str,
    said: dict[str, str],
    problem: str = "",
    status: int = 200,
) -> Response:
    if not slug:
        slug = next((each.slug for each in use.reads.projects(seen.who.project_id, 0, 1).items), "")
    project = _project(use, seen.who, slug)
    return page(
        request,
        use,
        "trigger.html",
        seen,
        status,
        project=project,
        environments=use.reads.environments(project.id),
        said=said,
        problem=problem,
        key=secrets.token_hex(12),
    )


@router.post("/start")
def start(request: Request, use: Use, seen: Seen, sent: Sent) -> Response:
    """Start it; what is wrong is said above the form, which keeps what was written."""
    said = {name: sent[name] for name in ASKED}
    try:
        run, _ = use.runs.trigger(
            seen.who, sent["project"], _wanted(sent), f"page {sent['key']}" if sent["key"] else ""
        )
    except ResitError as error:
        return _form(request, use, seen, sent["project"], said, error.message, 400)
    use.signals().outbox()
    return RedirectResponse(_at(use, f"/runs/{run.id}"), 303)


def _wanted(sent: Form) -> Wanted:
    variables: dict[str, str] = {}
    for line in sent["variables"].splitlines():
        name, equals, value = line.strip().partition("=")
        if name and not equals:
            raise InvalidInput(f"a variable is NAME=value, and not {line.strip()[:60]!r}", field="variables")
        if name:
            variables[name.strip()] = value
    minutes = sent.number("minutes")
    return Wanted(
        environment=sent["environment"],
        build=Build(url=sent["url"]),
        branch=sent["branch"],
        commit=sent["commit"].strip(),
        tags=tuple(tag.strip() for tag in sent["tags"].split(",") if tag.strip()),
        variables=variables,
        shards=sent.whole("shards"),
        target_time=minutes * 60 if minutes else None,
        max_failures=sent.whole("max_failures") if sent["max_failures"] else None,
        reason=sent["reason"],
        via=Via.MANUAL,
    )
