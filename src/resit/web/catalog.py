"""Projects, their environments and test cases; comparing runs; workers and pools."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain import comparison
from resit.domain.access import Principal, Scope
from resit.domain.comparison import Comparison, Pair
from resit.domain.errors import InvalidInput, NotFound, ResitError
from resit.domain.plan import PlannedTest
from resit.domain.project import Project
from resit.domain.snooze import covers
from resit.ports.insights import Window
from resit.ports.reads import CaseFilter, RunView
from resit.services.catalog import find_environment, find_project
from resit.web.door import Seen, Sent, Use, Visitor
from resit.web.pages import page, part_of, size
from resit.web.run import view_of

router = APIRouter()
PAGE, HISTORY, DAYS = 100, 60, 90
GB = 10**9
SHOWN = 200
"""Tests of one part of a comparison that are named."""
Word = Annotated[str, Query(max_length=500)]


def project_of(use: Services, who: Principal, slug: str) -> Project:
    """A project within reach. Raises :class:`NotFound`."""
    who.need(Scope.RUNS_READ)
    with use.store.read() as tx:
        return find_project(tx, who, slug)


def _to(use: Services, path: str) -> Response:
    return RedirectResponse(f"{use.url.rstrip('/')}{path}", 303)


# ------------------------------------------------------------ projects and environments


@router.get("/projects")
def projects(request: Request, use: Use, seen: Seen) -> Response:
    """All projects within reach."""
    return _projects(request, use, seen, {"slug": "", "source": "", "executor": ""})


def _projects(
    request: Request, use: Services, seen: Visitor, said: dict[str, str], problem: str = "", status: int = 200
) -> Response:
    return page(
        request, use, "projects.html", seen, status, said=said, problem=problem, executors=sorted(use.catalog.executors)
    )


@router.post("/projects")
def add_project(request: Request, use: Use, seen: Seen, sent: Sent) -> Response:
    """Register a suite."""
    said = {name: sent[name] for name in ("slug", "source", "executor")}
    try:
        use.catalog.add_project(seen.who, slug=said["slug"], source=said["source"], executor=said["executor"])
    except ResitError as error:
        return _projects(request, use, seen, said, error.message, 400)
    return _to(use, f"/projects/{said['slug']}")


@router.get("/projects/{slug}")
def project(request: Request, use: Use, seen: Seen, slug: str, environment: Word = "") -> Response:
    """A project with its environments."""
    return _one_project(request, use, seen, slug, environment)


def _one_project(
    request: Request, use: Services, seen: Visitor, slug: str, open_: str = "", problem: str = "", status: int = 200
) -> Response:
    found = project_of(use, seen.who, slug)
    environments = use.reads.environments(found.id)
    return page(
        request, use, "project.html", seen, status,
        project=found, environments=environments, open=open_ or environments[0].slug, problem=problem, kept=kept(found),
    )  # fmt: skip


def kept(project: Project) -> str:
    """How long a project's runs stay, in words."""
    limits = (
        f"for {project.keep_days:g} days" if project.keep_days else "",
        f"{project.keep_runs} at most" if project.keep_runs else "",
        f"while their files are under {size(project.keep_bytes)}" if project.keep_bytes else "",
    )
    return ", ".join(filter(None, limits)) or "for ever"


@router.post("/projects/{slug}")
def change_project(request: Request, use: Use, seen: Seen, slug: str, sent: Sent) -> Response:
    """Change what is set for a project."""
    try:
        changes: dict[str, Any] = {
            "branch": sent["branch"],
            "shards": sent.whole("shards"),
            "time_limit": sent.number("time_limit") or 0.0,
            "max_runs": sent.whole("max_runs"),
            "max_failures": sent.whole("max_failures"),
            "stall_limit": sent.number("stall_limit") or 0.0,
            "keep_days": sent.number("keep_days") or 0.0,
            "keep_runs": sent.whole("keep_runs"),
            "keep_bytes": round((sent.number("keep_gb") or 0.0) * GB),
            "html_report": bool(sent["html_report"]),
        }
        use.catalog.change_project(seen.who, slug, changes)
    except ResitError as error:
        return _one_project(request, use, seen, slug, "", error.message, 400)
    return _to(use, f"/projects/{slug}")


@router.post("/projects/{slug}/environments")
def add_environment(request: Request, use: Use, seen: Seen, slug: str, sent: Sent) -> Response:
    """Another environment."""
    try:
        made = use.catalog.add_environment(
            seen.who, slug, slug=sent["slug"], name=sent["name"], variables={}, secrets={}
        )
    except ResitError as error:
        return _one_project(request, use, seen, slug, "", error.message, 400)
    return _to(use, f"/projects/{slug}?environment={made.slug}")


