"""Routes of what stays between runs: snoozes, test plans, webhooks; changes of projects and environments."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from resit.api.context import Services, Use, Who
from resit.api.native import upkeep_schemas as schemas
from resit.api.native.catalog_schemas import EnvironmentOut, Many, ProjectOut
from resit.api.native.routes import Cursor, Limit, number_of
from resit.domain.access import Principal, Scope
from resit.domain.errors import InvalidInput, NotFound
from resit.domain.project import Project
from resit.domain.snooze import Snooze
from resit.domain.test_plan import TestPlan
from resit.services.catalog import find_project

router = APIRouter(prefix="/resit/v1")


def _project(use: Services, who: Principal, slug: str) -> Project:
    who.need(Scope.RUNS_READ)
    with use.store.read() as tx:
        return find_project(tx, who, slug)


def _slugs(use: Services, project_id: int) -> dict[int, str]:
    """The slugs of a project's environments by their numbers."""
    return {found.id: found.slug for found in use.reads.environments(project_id)}


def _environment(use: Services, who: Principal, slug: str, name: str) -> int:
    """The number of an environment by its slug. Raises :class:`NotFound`."""
    for found in use.reads.environments(_project(use, who, slug).id):
        if found.slug == name:
            return found.id
    raise NotFound(f"project {slug[:80]!r} has no environment {name[:80]!r}", field="environment")


# ---------------------------------------------------------------- projects, environments


@router.patch("/projects/{slug}", tags=["projects"])
def change_project(use: Use, who: Who, slug: str, body: schemas.ProjectChange) -> ProjectOut:
    """Change a project; what is absent stays. A greater `max_runs` lets waiting runs go ahead at once."""
    changed = use.catalog.change_project(who, slug, body.model_dump(exclude_unset=True))
    use.signals().outbox()
    return ProjectOut.of(changed, [EnvironmentOut.of(e) for e in use.reads.environments(changed.id)])


@router.patch("/projects/{slug}/environments/{environment}", tags=["projects"])
def change_environment(
    use: Use, who: Who, slug: str, environment: str, body: schemas.EnvironmentChange
) -> EnvironmentOut:
    """Change an environment; what is absent stays. Variables and secrets are named one by one: null takes one away."""
    id = _environment(use, who, slug, environment)
    return EnvironmentOut.of(use.catalog.change_environment(who, id, body.model_dump(exclude_unset=True)))


# ---------------------------------------------------------------- snoozes


@router.post("/projects/{slug}/snoozes", status_code=201, tags=["snoozes"])
def add_snooze(use: Use, who: Who, slug: str, body: schemas.SnoozeIn) -> schemas.SnoozeOut:
    """Let failures of tests not block until a time. Runs whose work has begun before are untouched."""
    made = use.snoozes.add(
        who,
        slug,
        tests=body.tests,
        until=body.until.timestamp(),
        description=body.description,
        created_by=body.created_by or who.name,
        environment_id=_environment(use, who, slug, body.environment) if body.environment else None,
        from_run_id=body.from_run_id,
    )
    return _snooze(use, made)


@router.get("/projects/{slug}/snoozes", tags=["snoozes"])
def list_snoozes(
    use: Use,
    who: Who,
    slug: str,
    ended: Annotated[bool, Query(description="Also those that are over")] = False,
    limit: Limit = 100,
    cursor: Cursor = "",
) -> Many[schemas.SnoozeOut]:
    """The snoozes of a project, newest first."""
    project, start = _project(use, who, slug), number_of(cursor, 0)
    found = use.reads.snoozes(project.id, None, None if ended else True, use.clock.now(), start, limit)
    slugs, end = _slugs(use, project.id), start + len(found.items)
    items = [schemas.SnoozeOut.of(item, slugs, use.clock.now()) for item in found.items]
    return Many(items=items, next=str(end) if items and end < found.total else None)


@router.get("/snoozes/{snooze_id}", tags=["snoozes"])
def get_snooze(use: Use, who: Who, snooze_id: int) -> schemas.SnoozeOut:
    """A snooze."""
    return _snooze(use, use.snoozes.get(who, snooze_id))


