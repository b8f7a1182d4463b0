"""Routes of schedules."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from resit.api.context import Services, Use, Who
from resit.api.native import schedules_schemas as schemas
from resit.api.native.catalog_schemas import Many
from resit.api.native.routes import Cursor, Key, Limit, number_of, run_out
from resit.api.native.schemas import RunOut
from resit.domain.admission import Concurrency
from resit.ports import ScheduleView
from resit.services.requests import Request

router = APIRouter(prefix="/resit/v1", tags=["schedules"])

SHOWN = 5
"""Times that are told of one schedule."""


def _request(words: schemas.ScheduledWords) -> Request:
    return words.request(concurrency=Concurrency(words.group))


def _out(use: Services, view: ScheduleView, number: int = SHOWN) -> schemas.ScheduleOut:
    schedule = view.schedule
    upcoming = use.schedules.upcoming(schedule, number)
    return schemas.ScheduleOut.of(view, use.schedules.request(schedule), use.schedules.alert(schedule), upcoming)


@router.post("/projects/{slug}/schedules", status_code=201)
def add_schedule(use: Use, who: Who, slug: str, body: schemas.ScheduleIn) -> schemas.ScheduleOut:
    """Have runs made at the times of a cron expression in a time zone."""
    members: dict[str, Any] = {name: getattr(body, name) for name in ("name", "cron", "zone", "overlap", "active")}
    return _out(use, use.schedules.add(who, slug, request=_request(body.run), **members))


@router.get("/schedules")
def list_schedules(
    use: Use,
    who: Who,
    project: Annotated[str, Query(max_length=100)] = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Many[schemas.ScheduleOut]:
    """The schedules within reach, oldest first; environments' own too."""
    found = use.schedules.page(who, project, number_of(cursor, 0), limit + 1)
    shown = found[:limit]
    following = str(shown[-1].schedule.id) if len(found) > limit else None
    return Many(items=[_out(use, view, 1) for view in shown], next=following)


@router.get("/schedules/{schedule_id}")
def get_schedule(use: Use, who: Who, schedule_id: int) -> schemas.ScheduleOut:
    """A schedule with its next five times."""
    return _out(use, use.schedules.get(who, schedule_id))


@router.patch("/schedules/{schedule_id}")
def change_schedule(use: Use, who: Who, schedule_id: int, body: schemas.ScheduleChange) -> schemas.ScheduleOut:
    """Change a schedule; what is absent stays. Its missed times and its problem are then forgotten."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set if name != "run"}
    if "run" in body.model_fields_set:
        changes |= {"request": _request(body.run), "environment": body.run.environment}
    return _out(use, use.schedules.change(who, schedule_id, changes))


@router.delete("/schedules/{schedule_id}", status_code=204)
def remove_schedule(use: Use, who: Who, schedule_id: int) -> Response:
    """Take a schedule away. Its runs stay as they are."""
    use.schedules.remove(who, schedule_id)
    return Response(status_code=204)


@router.post("/schedules/{schedule_id}/run", status_code=201)
def start_schedule(use: Use, who: Who, schedule_id: int, response: Response, key: Key = "") -> RunOut:
    """Make its run now, as at its time. Its times stay as they are."""
    run, new = use.schedules.start(who, schedule_id, key)
    use.signals().outbox()
    response.status_code = 201 if new else 200
    return run_out(use, run.id)
