"""What stays between runs, over the native API: snoozes, test plans, webhooks, changes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.testing.factories import NOW, result
from resit.testing.world import World

V1 = "/resit/v1"
LATER = datetime.fromtimestamp(NOW + 86400, UTC).isoformat()


def test_snoozes_are_made_changed_and_ended(api: TestClient, world: World) -> None:
    world.environment()
    asked = {"tests": ["a::b"], "until": LATER, "description": "see #7", "environment": "staging"}
    made = api.post(f"{V1}/projects/shop/snoozes", json=asked)
    assert made.status_code == 201, made.text
    document = made.json()
    assert (document["active"], document["environment"], document["tests"]) == (True, "staging", ["a::b"])
    assert document["until"].startswith("2023-11-15T22:13:20")
    one = f"{V1}/snoozes/{document['id']}"
    assert api.get(one).json() == document
    world.clock.turn(1)
    changed = api.patch(one, json={"environment": None, "tests": ["c"]}).json()
    assert (changed["environment"], changed["tests"], changed["description"]) == (None, ["c"], "see #7")
    assert api.post(f"{one}/expire").json()["active"] is False
    assert api.get(f"{V1}/projects/shop/snoozes").json() == {"items": [], "next": None}
    assert len(api.get(f"{V1}/projects/shop/snoozes", params={"ended": True}).json()["items"]) == 1


def test_snoozes_are_paged(api: TestClient, world: World) -> None:
    for name in "abc":
        api.post(f"{V1}/projects/shop/snoozes", json={"tests": [name], "until": LATER})
    first = api.get(f"{V1}/projects/shop/snoozes", params={"limit": 2}).json()
    second = api.get(f"{V1}/projects/shop/snoozes", params={"limit": 2, "cursor": first["next"]}).json()
    assert [item["tests"] for item in [*first["items"], *second["items"]]] == [["c"], ["b"], ["a"]]
    assert second["next"] is None


def test_a_snoozed_failure_is_shown_as_such(api: TestClient, world: World) -> None:
    api.post(f"{V1}/projects/shop/snoozes", json={"tests": ["a::b"], "until": LATER})
    run = world.carry_out(world.planned("a::b", "a::c"), {"a::b": [result("a::b", "failed")]})
    shown = api.get(f"{V1}/runs/{run.id}").json()
    assert (shown["verdict"], shown["counts"]["failed"], shown["counts"]["snoozed"]) == ("passed", 1, 1)
    rows = api.get(f"{V1}/runs/{run.id}/tests").json()["items"]
    assert [(row["outcome"], row["snoozed"]) for row in rows] == [("failed", True), ("passed", False)]


def test_test_plans(api: TestClient) -> None:
    made = api.post(f"{V1}/projects/shop/test-plans", json={"name": "smoke", "tags": ["smoke"], "default": True})
    assert made.status_code == 201
    document = made.json()
    assert api.get(f"{V1}/test-plans/{document['id']}").json() == document
    assert api.get(f"{V1}/projects/shop/test-plans").json()["items"] == [document]
    run = api.post(f"{V1}/projects/shop/runs", json={"test_plan": document["id"]})
    assert (run.status_code, run.json()["tags"]) == (201, ["smoke"])
    twice = api.post(f"{V1}/projects/shop/test-plans", json={"name": "smoke"})
    assert (twice.status_code, twice.json()["code"]) == (409, "already_exists")
    assert api.delete(f"{V1}/test-plans/{document['id']}").status_code == 204
    assert api.get(f"{V1}/projects/shop/test-plans").json()["items"] == []


def test_webhooks_tell_their_secret_once(api: TestClient, world: World) -> None:
    made = api.post(f"{V1}/projects/shop/webhooks", json={"url": "https://ci.test/x", "events": ["test_run.ended"]})
    assert made.status_code == 201
    document = made.json()
    secret = document.pop("secret")
    assert secret.startswith("whsec_")
    listed, one = api.get(f"{V1}/projects/shop/webhooks"), api.get(f"{V1}/webhooks/{document['id']}")
    assert listed.json()["items"] == [document] == [one.json()]
    assert secret not in listed.text + one.text
    told = world.signals.told
    assert api.post(f"{V1}/webhooks/{document['id']}/test").status_code == 202
    assert world.signals.told > told
    assert api.delete(f"{V1}/webhooks/{document['id']}").status_code == 204
    assert api.get(f"{V1}/webhooks/{document['id']}").status_code == 404


def test_projects_and_environments_are_changed(api: TestClient) -> None:
    changed = api.patch(f"{V1}/projects/shop", json={"max_runs": 2, "repository": "acme/shop"}).json()
    assert (changed["max_runs"], changed["repository"], changed["name"]) == (2, "acme/shop", "shop")
    assert api.get(f"{V1}/projects/shop").json() == changed
    asked = {"slug": "staging", "variables": {"A": "1", "B": "2"}, "secrets": {"KEY": "hunter2"}}
    api.post(f"{V1}/projects/shop/environments", json=asked)
    words = {"disabled": True, "variables": {"A": None, "C": "3"}, "secrets": {"KEY": None, "PIN": "1234"}}
    found = api.patch(f"{V1}/projects/shop/environments/staging", json={**words, "platform": "windows"})
    document = found.json()
    assert (document["disabled"], document["platform"]) == (True, "windows")
    assert (document["variables"], document["secrets"]) == ({"B": "2", "C": "3"}, ["PIN"])
    refused = api.post(f"{V1}/projects/shop/runs", json={"environment": "staging"})
    assert (refused.status_code, refused.json()["field"]) == (400, "environment")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/projects/shop/snoozes", {"tests": [], "until": LATER}, "tests"),
        ("POST", "/projects/shop/snoozes", {"tests": ["a"], "until": "2026-01-01T00:00:00"}, "until"),
        ("POST", "/projects/shop/snoozes", {"tests": ["a"], "until": "2001-01-01T00:00:00Z"}, "until"),
        ("POST", "/projects/shop/snoozes", {"tests": ["a"], "until": "9999-12-31T23:59:59Z"}, "until"),
        ("POST", "/projects/shop/snoozes", {"tests": ["a"], "until": LATER, "from_run_id": 9**20}, "from_run_id"),
        ("PATCH", "/snoozes/1", {"until": None}, "until"),
        ("PATCH", "/snoozes/1", {"environment": "nowhere"}, "environment"),
        ("PATCH", "/snoozes/1", {"id": 7}, "id"),
        ("POST", "/projects/shop/test-plans", {"name": " "}, "name"),
        ("POST", "/projects/shop/test-plans", {"name": "x", "environment": "nowhere"}, "environment"),
        ("POST", "/projects/shop/webhooks", {"url": "ftp://x", "events": ["test_run.ended"]}, "url"),
        ("POST", "/projects/shop/webhooks", {"url": "http://a:b@x/", "events": ["test_run.ended"]}, "url"),
        ("POST", "/projects/shop/webhooks", {"url": "http://x/", "events": ["nonsense"]}, "events"),
        ("POST", "/projects/shop/webhooks", {"url": "http://x/", "events": []}, "events"),
        ("PATCH", "/projects/shop", {"max_runs": -1}, "max_runs"),
        ("PATCH", "/projects/shop", {"repository": "a b"}, "repository"),
        ("PATCH", "/projects/shop", {"source": "/"}, "source"),
        ("PATCH", "/projects/shop", {"name": None}, "name"),
        ("PATCH", "/projects/shop/environments/default", {"slug": "other"}, "slug"),
        ("PATCH", "/projects/shop/environments/default", {"schedule": "daily"}, "schedule"),
        ("PATCH", "/projects/shop/environments/default", {"match": ["!x"]}, "match"),
        ("PATCH", "/projects/shop/environments/default", {"variables": {"RESIT_X": "1"}}, "variables"),
        ("PATCH", "/projects/shop/environments/default", {"platform": "amiga"}, "platform"),
    ],
)
def test_odd_words_are_refused(api: TestClient, method: str, path: str, body: dict[str, Any], field: str) -> None:
    api.post(f"{V1}/projects/shop/snoozes", json={"tests": ["a"], "until": LATER})
    answer = api.request(method, V1 + path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input"), answer.text
    assert field in answer.json()["field"]


@pytest.mark.parametrize("kind", ["snoozes", "test-plans", "webhooks"])
@pytest.mark.parametrize("number", ["0", "-1", "1", str(2**53), str(10**30)])
def test_what_is_not_there_is_not_found(api: TestClient, kind: str, number: str) -> None:
    answer = api.get(f"{V1}/{kind}/{number}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_another_projects_things_are_not_there(
    api: TestClient, anyone: TestClient, world: World, token: Callable[..., str]
) -> None:
    world.project("bank")
    snooze = api.post(f"{V1}/projects/bank/snoozes", json={"tests": ["a"], "until": LATER}).json()["id"]
    plan = api.post(f"{V1}/projects/bank/test-plans", json={"name": "x"}).json()["id"]
    hook = api.post(f"{V1}/projects/bank/webhooks", json={"url": "http://x", "events": ["webhook.test"]}).json()["id"]
    own = {"Authorization": token()}
    for method, path in [
        ("GET", "/projects/bank/snoozes"), ("GET", f"/snoozes/{snooze}"), ("POST", f"/snoozes/{snooze}/expire"),
        ("GET", "/projects/bank/test-plans"), ("GET", f"/test-plans/{plan}"), ("DELETE", f"/test-plans/{plan}"),
        ("GET", "/projects/bank/webhooks"), ("GET", f"/webhooks/{hook}"), ("DELETE", f"/webhooks/{hook}"),
        ("POST", f"/webhooks/{hook}/test"),
    ]:  # fmt: skip
        assert anyone.request(method, V1 + path, headers=own).status_code == 404, path
    answer = anyone.patch(f"{V1}/projects/bank/environments/default", json={"disabled": True}, headers=own)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/projects/shop/snoozes", {"tests": ["a"], "until": LATER}),
        ("PATCH", "/snoozes/1", {}),
        ("POST", "/snoozes/1/expire", None),
        ("POST", "/projects/shop/test-plans", {"name": "x"}),
        ("DELETE", "/test-plans/1", None),
        ("POST", "/projects/shop/webhooks", {"url": "http://x", "events": ["webhook.test"]}),
        ("DELETE", "/webhooks/1", None),
        ("POST", "/webhooks/1/test", None),
        ("PATCH", "/projects/shop/environments/default", {}),
        ("PATCH", "/projects/shop", {}),
    ],
)
def test_writing_needs_more_than_reading(
    api: TestClient, anyone: TestClient, token: Callable[..., str], method: str, path: str, body: Any
) -> None:
    answer = anyone.request(method, V1 + path, json=body, headers={"Authorization": token(scopes=["runs:read"])})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
