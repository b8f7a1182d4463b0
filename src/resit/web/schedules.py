"""The schedules of a project."""

import secrets
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.admission import Concurrency
from resit.domain.errors import InvalidInput, ResitError
from resit.domain.schedule import Overlap
from resit.services.requests import Request as Wanted
from resit.web.catalog import project_of
from resit.web.door import Form, Seen, Sent, Use, Visitor
from resit.web.pages import page

router = APIRouter()
SHOWN = 5
"""Times that are told of one schedule."""
MOST = 500
FIELDS = ("name", "cron", "zone", "environment", "overlap", "branch", "tags")


@router.get("/projects/{slug}/schedules")
def schedules(request: Request, use: Use, seen: Seen, slug: str) -> Response:
    """When runs begin by the clock."""
    return _schedules(request, use, seen, slug, {**dict.fromkeys(FIELDS, ""), "zone": "UTC"})


def _schedules(
    request: Request,
    use: Services,
    seen: Visitor,
    slug: str,
    said: dict[str, str],
    problem: str = "",
    status: int = 200,
) -> Response:
    project = project_of(use, seen.who, slug)
    views = use.schedules.page(seen.who, slug, 0, MOST)
    found = [(view, use.schedules.upcoming(view.schedule, SHOWN), use.schedules.alert(view.schedule)) for view in views]
    return page(
        request, use, "schedules.html", seen, status,
        project=project, found=found, said=said, problem=problem,
        environments=use.reads.environments(project.id), key=secrets.token_hex(12),
    )  # fmt: skip


@router.post("/projects/{slug}/schedules")
def add_schedule(request: Request, use: Use, seen: Seen, slug: str, sent: Sent) -> Response:
    """Another one; what is wrong is said above the form, which keeps what was written."""
    said = {name: sent[name] for name in FIELDS}
    try:
        use.schedules.add(
            seen.who, slug, name=said["name"], cron=said["cron"], zone=said["zone"] or "UTC",
            overlap=_overlap(sent), request=_wanted(sent),
        )  # fmt: skip
    except ResitError as error:
        return _schedules(request, use, seen, slug, said, error.message, 400)
    return _back(use, slug)


@router.post("/projects/{slug}/schedules/{id}")
def change_schedule(request: Request, use: Use, seen: Seen, slug: str, id: int, sent: Sent) -> Response:
    """Make its run now, pause it, let it go on, or take it away."""
    try:
        match sent["do"]:
            case "run":
                run, _ = use.schedules.start(seen.who, id, f"page {sent['key']}" if sent["key"] else "")
                use.signals().outbox()
                return RedirectResponse(f"{use.url.rstrip('/')}/runs/{run.id}", 303)
            case "remove":
                use.schedules.remove(seen.who, id)
            case "pause" | "resume":
                use.schedules.change(seen.who, id, {"active": sent["do"] == "resume"})
            case other:
                raise InvalidInput(f"a schedule can't {other[:40]!r}", field="do")
    except ResitError as error:
        said: dict[str, str] = {**dict.fromkeys(FIELDS, ""), "zone": "UTC"}
        return _schedules(request, use, seen, slug, said, error.message, 400)
    return _back(use, slug)


def _overlap(sent: Form) -> Overlap:
    try:
        return Overlap(sent["overlap"] or Overlap.WAIT)
    except ValueError:
        raise InvalidInput(f"there is no overlap {sent['overlap'][:40]!r}", field="overlap") from None


def _wanted(sent: Form) -> Wanted:
    words: dict[str, Any] = {name: sent[name] for name in ("environment", "branch")}
    tags = tuple(tag.strip() for tag in sent["tags"].split(",") if tag.strip())
    return Wanted(**words, tags=tags, concurrency=Concurrency())


def _back(use: Services, slug: str) -> Response:
    return RedirectResponse(f"{use.url.rstrip('/')}/projects/{slug}/schedules", 303)
