"""People, the organization, its limit and its suspension, over the native API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain.organization import month_start
from resit.testing.factories import ADMIN, planned
from resit.testing.world import World

V1 = "/resit/v1"
RUNS = f"{V1}/projects/shop/runs"
ANN = {"email": "Ann@Example.org", "name": "Ann", "role": "tester", "password": "correct horse", "project": "shop"}


def test_an_account_is_made_listed_and_disabled(api: TestClient, world: World) -> None:
    made = api.post(f"{V1}/users", json=ANN)
    assert made.status_code == 201
    ann = made.json()
    assert ann.pop("created_at")
    assert ann == {
        "id": 1, "email": "ann@example.org", "name": "Ann", "role": "tester", "project_id": 1, "disabled": False,
    }  # fmt: skip
    least = {"email": "ben@example.org", "password": "correct horse"}
    assert api.post(f"{V1}/users", json=least).json()["role"] == "user"
    listed = api.get(f"{V1}/users")
    assert [user["email"] for user in listed.json()["items"]] == ["ann@example.org", "ben@example.org"]
    assert "horse" not in made.text + listed.text
    assert "scrypt" not in made.text + listed.text
    _, secret = world.people.sign_in(
        "ann@example.org", "correct horse", token_name="x", scopes=["runs:read"], expires_in_days=1
    )
    own = {"Authorization": f"Bearer {secret}"}
    assert api.get(f"{V1}/runs", headers=own).status_code == 200
    assert [token["user_id"] for token in api.get(f"{V1}/tokens").json()["items"]] == [None, 1]
    for _ in range(2):
        disabled = api.post(f"{V1}/users/ANN@example.org/disable")
        assert disabled.status_code == 200
        assert disabled.json()["disabled"] is True
    assert api.get(f"{V1}/runs", headers=own).status_code == 401


def test_a_bearer_revokes_its_own_token_without_a_scope(api: TestClient, token: Callable[..., str]) -> None:
    own = {"Authorization": token(scopes=["runs:read"])}
    assert api.delete(f"{V1}/tokens/1", headers=own).status_code == 403
    assert api.delete(f"{V1}/tokens/2", headers=own).status_code == 204
    assert api.delete(f"{V1}/tokens/2", headers=own).status_code == 401


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"email": "nobody"}, 400, "email"),
        ({"email": None}, 400, "email"),
        ({"role": "king"}, 400, "role"),
        ({"password": "short"}, 400, "password"),
        ({"password": "x" * 129}, 400, "password"),
        ({"password": "1234567\ud800"}, 400, "password"),
        ({"password": 12345678}, 400, "password"),
        ({"name": "\0"}, 400, "name"),
        ({"disabled": True}, 400, "disabled"),
        ({"project": "nowhere"}, 404, "project"),
    ],
    ids=repr,
)
def test_odd_accounts_are_refused(api: TestClient, change: dict[str, Any], status: int, field: str) -> None:
    # in ASCII, so that half a character gets there
    body = json.dumps({**ANN, **change})
    answer = api.post(f"{V1}/users", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field
    assert str({**ANN, **change}["password"]) not in answer.text
    assert api.get(f"{V1}/users").json() == {"items": [], "next": None}


def test_an_account_twice_and_one_that_is_not_there(api: TestClient) -> None:
    api.post(f"{V1}/users", json=ANN)
    again = api.post(f"{V1}/users", json={**ANN, "email": "ann@example.org"})
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    assert api.post(f"{V1}/users/nobody@example.org/disable").status_code == 404
    assert api.post(f"{V1}/users/a%2Fb@example.org/disable").status_code == 404
    assert api.post(f"{V1}/users/nobody/disable").status_code == 400


@pytest.mark.parametrize("given", [{"scopes": ["system:write", "tokens:manage"]}, {"scopes": ["admin"]}], ids=repr)
def test_people_and_settings_are_the_operators(
    api: TestClient, token: Callable[..., str], given: dict[str, Any]
) -> None:
    own = {"Authorization": token(**given)}
    answers = [
        api.post(f"{V1}/users", json=ANN, headers=own),
        api.get(f"{V1}/users", headers=own),
        api.post(f"{V1}/users/ann@example.org/disable", headers=own),
        api.patch(f"{V1}/organization", json={"suspended": True}, headers=own),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert {answer.json()["code"] for answer in answers} == {"forbidden"}


def test_the_organization_is_shown_and_set(api: TestClient, token: Callable[..., str]) -> None:
    api.post(RUNS)
    free = {"monthly_runs": None, "runs_this_month": 1, "suspended": False}
    assert api.get(f"{V1}/organization").json() == free
    assert api.get(f"{V1}/organization", headers={"Authorization": token()}).json() == free
    assert api.get(f"{V1}/organization", headers={"Authorization": token(scopes=["runs:read"])}).status_code == 403
    assert api.patch(f"{V1}/organization", json={"monthly_runs": 9}).json() == {**free, "monthly_runs": 9}
    assert api.patch(f"{V1}/organization", json={}).json() == {**free, "monthly_runs": 9}
    assert api.patch(f"{V1}/organization", json={"monthly_runs": None}).json() == free


@pytest.mark.parametrize(
    "change",
    [
        {"monthly_runs": -1},
        {"monthly_runs": "5"},
        {"monthly_runs": 1.5},
        {"monthly_runs": True},
        {"monthly_runs": 2**40},
        {"monthly_runs": 10**40},
        {"suspended": None},
        {"suspended": "yes"},
        {"suspended": 1},
        {"name": "x"},
        [],
        None,
    ],
    ids=repr,
)
def test_odd_settings_are_refused(api: TestClient, change: Any) -> None:
    answer = api.patch(f"{V1}/organization", json=change)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert api.get(f"{V1}/organization").json() == {"monthly_runs": None, "runs_this_month": 0, "suspended": False}


def test_past_the_limit_nothing_new_is_made_and_what_was_made_goes_on(api: TestClient, world: World) -> None:
    api.patch(f"{V1}/organization", json={"monthly_runs": 1})
    key = {"Idempotency-Key": "deploy"}
    assert api.post(RUNS, json={}, headers=key).status_code == 201
    run = world.carry_out(world.plan(world.run(1), [planned("a"), planned("b")]))
    assert run.verdict == "passed"
    for path, body in ((RUNS, {}), (f"{V1}/runs/{run.id}/rerun", {"selection": "all"})):
        refused = api.post(path, json=body)
        assert refused.status_code == 402, refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.json()["code"], refused.json()["limit"]) == ("quota_exceeded", 1)
    # a request that was answered before makes nothing new
    assert api.post(RUNS, json={}, headers=key).status_code == 200
    assert api.get(f"{V1}/runs/1").status_code == 200
    assert len(api.get(f"{V1}/runs").json()["items"]) == 1
    world.clock.time = month_start(world.clock.now() + 32 * 86400)
    assert api.post(RUNS, json={}).status_code == 201


def test_a_suspended_organization_refuses_reads_too(api: TestClient, token: Callable[..., str], world: World) -> None:
    api.post(RUNS)
    own, bound = token(), token(scopes=["admin"])
    _, secret = world.access.create_token(ADMIN, project=None)
    assert api.patch(f"{V1}/organization", json={"suspended": True}).status_code == 200
    for bearer in (own, bound, f"Bearer {secret}"):
        for method, path in (
            ("GET", f"{V1}/runs"),
            ("GET", f"{V1}/runs/1/events"),
            ("GET", f"{V1}/organization"),
            ("POST", RUNS),
            ("POST", f"{V1}/runs/1/cancel"),
            ("DELETE", f"{V1}/tokens/2"),
        ):
            refused = api.request(method, path, headers={"Authorization": bearer})
            assert (refused.status_code, refused.json()["code"]) == (403, "suspended"), path
    assert api.get("/healthz").status_code == 200
    assert api.get(f"{V1}/runs", headers={"Authorization": "Bearer x"}).status_code == 401
    # the operator still gets in, and may do everything
    assert api.get(f"{V1}/runs").status_code == 200
    assert api.post(RUNS).status_code == 201
    assert api.patch(f"{V1}/organization", json={"suspended": False}).status_code == 200
    assert api.get(f"{V1}/runs", headers={"Authorization": own}).status_code == 200
