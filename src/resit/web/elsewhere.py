"""Addresses of pages that clients of other services hand to people: they lead to ours."""

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.errors import NotFound
from resit.web.door import Seen, Use
from resit.web.run import view_of

router = APIRouter(prefix="/p/{slug}")


def _to(use: Services, path: str) -> Response:
    return RedirectResponse(f"{use.url.rstrip('/')}{path}", 303)


@router.get("/results/{short}")
def results(use: Use, seen: Seen, slug: str, short: str) -> Response:
    """A run (QA.tech, study A24)."""
    view = view_of(use, seen.who, short)
    if view.project != slug:
        raise NotFound(f"no run {short[:40]} in {slug[:40]}")
    return _to(use, f"/runs/{view.run.id}")


@router.get("/results/test/{short}")
def result(use: Use, seen: Seen, slug: str, short: str) -> Response:
    """A test in a run (QA.tech, study 1.8): its short id is of two numbers."""
    found = use.ids.numbers(short, 2)
    if found is None:
        raise NotFound(f"no test {short[:40]}")
    view = view_of(use, seen.who, str(found[0]))
    if view.project != slug:
        raise NotFound(f"no test {short[:40]} in {slug[:40]}")
    return _to(use, f"/runs/{view.run.id}/tests/{found[1] - 1}")


@router.get("/test-cases/{uuid}")
def case(use: Use, seen: Seen, slug: str, uuid: str) -> Response:
    """A test case."""
    del seen
    return _to(use, f"/projects/{slug}/tests/{uuid}")