@router.post("/environments/{id}")
def change_environment(request: Request, use: Use, seen: Seen, id: int, sent: Sent) -> Response:
    """Set or take away a variable or secret; disable or enable."""
    with use.store.read() as tx:
        found = find_environment(tx, seen.who, id)
        owner = tx.projects.get(found.project_id)
    if owner is None:
        raise NotFound(f"no environment {id}")
    changes: dict[str, Any] = {}
    if sent["name"]:
        changes["secrets" if sent["secret"] else "variables"] = {sent["name"]: sent["value"]}
    if sent["remove"]:
        changes["variables"] = {sent["remove"]: None}
    if sent["remove_secret"]:
        changes["secrets"] = {sent["remove_secret"]: None}
    if sent["disabled"]:
        changes["disabled"] = sent["disabled"] == "yes"
    try:
        use.catalog.change_environment(seen.who, id, changes)
    except ResitError as error:
        return _one_project(request, use, seen, owner.slug, found.slug, error.message, 400)
    return _to(use, f"/projects/{owner.slug}?environment={found.slug}")


# ------------------------------------------------------------ test cases


@router.get("/projects/{slug}/tests")
def cases(
    request: Request, use: Use, seen: Seen, slug: str, q: Word = "", after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> Response:
    """The test cases of a project."""
    found = project_of(use, seen.who, slug)
    seen.who.need(Scope.RESULTS_READ)
    items = use.reads.test_cases(found.id, q, after, PAGE)
    return page(request, use, "tests.html", seen, project=found, q=q, page=items)


@router.get("/projects/{slug}/tests/{uuid}")
def case(request: Request, use: Use, seen: Seen, slug: str, uuid: str) -> Response:
    """One test case: how it fared."""
    owner = project_of(use, seen.who, slug)
    seen.who.need(Scope.RESULTS_READ)
    found = next(iter(use.reads.cases_slice(owner.id, CaseFilter(names=(uuid,)), 0, 1).items), None)
    if found is None:
        raise NotFound(f"{slug} has no such test")
    now = use.clock.now()
    window = Window(project_id=owner.id, start=now - DAYS * 86400, end=now + 1)
    history = list(use.insights.history(window, [found.uuid], HISTORY).by_case.get(found.uuid, ()))
    numbers: dict[str, int] = {}
    for one in history:
        numbers[one.outcome] = numbers.get(one.outcome, 0) + 1
    lasting = use.reads.snoozes(owner.id, None, True, now, 0, 200).items
    return page(
        request,
        use,
        "test.html",
        seen,
        project=owner,
        case=found,
        history=history,
        said=", ".join(f"{number} {word.replace('_', ' ')}" for word, number in sorted(numbers.items())),
        longest=max((one.duration for one in history), default=0.0) or 0.001,
        snooze=next((each for each in lasting if covers([each], found.test, found.key, found.uuid)), None),
    )


# ------------------------------------------------------------ comparing


TITLES = {
    "newly_failing": "Newly failing",
    "new_failing": "New and failing",
    "newly_passing": "Newly passing",
    "still_failing": "Failing in both",
    "missing": "Missing",
    "slower": "Slower",
    "new": "New",
}
"""What differs, what matters most first."""


@router.get("/compare")
def compare(request: Request, use: Use, seen: Seen, a: Word = "", b: Word = "") -> Response:
    """Two runs beside each other."""
    before: RunView | None = None
    after: RunView | None = None
    found = Comparison()
    if a and b:
        before, after = (view_of(use, seen.who, name, Scope.RESULTS_READ) for name in (a, b))
        if before.run.project_id != after.run.project_id:
            raise InvalidInput("these runs are of two projects: they have no test in common")
        found = comparison.compare(use.reads.standing(before.run.id), use.reads.standing(after.run.id))
    parts: list[tuple[str, str, list[Pair]]] = [(name, title, getattr(found, name)) for name, title in TITLES.items()]
    names = _names(use, before, after, [each for _, _, rows in parts for each in rows[:SHOWN]])
    return page(
        request, use, "compare.html", seen,
        a=a, b=b, before=before, after=after, total=found.total, parts=parts, shown=SHOWN, names=names,
        partly=part_of(after) if after else "",
    )  # fmt: skip


def _names(
    use: Services, before: RunView | None, after: RunView | None, found: Sequence[Pair]
) -> Mapping[str, PlannedTest]:
    """The tests of some pairs by their ids."""
    if before is None or after is None:
        return {}
    new = use.reads.rows_of(after.run.id, sorted({each.place for each in found if each.place >= 0}))
    old = use.reads.rows_of(before.run.id, sorted({each.old_place for each in found if each.place < 0}))
    return {row.test.id: row.test for row in (*old.values(), *new.values())}


# ------------------------------------------------------------ workers


@router.get("/workers")
def workers(request: Request, use: Use, seen: Seen) -> Response:
    """Who works, and on what."""
    now = use.clock.now()
    found = [(worker, worker.alive(now)) for worker in use.fleet.workers(seen.who)]
    return page(request, use, "workers.html", seen, workers=found, pools=use.fleet.pools(seen.who))


@router.post("/pools")
def add_pool(use: Use, seen: Seen, sent: Sent) -> Response:
    """Another pool."""
    split = [word.partition("=") for word in sent["labels"].split()]
    labels = {name: value for name, _, value in split}
    use.fleet.add_pool(seen.who, name=sent["name"], labels=labels, description=sent["description"])
    return _to(use, "/workers")


@router.post("/pools/{name}/remove")
def remove_pool(use: Use, seen: Seen, name: str, sent: Sent) -> Response:
    """Take a pool away."""
    del sent
    use.fleet.remove_pool(seen.who, name)
    return _to(use, "/workers")