@router.patch("/snoozes/{snooze_id}", tags=["snoozes"])
def change_snooze(use: Use, who: Who, snooze_id: int, body: schemas.SnoozeChange) -> schemas.SnoozeOut:
    """Change a snooze; what is absent stays, and so does what was counted of runs that are over."""
    words = body.model_dump(exclude_unset=True)
    if "until" in words:
        words["until"] = words["until"].timestamp()
    if "environment" in words:
        name = words.pop("environment")
        words["environment_id"] = None
        if name:
            slugs = _slugs(use, use.snoozes.get(who, snooze_id).project_id)
            words["environment_id"] = next((id for id, slug in slugs.items() if slug == name), None)
            if words["environment_id"] is None:
                raise InvalidInput(f"the project has no environment {name[:80]!r}", field="environment")
    return _snooze(use, use.snoozes.change(who, snooze_id, words))


@router.post("/snoozes/{snooze_id}/expire", tags=["snoozes"])
def expire_snooze(use: Use, who: Who, snooze_id: int) -> schemas.SnoozeOut:
    """End a snooze now. One that is over stays as it is."""
    return _snooze(use, use.snoozes.expire(who, snooze_id))


def _snooze(use: Services, value: Snooze) -> schemas.SnoozeOut:
    return schemas.SnoozeOut.of(value, _slugs(use, value.project_id), use.clock.now())


# ---------------------------------------------------------------- test plans


@router.post("/projects/{slug}/test-plans", status_code=201, tags=["test plans"])
def add_test_plan(use: Use, who: Who, slug: str, body: schemas.TestPlanIn) -> schemas.TestPlanOut:
    """Save a selection under a name. A new default takes the place of the old one."""
    return _test_plan(use, use.test_plans.add(who, slug, **body.model_dump()))


@router.get("/projects/{slug}/test-plans", tags=["test plans"])
def list_test_plans(use: Use, who: Who, slug: str) -> Many[schemas.TestPlanOut]:
    """The test plans of a project."""
    found = use.test_plans.of_project(who, slug)
    slugs = _slugs(use, found[0].project_id) if found else {}
    return Many(items=[schemas.TestPlanOut.of(plan, slugs) for plan in found], next=None)


@router.get("/test-plans/{test_plan_id}", tags=["test plans"])
def get_test_plan(use: Use, who: Who, test_plan_id: int) -> schemas.TestPlanOut:
    """A test plan."""
    return _test_plan(use, use.test_plans.get(who, test_plan_id))


@router.delete("/test-plans/{test_plan_id}", status_code=204, tags=["test plans"])
def remove_test_plan(use: Use, who: Who, test_plan_id: int) -> Response:
    """Take a test plan away. Its runs stay as they are."""
    use.test_plans.remove(who, test_plan_id)
    return Response(status_code=204)


def _test_plan(use: Services, value: TestPlan) -> schemas.TestPlanOut:
    return schemas.TestPlanOut.of(value, _slugs(use, value.project_id))


# ---------------------------------------------------------------- webhooks


@router.post("/projects/{slug}/webhooks", status_code=201, tags=["webhooks"])
def add_webhook(use: Use, who: Who, slug: str, body: schemas.WebhookIn) -> schemas.NewWebhook:
    """Have an address told of runs. The secret of its signatures is in this answer and nowhere else."""
    made, secret = use.webhooks.add(who, slug, url=body.url, events=body.events)
    return schemas.NewWebhook(**schemas.WebhookOut.of(made).model_dump(), secret=secret)


@router.get("/projects/{slug}/webhooks", tags=["webhooks"])
def list_webhooks(use: Use, who: Who, slug: str) -> Many[schemas.WebhookOut]:
    """The webhooks of a project, without their secrets."""
    return Many(items=[schemas.WebhookOut.of(found) for found in use.webhooks.of_project(who, slug)], next=None)


@router.get("/webhooks/{webhook_id}", tags=["webhooks"])
def get_webhook(use: Use, who: Who, webhook_id: int) -> schemas.WebhookOut:
    """A webhook."""
    return schemas.WebhookOut.of(use.webhooks.get(who, webhook_id))


@router.delete("/webhooks/{webhook_id}", status_code=204, tags=["webhooks"])
def remove_webhook(use: Use, who: Who, webhook_id: int) -> Response:
    """Take a webhook away, with what was still to be told to it."""
    use.webhooks.remove(who, webhook_id)
    return Response(status_code=204)


@router.post("/webhooks/{webhook_id}/test", status_code=202, tags=["webhooks"])
def test_webhook(use: Use, who: Who, webhook_id: int) -> schemas.WebhookOut:
    """Tell it the event `webhook.test`, soon."""
    use.webhooks.test(who, webhook_id)
    use.signals().outbox()
    return schemas.WebhookOut.of(use.webhooks.get(who, webhook_id))
