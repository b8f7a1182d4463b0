"""Test plans, resources, webhooks and their notices: what a project owns."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from resit.domain.access import Principal, Scope
from resit.domain.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound
from resit.domain.resource import ResourceStatus
from resit.domain.status import SelectionKind
from resit.domain.webhook import MAX_ATTEMPTS, STALE_SECONDS, WebhookEvent
from resit.services.notices import Notices
from resit.services.resources import READ, WRITE
from resit.services.webhooks import MAX_WEBHOOKS
from resit.testing.factories import ADMIN, NOW, planned, result
from resit.testing.world import World

ENDED = WebhookEvent.ENDED.value
URL = "https://ci.test/hooks"


def bound(world: World, slug: str = "bank", *scopes: Scope) -> Principal:
    """Somebody of another project."""
    found = scopes or (Scope.RUNS_READ, Scope.RUNS_WRITE)
    return Principal("them", world.project(slug).id, frozenset(found))


# ---------------------------------------------------------------- test plans


def test_a_test_plan_brings_its_selection_and_environment(world: World) -> None:
    world.project()
    staging = world.environment()
    plan = world.test_plans.add(ADMIN, "shop", name="smoke", tests=["a", "a"], tags=["smoke"], environment="staging")
    run = world.trigger(test_plan=plan.id)
    assert (run.environment_id, run.test_plan_id) == (staging.id, plan.id)
    assert (run.selection.kind, run.selection.tests, run.selection.tags) == (SelectionKind.CHOSEN, ("a",), ("smoke",))
    elsewhere = world.trigger(test_plan=plan.id, environment="default")
    assert elsewhere.environment_id != staging.id
    world.test_plans.remove(ADMIN, plan.id)
    assert world.run(run.id).test_plan_id == plan.id
    with pytest.raises(NotFound):
        world.trigger(test_plan=plan.id)


def test_a_test_plan_without_tests_means_all(world: World) -> None:
    world.project()
    plan = world.test_plans.add(ADMIN, "shop", name="all")
    assert world.trigger(test_plan=plan.id).selection.kind is SelectionKind.ALL


def test_one_test_plan_is_the_default(world: World) -> None:
    world.project()
    world.project("bank")
    for slug, name in (("shop", "one"), ("bank", "one"), ("shop", "two")):
        world.test_plans.add(ADMIN, slug, name=name, default=True)
    assert [plan.default for plan in world.test_plans.of_project(ADMIN, "shop")] == [False, True]
    assert [plan.default for plan in world.test_plans.of_project(ADMIN, "bank")] == [True]


def test_a_test_plan_of_another_project_is_not_there(world: World) -> None:
    world.project()
    plan = world.test_plans.add(ADMIN, "shop", name="x")
    them = bound(world)
    for ask in (world.test_plans.get, world.test_plans.remove):
        with pytest.raises(NotFound):
            ask(them, plan.id)
    with pytest.raises(NotFound):
        world.trigger("bank", test_plan=plan.id)
    with pytest.raises(AlreadyExists):
        world.test_plans.add(ADMIN, "shop", name="x")


def test_a_test_plan_of_a_draft_does_not_run(world: World) -> None:
    project = world.project()
    with world.store.write() as tx:
        tx.cases.add(project.id, world.ids.uuid(), "to be written", "", NOW)
        draft = tx.cases.numbered(project.id, [1])[0].uuid
    plan = world.test_plans.add(ADMIN, "shop", name="x", tests=[draft])
    with pytest.raises(InvalidInput):
        world.trigger(test_plan=plan.id)


# ---------------------------------------------------------------- resources


def test_a_file_is_pending_until_its_content_is_there(world: World) -> None:
    world.project()
    made = world.resources.add(ADMIN, "shop", name="report.pdf", mime_type="application/pdf", size=7)
    assert (made.status, made.created_by, made.key) == (ResourceStatus.PENDING, "admin", f"resource-{made.id}")
    world.clock.turn(1)
    there = world.resources.uploaded(made, 9)
    assert (there.status, there.size, there.mime_type) == (ResourceStatus.UPLOADED, 9, "application/pdf")
    assert world.resources.get(ADMIN, made.id) == there
    changed = world.resources.change(ADMIN, made.id, name="r.pdf")
    assert (changed.name, changed.description, changed.size) == ("r.pdf", "", 9)
    assert world.resources.remove(ADMIN, made.id) == changed
    with pytest.raises(NotFound):
        world.resources.uploaded(made, 9)


def test_a_link_has_no_content(world: World) -> None:
    world.project()
    link = world.resources.add(ADMIN, "shop", name="docs", url="https://docs.test/x")
    assert link.status is ResourceStatus.UPLOADED
    with pytest.raises(Conflict):
        world.resources.uploaded(link, 9)


def test_a_signature_opens_one_right_to_one_resource_for_a_time(world: World) -> None:
    world.project()
    one, two = (world.resources.add(ADMIN, "shop", name=name) for name in ("one", "two"))
    expires, signature = world.resources.sign(one, READ, 60)
    assert expires == int(NOW) + 60
    assert world.resources.signed(one.id, READ, expires, signature) == one
    refused: set[str] = set()
    for odd in (
        (two.id, READ, expires, signature),
        (99, READ, expires, signature),
        (one.id, WRITE, expires, signature),
        (one.id, "", expires, signature),
        (one.id, READ, expires + 1, signature),
        (one.id, READ, expires, signature[:-1]),
        (one.id, READ, expires, ""),
        (one.id, READ, expires, "\ud800é."),
    ):
        with pytest.raises(Forbidden) as raised:
            world.resources.signed(*odd)
        refused.add(raised.value.message)
    world.clock.turn(60)
    with pytest.raises(Forbidden) as raised:
        world.resources.signed(one.id, READ, expires, signature)
    assert refused == {raised.value.message}, "nothing tells what was wrong"


def test_the_signature_of_a_resource_that_is_gone_opens_no_later_one(world: World) -> None:
    world.project()
    made = world.resources.add(ADMIN, "shop", name="one")
    expires, signature = world.resources.sign(made, READ)
    world.resources.remove(ADMIN, made.id)
    with pytest.raises(NotFound):
        world.resources.signed(made.id, READ, expires, signature)
    world.clock.turn(1)
    later = world.resources.add(ADMIN, "shop", name="two")
    if later.id == made.id:
        with pytest.raises(NotFound):
            world.resources.signed(made.id, READ, expires, signature)


@pytest.mark.parametrize(
    "odd",
    [
        {"name": ""}, {"name": " "}, {"name": "x" * 256}, {"name": "\0"}, {"description": "x" * 2001},
        {"url": "javascript:alert(1)"}, {"url": "http://a:b@c"}, {"url": "http://"}, {"url": "http://x\r\nA: b"},
        {"mime_type": "text"}, {"mime_type": "text/html\r\nX: y"}, {"size": -1}, {"size": 2**60},
    ],
    ids=repr,
)  # fmt: skip
def test_odd_resources_are_refused(world: World, odd: dict[str, Any]) -> None:
    world.project()
    with pytest.raises(InvalidInput):
        world.resources.add(ADMIN, "shop", **{"name": "x", **odd})


# ---------------------------------------------------------------- webhooks


def test_the_secret_of_a_webhook_is_sealed_and_its_own(world: World) -> None:
    world.project()
    (first, one), (_, two) = (world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED]) for _ in range(2))
    assert one != two
    assert len(base64.urlsafe_b64decode(one.removeprefix("whsec_") + "=")) == 32
    with world.store.read() as tx:
        assert one not in tx.webhooks.sealed(first.id)


def test_webhooks_are_told_what_they_asked_for(world: World) -> None:
    world.project()
    ends, secret = world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED, ENDED, WebhookEvent.ERROR.value])
    all_, _ = world.webhooks.add(ADMIN, "shop", url=URL, events=[*WebhookEvent])
    run = world.carry_out(world.planned("a", notify=False), {"a": [result("a", "failed")]})
    told = told_to(world)
    assert [event for event, _ in told[ends.id]] == [ENDED]
    assert [event for event, _ in told[all_.id]] == ["test_run.queued", "test_run.started", ENDED]
    said = told[ends.id][0][1]["test_run"]
    assert said == {"id": run.id, "uuid": run.uuid, "status": "finished", "verdict": "failed"}
    stopped = world.trigger()
    world.runs.cancel(ADMIN, stopped.id)
    assert [event for event, _ in told_to(world)[all_.id]] == ["test_run.queued", "test_run.cancelled"]
    assert secret not in json.dumps(told)


def test_a_run_that_waits_is_queued_when_its_turn_comes(world: World) -> None:
    world.project(max_runs=1)
    hook, _ = world.webhooks.add(ADMIN, "shop", url=URL, events=["test_run.queued"])
    first, second = world.trigger(), world.trigger()
    queued = [said["test_run"]["id"] for _, said in told_to(world)[hook.id]]
    assert queued == [first.id]
    world.runs.cancel(ADMIN, first.id)
    assert [said["test_run"]["id"] for _, said in told_to(world)[hook.id]] == [second.id]


def told_to(world: World) -> dict[int, list[tuple[str, dict[str, Any]]]]:
    """Everything that is due, by webhook, as if all of it were taken."""
    notices = notices_of(world)
    found: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    while posts := notices.due(100):
        for post in posts:
            found.setdefault(post.notice.webhook_id, []).append((post.notice.event.value, json.loads(post.body)))
            notices.told(post.notice)
    return found


def notices_of(world: World) -> Notices:
    return Notices(world.store, world.clock, world.signer)


def test_a_notice_is_signed_tried_again_and_given_up(world: World) -> None:
    world.project()
    hook, secret = world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED])
    world.webhooks.test(ADMIN, hook.id)
    notices = notices_of(world)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        (post,) = notices.due(10)
        key = base64.urlsafe_b64decode(secret.removeprefix("whsec_") + "=")
        mac = hmac.new(key, post.body, hashlib.sha256).hexdigest()
        assert (post.url, post.headers["x-webhook-signature"]) == (URL, f"sha256={mac}")
        assert json.loads(post.body)["event"] == "webhook.test"
        assert notices.failed(post.notice) is (attempt < MAX_ATTEMPTS)
        assert notices.due(10) == []
        world.clock.turn(5.0 * 4.0 ** (attempt - 1))
    world.clock.turn(1e6)
    assert notices.due(10) == []


def test_one_notice_at_a_time_to_each_webhook(world: World) -> None:
    world.project()
    hooks = [world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED])[0].id for _ in range(3)]
    for _ in range(5):
        for hook in hooks:
            world.webhooks.test(ADMIN, hook)
    notices = notices_of(world)
    assert [post.notice.webhook_id for post in notices.due(10)] == hooks
    assert [post.notice.webhook_id for post in notices.due(10, besides=hooks[:2])] == hooks[2:]
    assert len(notices.due(2)) == 2


def test_stale_notices_are_forgotten(world: World) -> None:
    world.project()
    hook, _ = world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED])
    world.webhooks.test(ADMIN, hook.id)
    world.clock.turn(STALE_SECONDS)
    world.webhooks.test(ADMIN, hook.id)
    assert notices_of(world).forget_stale() == 0
    world.clock.turn(1)
    assert notices_of(world).forget_stale() == 1
    assert len(notices_of(world).due(10)) == 1


def test_a_webhook_that_is_taken_away_is_told_nothing(world: World) -> None:
    world.project()
    hook, _ = world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED])
    world.webhooks.test(ADMIN, hook.id)
    them = bound(world)
    for ask in (world.webhooks.get, world.webhooks.remove, world.webhooks.test):
        with pytest.raises(NotFound):
            ask(them, hook.id)
    world.webhooks.remove(ADMIN, hook.id)
    assert notices_of(world).due(10) == []
    assert world.webhooks.of_project(ADMIN, "shop") == []


def test_a_project_has_so_many_webhooks(world: World) -> None:
    world.project()
    for _ in range(MAX_WEBHOOKS):
        world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED])
    with pytest.raises(InvalidInput):
        world.webhooks.add(ADMIN, "shop", url=URL, events=[ENDED])


def test_no_webhook_makes_no_notices(world: World) -> None:
    world.project()
    world.carry_out(world.plan(world.trigger(), [planned("a")]))
    assert notices_of(world).due(10) == []
