"""Badges: opened by a secret of their own (study 1.10)."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from resit.domain.badge import Sample
from resit.domain.test_plan import TestPlan
from resit.testing.factories import result
from resit.testing.world import World

Refused = Callable[..., str]


@pytest.fixture
def plan(world: World, shop: TestClient, plan_of: Callable[..., TestPlan]) -> TestPlan:
    """A test plan that passed, and then failed."""
    del shop
    plan = plan_of("Nightly")
    world.carry_out(world.planned("a", test_plan=plan.id))
    world.carry_out(world.planned("a", test_plan=plan.id), {"a": [result("a", "failed")]})
    world.carry_out(world.planned("a"))
    return plan


@pytest.fixture
def query(world: World, shop: TestClient, plan: TestPlan) -> dict[str, str]:
    """What opens the badge of the plan."""
    secret = shop.get("/resit/v1/projects/shop/badge-token").json()["token"]
    del shop.headers["Authorization"]
    return {"token": secret, "testPlanShortId": f"pln_{world.ids.short(plan.id)}"}


def test_the_badge_of_a_plan(shop: TestClient, query: dict[str, str]) -> None:
    answer = shop.get("/v1/badge.svg", params=query)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "no-store" in answer.headers["cache-control"]
    assert "<title>Nightly: failing</title>" in answer.text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"style": "minimal"}, "<title>failing</title>"),
        ({"style": "detailed"}, "1 failed"),
        ({"style": "trend"}, "declining"),
        ({"style": "trend", "historyCount": "1"}, "failing"),
        ({"style": "trend", "historyCount": "-1422"}, "failing"),
        ({"style": "trend", "historyCount": "117212035088465280"}, "declining"),
        ({"label": "<b>&"}, "&lt;b&gt;&amp;: failing"),
        ({"label": ""}, "<title>failing</title>"),
        ({"showDate": "true"}, "now"),
        ({"trigger": "ANY"}, "failing"),
        ({"trigger": "API"}, "failing"),
        ({"trigger": "GITHUB"}, "no runs"),
        ({"createdBy": "admin"}, "failing"),
        ({"createdBy": "nobody"}, "no runs"),
    ],
)
def test_what_changes_a_badge(shop: TestClient, query: dict[str, str], more: dict[str, str], words: str) -> None:
    answer = shop.get("/v1/badge.svg", params={**query, **more})
    assert answer.status_code == 200
    assert words in answer.text


def test_badges_that_nobody_may_see(
    world: World, shop: TestClient, query: dict[str, str], refused: Refused, token: Callable[..., str]
) -> None:
    key = token().removeprefix("Bearer ")
    other = world.project("other")
    with world.store.read() as tx:
        assert tx.projects.get(other.id)
    foreign = world.signer.sign(f"badge:{other.id}", 4_102_444_800.0)
    wrong = [key, foreign, "x", "x.y", world.signer.sign("artifact:1", 4_102_444_800.0)]
    for secret in wrong:
        answer = shop.get("/v1/badge.svg", params={**query, "token": secret})
        assert answer.status_code == 200
        assert "<title>tests: not found</title>" in answer.text
    assert "not found" in shop.get("/v1/badge.svg", params={**query, "testPlanShortId": "pln_nothing"}).text
    refused(shop.get("/v1/badge.svg"), 400, "token")
    refused(shop.get("/v1/badge.svg", params={"token": query["token"]}), 400, "testPlanShortId")
    for name, value in (("style", "loud"), ("trigger", "WIND"), ("historyCount", "x"), ("showDate", "x")):
        refused(shop.get("/v1/badge.svg", params={**query, name: value}), 400, name)


def test_the_secret_opens_nothing_else(shop: TestClient, query: dict[str, str], refused: Refused) -> None:
    refused(shop.get("/v1/projects", headers={"Authorization": f"Bearer {query['token']}"}), 401)


@pytest.mark.parametrize("example", list(Sample))
def test_every_example(anyone: TestClient, example: Sample) -> None:
    answer = anyone.get("/v1/badge-example.svg", params={"example": example.value, "label": "Tests", "showDate": "1"})
    assert answer.status_code == 200
    assert answer.text.startswith("<svg")
    assert "2h ago" in answer.text


def test_examples_that_are_not_there(anyone: TestClient, refused: Refused) -> None:
    refused(anyone.get("/v1/badge-example.svg"), 400, "example")
    refused(anyone.get("/v1/badge-example.svg?example=sunny"), 400, "example")
