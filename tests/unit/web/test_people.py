"""Signing in and out, one's own tokens, people."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.domain.access import Role, Scope, TokenKind
from resit.domain.errors import Unauthenticated
from resit.testing.factories import ADMIN
from resit.testing.world import World
from resit.web.door import COOKIE
from resit.web.people import TRIES, inside

PASSWORD = "correct horse"


def add(world: World, **members: Any) -> None:
    words = {"email": "ann@example.org", "name": "Ann", "role": "tester", "password": PASSWORD, **members}
    world.people.add(ADMIN, **words)


def test_in_by_password_and_out_again(world: World, stranger: TestClient) -> None:
    add(world)
    wrong = stranger.post("/sign-in", data={"email": "ann@example.org", "password": "wrong horse"})
    assert wrong.status_code == 401
    assert COOKIE not in stranger.cookies
    right = stranger.post("/sign-in", data={"email": " ANN@example.org", "password": PASSWORD, "next": "/runs/7?x=1"})
    assert (right.status_code, right.headers["location"]) == (303, "http://resit.test/runs/7?x=1")
    said = right.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said
    text = stranger.get("/runs").text
    assert "Ann" in text
    found = re.search(r'data-form="(\w+)"', text)
    assert found
    assert stranger.post("/sign-out", data={"form": found[1]}).headers["location"] == "http://resit.test/sign-in"
    secret = right.cookies[COOKIE]
    stranger.cookies.set(COOKIE, secret, domain="resit.test")
    assert stranger.get("/runs").status_code == 303  # the cookie that somebody kept is worth nothing


def test_guessing_is_slowed_down(world: World, stranger: TestClient) -> None:
    add(world)
    for _ in range(TRIES.limit):
        stranger.post("/sign-in", data={"email": "ann@example.org", "password": "wrong horse"})
    late = stranger.post("/sign-in", data={"email": "ann@example.org", "password": PASSWORD})
    assert late.status_code == 401
    assert "too many tries" in late.text.lower()


def test_a_link_signs_in_once(world: World, stranger: TestClient) -> None:
    secret = world.sessions.link(ADMIN)
    for _ in range(2):  # to look at it does not use it up
        assert stranger.get(f"/link/{secret}").status_code == 200
    assert stranger.post("/link", data={"secret": secret}).status_code == 303
    assert "operator" in stranger.get("/runs").text
    stranger.cookies.clear()
    assert stranger.post("/link", data={"secret": secret}).status_code == 401
    late = world.sessions.link(ADMIN)
    world.clock.turn(86_401)
    assert stranger.post("/link", data={"secret": late}).status_code == 401
    assert stranger.post("/link", data={"secret": "nonsense"}).status_code == 401


def test_each_secret_opens_its_own_door(world: World, stranger: TestClient) -> None:
    add(world)
    session = world.sessions.by_password("ann@example.org", PASSWORD)
    link = world.sessions.link(ADMIN)
    _, token = world.access.create_token(ADMIN, project=None, scopes=["admin"])
    for secret, kind in ((session, TokenKind.SESSION), (link, TokenKind.LINK), (token, TokenKind.API)):
        for other in TokenKind:
            if other is kind:
                world.access.authenticate(secret, other)
            else:
                with pytest.raises(Unauthenticated):
                    world.access.authenticate(secret, other)
    stranger.cookies.set(COOKIE, token, domain="resit.test")
    assert stranger.get("/runs").status_code == 303
    assert [each.kind for each in world.access.tokens(ADMIN)] == [TokenKind.API]


def test_a_session_has_the_role_of_now(world: World) -> None:
    add(world)
    secret = world.sessions.by_password("ann@example.org", PASSWORD)
    assert world.sessions.who(secret).scopes == {Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.RESULTS_READ}
    world.people.disable(ADMIN, "ann@example.org")
    with pytest.raises(Unauthenticated):
        world.sessions.who(secret)


def test_a_session_ends(world: World) -> None:
    add(world)
    secret = world.sessions.by_password("ann@example.org", PASSWORD)
    world.clock.turn(14 * 86_400 + 1)
    with pytest.raises(Unauthenticated):
        world.sessions.who(secret)


def test_a_token_is_shown_once_and_may_no_more_than_its_owner(
    world: World, signed_in: Callable[..., TestClient], send: Any
) -> None:
    client = signed_in(Role.TESTER)
    made = send(client, "/account/tokens", name="ci", scope=["runs:read", "runs:write"], days="30")
    found = re.search(r'class="secret" id="secret">(\w+[\w-]*)<', made.text)
    assert found
    secret = found[1]
    assert secret not in client.get("/account").text
    assert client.get("/resit/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert "just now" in client.get("/account").text  # last used
    refused = send(client, "/account/tokens", name="more", scope=["admin"], days="30")
    assert refused.status_code == 400
    assert "no scope admin" in refused.text
    number = re.search(r'name="id" value="(\d+)"', client.get("/account").text)
    assert number
    assert send(client, "/account/tokens/revoke", id=number[1]).status_code == 303
    assert client.get("/resit/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_people_are_added_and_closed_out(world: World, admin: TestClient, send: Any) -> None:
    fields = {"email": "ben@example.org", "role": "user", "password": PASSWORD, "project": "shop"}
    assert send(admin, "/settings/people", **fields).status_code == 303
    assert send(admin, "/settings/people", **fields).status_code == 400
    text = admin.get("/settings").text
    assert "ben@example.org" in text
    assert "viewer" in text
    assert send(admin, "/settings/people/disable", email="ben@example.org").status_code == 303
    with pytest.raises(Unauthenticated):
        world.sessions.by_password("ben@example.org", PASSWORD)


def test_a_password_is_changed_by_who_knows_the_old_one(
    world: World, signed_in: Callable[..., TestClient], send: Any
) -> None:
    client = signed_in(Role.USER)
    assert send(client, "/account/password", old="wrong horse", new="another horse").status_code == 400
    assert send(client, "/account/password", old=PASSWORD, new="short").status_code == 400
    assert send(client, "/account/password", old=PASSWORD, new="another horse").status_code == 200
    assert world.sessions.by_password("user-all@example.org", "another horse")


@pytest.mark.parametrize("path", ["//evil.test", "https://evil.test", "/\\evil.test", "", "evil", "/sign-in", "/a\nb"])
def test_nobody_is_led_elsewhere(path: str) -> None:
    assert inside(path) == "/runs"
