"""The webhooks of a project."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.errors import ResitError
from resit.domain.webhook import WebhookEvent
from resit.web.catalog import project_of
from resit.web.door import Seen, Sent, Use, Visitor
from resit.web.pages import page

router = APIRouter()


@router.get("/projects/{slug}/webhooks")
def webhooks(request: Request, use: Use, seen: Seen, slug: str) -> Response:
    """Who is told of runs."""
    return _webhooks(request, use, seen, slug)


def _webhooks(request: Request, use: Services, seen: Visitor, slug: str, status: int = 200, **said: str) -> Response:
    return page(
        request, use, "webhooks.html", seen, status,
        project=project_of(use, seen.who, slug), items=use.webhooks.of_project(seen.who, slug),
        events=[event for event in WebhookEvent if event is not WebhookEvent.TEST],
        **{"problem": "", "secret": "", "done": "", **said},
    )  # fmt: skip


@router.post("/projects/{slug}/webhooks")
def change_webhooks(request: Request, use: Use, seen: Seen, slug: str, sent: Sent) -> Response:
    """Another one, whose secret is shown in this answer alone; a word to one for trial; the end of one."""
    try:
        if sent["test"]:
            use.webhooks.test(seen.who, sent.whole("test"))
            return _webhooks(request, use, seen, slug, done="A word for trial is on its way: webhook.test")
        if sent["remove"]:
            use.webhooks.remove(seen.who, sent.whole("remove"))
            return RedirectResponse(f"{use.url.rstrip('/')}/projects/{slug}/webhooks", 303)
        _, secret = use.webhooks.add(seen.who, slug, url=sent["url"], events=sent.all("event"))
    except ResitError as error:
        return _webhooks(request, use, seen, slug, 400, problem=error.message)
    return _webhooks(request, use, seen, slug, secret=secret)
