"""Snoozes: listed, made, changed, expired (study 1.4 and 2.9)."""

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from resit.api.context import Use, Who
from resit.api.dialect import Raw, load, parse
from resit.api.empirical import schemas
from resit.api.empirical.scope import Id, Number, Paged, Scoped, answer, page_of, within
from resit.api.empirical.views import snooze_out
from resit.domain.access import Scope

router = APIRouter()
_ACTIVE = {"active": True, "expired": False, "all": None}


@router.get("/api/snoozes")
def list_snoozes(
    use: Use,
    who: Who,
    project: Scoped,
    paging: Paged,
    environment_id: Number = None,
    status: Literal["active", "expired", "all"] = "active",
) -> JSONResponse:
    """The snoozes of a project, newest first."""
    who.need(Scope.RUNS_READ)
    scope = None if environment_id is None else within(environment_id)
    found = use.reads.snoozes(project.id, scope, _ACTIVE[status], use.clock.now(), paging.offset, paging.size)
    return page_of("snoozes", [snooze_out(snooze) for snooze in found.items], paging.of(found.total))


@router.post("/api/snoozes")
def add_snooze(use: Use, who: Who, project: Scoped, raw: Raw) -> JSONResponse:
    """Make a snooze."""
    asked = parse(schemas.SnoozeNew, load(raw))
    scope = asked.environment_id if asked.scoped_to_environment_id is None else asked.scoped_to_environment_id
    made = use.snoozes.add(
        who,
        project.slug,
        tests=asked.test_ids,
        until=schemas.instant(asked.snooze_until),
        description=asked.description or "",
        created_by=asked.created_by or "",
        environment_id=scope,
        from_run_id=asked.created_from_test_run_id,
    )
    return answer({"snooze": snooze_out(made)})


@router.get("/api/snoozes/{id}")
def get_snooze(use: Use, who: Who, id: Id) -> JSONResponse:
    """A snooze."""
    return answer({"snooze": snooze_out(use.snoozes.get(who, id))})


@router.patch("/api/snoozes/{id}")
def change_snooze(use: Use, who: Who, id: Id, raw: Raw) -> JSONResponse:
    """Change a snooze, or end it with ``expire_now``; then a new end has no meaning and is ignored."""
    asked = parse(schemas.SnoozeChange, load(raw))
    said = asked.model_fields_set
    changes: dict[str, Any] = {}
    if "test_ids" in said:
        changes["tests"] = asked.test_ids
    if "snooze_until" in said and not asked.expire_now:
        changes["until"] = schemas.instant(asked.snooze_until)
    if "description" in said:
        changes["description"] = asked.description or ""
    for name in ("environment_id", "scoped_to_environment_id"):
        if name in said:
            changes["environment_id"] = getattr(asked, name)
    found = use.snoozes.change(who, id, changes) if changes or not asked.expire_now else None
    if asked.expire_now:
        found = use.snoozes.expire(who, id)
    return answer({"snooze": snooze_out(found or use.snoozes.get(who, id))})
