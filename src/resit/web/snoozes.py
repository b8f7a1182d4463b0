"""The snoozes of a project."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from resit.control.context import Services
from resit.domain.errors import InvalidInput, ResitError
from resit.ports.reads import CaseFilter
from resit.web.catalog import project_of
from resit.web.door import Seen, Sent, Use, Visitor
from resit.web.pages import page
from resit.web.people import inside

router = APIRouter()
MOST = 1_000
"""Snoozes that are shown: as many as last in a project at the same time."""
NAMED = 5
"""Tests that are named of one snooze."""
DAYS = 7.0
FIELDS = ("tests", "days", "environment", "description")


@router.get("/projects/{slug}/snoozes")
def snoozes(
    request: Request,
    use: Use,
    seen: Seen,
    slug: str,
    expired: Annotated[str, Query(max_length=10)] = "",
    tests: Annotated[str, Query(max_length=4_000)] = "",
) -> Response:
    """Failures that don't block until a day. ``tests``: those that the form names already."""
    said = {**dict.fromkeys(FIELDS, ""), "tests": tests}
    return _snoozes(request, use, seen, slug, said, expired=bool(expired))


def _snoozes(
    request: Request,
    use: Services,
    seen: Visitor,
    slug: str,
    said: dict[str, str],
    problem: str = "",
    status: int = 200,
    *,
    expired: bool = False,
) -> Response:
    project = project_of(use, seen.who, slug)
    environments = use.reads.environments(project.id)
    items = use.reads.snoozes(project.id, None, None if expired else True, use.clock.now(), 0, MOST).items
    named = [test for item in items for test in item.tests[:NAMED]]
    cases = use.reads.cases_slice(project.id, CaseFilter(names=tuple(named)), 0, MOST).items if named else ()
    known = {name: case for case in cases for name in (case.test, case.key, case.uuid)}
    return page(
        request, use, "snoozes.html", seen, status,
        project=project, items=items, said=said, problem=problem, expired=expired, named=NAMED, known=known,
        environments=environments, slugs={each.id: each.slug for each in environments}, days=DAYS,
    )  # fmt: skip


@router.post("/projects/{slug}/snoozes")
def add_snooze(request: Request, use: Use, seen: Seen, slug: str, sent: Sent) -> Response:
    """Another one, or the end of one; what is wrong is said above the form, which keeps what was written."""
    said = {name: sent[name] for name in FIELDS}
    try:
        if sent["expire"]:
            use.snoozes.expire(seen.who, sent.whole("expire"))
        else:
            _add(use, seen, slug, said, sent.number("days") if sent["days"] else DAYS)
    except ResitError as error:
        return _snoozes(request, use, seen, slug, said, error.message, 400)
    back = inside(sent["back"]) if sent["back"] else f"/projects/{slug}/snoozes"
    return RedirectResponse(f"{use.url.rstrip('/')}{back}", 303)


def _add(use: Services, seen: Visitor, slug: str, said: dict[str, str], days: float | None) -> None:
    project = project_of(use, seen.who, slug)
    chosen = [each.id for each in use.reads.environments(project.id) if each.slug == said["environment"]]
    if said["environment"] and not chosen:
        raise InvalidInput(f"the project has no environment {said['environment'][:80]!r}", field="environment")
    use.snoozes.add(
        seen.who,
        slug,
        tests=[line.strip() for line in said["tests"].splitlines() if line.strip()],
        until=use.clock.now() + (days or 0.0) * 86400,
        description=said["description"],
        created_by=seen.who.name,
        environment_id=chosen[0] if chosen else None,
    )
