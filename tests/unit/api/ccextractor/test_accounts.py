"""Tokens of people and of the operator (study 1.2, 2.1)."""

import json
from typing import Any

import pytest

from resit.domain.access import Role, Scope
from resit.testing.factories import ADMIN, NOW
from resit.testing.world import World

DAY = 86400
ASK = {"email": "ann@example.org", "password": "correct horse", "token_name": "ci"}


@pytest.fixture
def ann(world: World, http: Any, bearing: Any) -> Any:
    """Someone without a token, whose account is a tester's."""
    world.people.add(
        ADMIN, email=ASK["email"], name="Ann", role=Role.TESTER.value, password=ASK["password"], project="shop"
    )
    return bearing("")


def test_the_life_of_a_token(ann: Any, bearing: Any, world: World) -> None:
    answer = ann.ask("POST", "/auth/tokens", json=ASK)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert made == {
        "token": made["token"],
        "token_type": "bearer",
        "token_name": "ci",
        "scopes": ["runs:read", "results:read"],
        "expires_at": "2023-11-21T22:13:20Z",
    }
    for word in ("Bearer", "bearer", "BEARER"):
        me = bearing(f"{word} {made['token']}").get("/auth/me")
    assert me == {
        "user_id": me["user_id"],
        "name": "Ann",
        "email": "ann@example.org",
        "role": "tester",
        "scopes": ["runs:read", "results:read"],
    }
    client = bearing(f"Bearer {made['token']}")
    assert client.ask("DELETE", "/auth/tokens/current").status_code == 204
    assert client.ask("GET", "/auth/me").status_code == 401


def test_a_token_ends_with_its_time(ann: Any, bearing: Any, world: World) -> None:
    made = ann.post("/auth/tokens", {**ASK, "expires_in_days": 1}, 201)
    world.clock.turn(DAY - 1)
    assert bearing(f"Bearer {made['token']}").ask("GET", "/auth/me").status_code == 200
    world.clock.turn(1)
    assert bearing(f"Bearer {made['token']}").ask("GET", "/auth/me").status_code == 401


@pytest.mark.parametrize("change", [{"email": "bob@example.org"}, {"password": "wrong horse"}])
def test_wrong_credentials_are_told_in_one_text(ann: Any, change: dict[str, str]) -> None:
    refused = ann.post("/auth/tokens", {**ASK, **change}, 401)
    assert (refused["code"], refused["details"]) == ("invalid_credentials", {})
    assert refused["message"] == "no account has this e-mail and password"


def test_a_name_is_used_once(ann: Any, bearing: Any) -> None:
    made = ann.post("/auth/tokens", ASK, 201)
    bearing(f"Bearer {made['token']}").ask("DELETE", "/auth/tokens/current")
    refused = ann.post("/auth/tokens", ASK, 400)
    assert (refused["code"], list(refused["details"]["fields"])) == ("validation_error", ["token_name"])


def test_scopes_beyond_the_role_are_forbidden(ann: Any) -> None:
    refused = ann.post("/auth/tokens", {**ASK, "scopes": ["runs:read", "tokens:manage"]}, 403)
    assert (refused["code"], refused["details"]["user_role"]) == ("forbidden", "tester")


BAD: list[dict[str, Any]] = [
    {"email": "ann"}, {"email": "a@" + "b" * 255}, {"email": None}, {"password": "short"}, {"password": "x" * 129},
    {"token_name": ""}, {"token_name": "x" * 51}, {"token_name": "a b"}, {"token_name": "a\n"},
    {"expires_in_days": 0}, {"expires_in_days": 31}, {"expires_in_days": 1.5}, {"expires_in_days": "7"},
    {"expires_in_days": True}, {"scopes": ["admin"]}, {"scopes": ["runs:read", "runs:read"]}, {"scopes": "runs:read"},
    {"scopes": None}, {"more": 1}, {"password": "\ud800" * 9},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD, ids=range(len(BAD)))
def test_requests_that_do_not_fit(ann: Any, change: dict[str, Any]) -> None:
    content = json.dumps({**ASK, **change})
    answer = ann.ask("POST", "/auth/tokens", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert next(iter(change)) in str(answer.json()["details"]["fields"])
    assert str(ASK["password"]) not in answer.text


def test_lists_of_tokens(admin: Any, person: Any, world: World, cc: Any) -> None:
    boss = person(Role.ADMIN, Scope.TOKENS_MANAGE, project=None)
    own = boss.get("/auth/tokens")
    assert [(row["token_name"], row["scopes"]) for row in own["data"]] == [("t", ["tokens:manage"])]
    everyone = boss.get("/auth/tokens", all="true", limit=2)
    assert everyone["pagination"]["total"] == 3
    assert everyone["pagination"]["next_offset"] == 2
    rest = boss.get("/auth/tokens", all="1", limit=2, offset=2)["data"]
    rows = [*everyone["data"], *rest]
    assert len({row["id"] for row in rows}) == 3
    assert all("token" not in row and "digest" not in row for row in rows)
    id = next(row["id"] for row in rows if row["token_name"] == "ci")
    for _ in range(2):
        assert boss.ask("DELETE", f"/auth/tokens/{id}").status_code == 204
    assert cc.ask("GET", "/auth/me").status_code == 401
    revoked = next(row for row in boss.get("/auth/tokens", all="yes")["data"] if row["id"] == id)
    assert (revoked["is_revoked"], revoked["revoked_at"]) == (True, "2023-11-14T22:13:20Z")
    assert world.clock.now() == NOW


def test_other_people_s_tokens_are_not_there(person: Any, world: World) -> None:
    one, two = person(Role.TESTER), person(Role.TESTER)
    mine = world.access.authenticate(one.bearer.removeprefix("Bearer ")).token_id
    assert two.ask("DELETE", f"/auth/tokens/{mine}").status_code == 404
    assert two.ask("DELETE", "/auth/tokens/999").status_code == 404
    assert one.ask("DELETE", f"/auth/tokens/{mine}").status_code == 204


def test_a_token_that_is_nobody_s_stands_for_itself(cc: Any, admin: Any) -> None:
    me = cc.get("/auth/me")
    assert (me["name"], me["role"]) == ("ci", "contributor")
    assert me == cc.get("/auth/me")
    assert admin.get("/auth/me")["role"] == "admin"
    assert admin.get("/auth/me")["user_id"] != me["user_id"]


def test_a_suspended_organization_is_forbidden(cc: Any, world: World) -> None:
    world.organizations.set(ADMIN, {"suspended": True})
    refused = cc.get("/runs", 403)
    assert refused["code"] == "forbidden"
    assert "suspended" in refused["message"]


def test_a_month_without_runs_left_is_forbidden(cc: Any, world: World, green: int) -> None:
    world.organizations.set(ADMIN, {"monthly_runs": 1})
    refused = cc.post(f"/runs/{green}/retry", None, 403)
    assert refused["code"] == "forbidden"
    assert "month" in refused["message"]
