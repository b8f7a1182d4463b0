"""What the API refuses: always problem+json, with a status, a code and words; nothing is half done."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Response
from starlette.testclient import TestClient

from resit.domain.access import Scope
from resit.domain.errors import Unavailable
from resit.domain.fleet import WorkersAddress
from resit.testing.factories import ADMIN, uuid_of
from resit.testing.world import World

V1 = "/resit/v1"
RUNS = f"{V1}/projects/shop/runs"


def is_problem(answer: Response, status: int, code: str = "") -> dict[str, Any]:
    """The document of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert document["title"]
    assert document["detail"]
    assert document["code"]
    if code:
        assert document["code"] == code
    return document


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", f"{V1}", 404, "not_found"),
        ("GET", f"{V1}/nothing", 404, "not_found"),
        ("POST", f"{V1}/nothing", 404, "not_found"),
        ("GET", f"{V1}/docs/assets/nothing.js", 404, "not_found"),
        ("GET", f"{V1}/docs/assets/../../../etc/passwd", 404, "not_found"),
        ("POST", f"{V1}/docs/assets/swagger-ui.css", 405, "method_not_allowed"),
        ("PUT", f"{V1}/projects", 405, "method_not_allowed"),
        ("POST", f"{V1}/runs", 405, "method_not_allowed"),
        ("DELETE", f"{V1}/runs/1", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", f"{V1}/projects/nowhere", 404, "not_found"),
        ("GET", f"{V1}/projects/%00", 404, "not_found"),
        ("GET", f"{V1}/projects/nowhere/environments", 404, "not_found"),
        ("GET", f"{V1}/projects/shop/test-cases/nothing", 404, "not_found"),
        ("POST", f"{V1}/projects/nowhere/runs", 404, "not_found"),
        ("GET", f"{V1}/runs/999", 404, "not_found"),
        ("GET", f"{V1}/runs/0", 404, "not_found"),
        ("GET", f"{V1}/runs/-1", 404, "not_found"),
        ("GET", f"{V1}/runs/{10**18}", 404, "not_found"),
        ("GET", f"{V1}/runs/{10**30}", 404, "not_found"),
        ("GET", f"{V1}/runs/runjjjjjjjjjjjjjjjjj", 404, "not_found"),
        ("GET", f"{V1}/runs/%F0%28%8C%28", 404, "not_found"),
        ("GET", f"{V1}/runs/{'x' * 5000}", 404, "not_found"),
        ("GET", f"{V1}/runs/{uuid_of('nothing')}", 404, "not_found"),
        ("GET", f"{V1}/runs/999/tests", 404, "not_found"),
        ("GET", f"{V1}/runs/999/events", 404, "not_found"),
        ("GET", f"{V1}/runs/999/logs", 404, "not_found"),
        ("GET", f"{V1}/runs/999/lineage", 404, "not_found"),
        ("POST", f"{V1}/runs/999/cancel", 404, "not_found"),
        ("POST", f"{V1}/runs/999/rerun", 404, "not_found"),
        ("GET", f"{V1}/artifacts/nothing", 404, "not_found"),
        ("GET", f"{V1}/artifacts/..%2F..%2Fresit.db", 404, "not_found"),
        ("DELETE", f"{V1}/tokens/999", 404, "not_found"),
        ("DELETE", f"{V1}/tokens/{10**30}", 404, "not_found"),
        ("DELETE", f"{V1}/tokens/x", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/logs/x", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/logs/{10**30}", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/logs/1?after={10**30}", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/logs/1?after=-1", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?outcome=fine", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?state=fine", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?cursor=x", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?cursor={10**18}", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?cursor=%D9%A3", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?limit=0", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?limit=1001", 400, "invalid_input"),
        ("GET", f"{V1}/runs/1/tests?test={'x' * 4001}", 400, "invalid_input"),
        ("GET", f"{V1}/runs?status=done", 400, "invalid_input"),
        ("DELETE", f"{V1}/pools/nowhere", 404, "not_found"),
        ("DELETE", f"{V1}/pools/default", 409, "conflict"),
        ("DELETE", f"{V1}/worker-credentials/9", 404, "not_found"),
        ("DELETE", f"{V1}/worker-credentials/{10**30}", 404, "not_found"),
        ("DELETE", f"{V1}/worker-credentials/x", 400, "invalid_input"),
        ("GET", f"{V1}/worker-credentials/1", 405, "method_not_allowed"),
        ("GET", f"{V1}/runs?project=nowhere", 404, "not_found"),
    ],
)
def test_what_is_not_there_or_not_so(
    api: TestClient, world: World, method: str, path: str, status: int, code: str
) -> None:
    world.planned("a")
    is_problem(api.request(method, path), status, code)


def test_a_method_that_is_not_allowed_says_which_is(api: TestClient) -> None:
    assert api.put(f"{V1}/projects").headers["allow"]


BODIES: list[tuple[str, bytes | dict[str, Any] | list[Any]]] = [
    (RUNS, b""),
    (RUNS, b"{"),
    (RUNS, b"nonsense"),
    (RUNS, b"\xff\xfe\x00"),
    (RUNS, b"[" * 100_000),
    (RUNS, b'{"shards": ' + b"9" * 5000 + b"}"),
    (RUNS, b'{"metadata": {"a": NaN}}'),
    (RUNS, b'{"metadata": {"a": 1e999}}'),
    (RUNS, b'{"metadata": {"a": 1' + b"0" * 400 + b"}}"),
    (RUNS, b'{"reason": "\\ud800"}'),
    (RUNS, b'{"tags": ["\\udfff"]}'),
    (RUNS, b'{"metadata": {"\\ud800": 1}}'),
    (RUNS, b'{"variables": {"A": "\\ud800"}}'),
    (RUNS, b'{"tests": ["a\\u0000"]}'),
    (RUNS, []),
    (RUNS, {"unknown": 1}),
    (RUNS, {"build": {"unknown": 1}}),
    (RUNS, {"build": None}),
    (RUNS, {"shards": "many"}),
    (RUNS, {"shards": 1.5}),
    (RUNS, {"shards": -1}),
    (RUNS, {"shards": 257}),
    (RUNS, {"tags": "slow"}),
    (RUNS, {"tags": [1]}),
    (RUNS, {"tests": [""]}),
    (RUNS, {"tests": ["x" * 4001]}),
    (RUNS, {"tests": ["x"] * 50_001}),
    (RUNS, {"reason": "x" * 2001}),
    (RUNS, {"variables": {"A B": "x"}}),
    (RUNS, {"variables": {"A": 1}}),
    (RUNS, {"metadata": {"a": []}}),
    (RUNS, {"metadata": {"a": None}}),
    (RUNS, {"environment": "nowhere"}),
    (RUNS, {"priority": 101}),
    (RUNS, {"priority": "high"}),
    (RUNS, {"max_failures": -1}),
    (RUNS, {"max_failures": 10**9}),
    (RUNS, {"start_at": "2026-12-01T09:00:00"}),
    (RUNS, {"start_at": 5}),
    (RUNS, {"start_at": "tomorrow"}),
    (RUNS, {"start_at": "9999-12-31T23:59:59-14:00"}),
    (RUNS, {"start_at": "0001-01-01T00:00:00+14:00"}),
    (RUNS, {"start_at": "2023-11-15T09:00:00Z", "concurrency": {"group": "a", "on_conflict": "cancel"}}),
    (f"{V1}/runs/1/rerun", {"cancelled": True}),
    (f"{V1}/runs/1/rerun", {"priority": -101}),
    (f"{V1}/projects/shop/schedules", {"name": "x"}),
    (f"{V1}/projects/shop/schedules", {"name": "x", "cron": "daily"}),
    (f"{V1}/projects/shop/schedules", {"name": "x", "cron": "0 0 30 2 *"}),
    (f"{V1}/projects/shop/schedules", {"name": "x y", "cron": "* * * * *"}),
    (f"{V1}/projects/shop/schedules", {"name": "x", "cron": "* * * * *", "zone": "Mars"}),
    (f"{V1}/projects/shop/schedules", {"name": "x", "cron": "* * * * *", "overlap": "maybe"}),
    (f"{V1}/projects/shop/schedules", {"name": "x", "cron": "* * * * *", "run": {"start_at": None}}),
    (f"{V1}/projects/shop/schedules", {"name": "x", "cron": "* * * * *", "run": {"environment": "nowhere"}}),
    (f"{V1}/runs/1/rerun", {"selection": "some"}),
    (f"{V1}/runs/1/rerun", {"selection": "chosen"}),
    (f"{V1}/runs/1/rerun", {"selection": "failed", "tests": ["a"]}),
    (f"{V1}/runs/1/rerun", {"tests": ["no such"]}),
    (f"{V1}/projects", {}),
    (f"{V1}/projects", {"slug": "A", "source": "/", "executor": "pytest"}),
    (f"{V1}/projects", {"slug": "a", "source": "/nowhere", "executor": "pytest"}),
    (f"{V1}/projects", {"slug": "a", "source": "http://[", "executor": "pytest"}),
    (f"{V1}/projects", {"slug": "a", "source": "/", "executor": "jest"}),
    (f"{V1}/projects/shop/environments", {"slug": "x", "secrets": {"A": None}}),
    (f"{V1}/projects/shop/environments", {"slug": "x", "variables": {"RESIT_A": ""}}),
    (f"{V1}/projects/shop/environments", {"slug": "x", "pool": "nowhere"}),
    (f"{V1}/projects/shop/environments", {"slug": "x", "pool": "os=linux"}),
    (f"{V1}/projects/shop/environments", {"slug": "x", "pool": "os=linux,"}),
    (f"{V1}/pools", {}),
    (f"{V1}/pools", {"name": "A"}),
    (f"{V1}/pools", {"name": "a.b"}),
    (f"{V1}/pools", {"name": "a", "labels": {"os": ""}}),
    (f"{V1}/pools", {"name": "a", "labels": {"os": None}}),
    (f"{V1}/pools", {"name": "a", "labels": {"a b": "c"}}),
    (f"{V1}/pools", {"name": "a", "labels": {f"l{n}": "x" for n in range(33)}}),
    (f"{V1}/pools", {"name": "a", "description": "\0"}),
    (f"{V1}/worker-credentials", {}),
    (f"{V1}/worker-credentials", {"pool": 1}),
    (f"{V1}/worker-credentials", {"pool": "default", "scopes": []}),
    (f"{V1}/tokens", {"scopes": ["everything"], "project": "shop"}),
    (f"{V1}/tokens", {"expires_in_days": -1, "project": "shop"}),
    (f"{V1}/tokens", {"name": "x" * 300, "project": "shop"}),
]


@pytest.mark.parametrize("at", range(len(BODIES)))
def test_bodies_that_make_no_sense(api: TestClient, world: World, at: int) -> None:
    run = world.planned("a")
    before = world.dump(run)
    path, body = BODIES[at]
    if body == b"":
        assert api.post(path, content=body).status_code == 201
        return
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    document = is_problem(api.post(path, content=content, headers={"Content-Type": "application/json"}), 400)
    assert document["code"] in ("invalid_input", "nothing_to_run", "bad_request")
    assert all(set(fault) == {"field", "message"} for fault in document.get("errors", ()))
    assert world.dump(run) == before
    with world.store.read() as tx:
        assert tx.runs.get(run.id + 1) is None


def test_a_body_that_is_not_json(api: TestClient) -> None:
    answer = api.post(RUNS, content=b"reason=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
    is_problem(answer, 400)


@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize("path", [RUNS, f"{V1}/nothing", "/healthz"])
def test_a_body_that_is_too_large(api: TestClient, world: World, says_length: bool, path: str) -> None:
    piece = b'{"reason": "' + b"x" * 1_048_576

    def pieces() -> Iterator[bytes]:
        yield from [piece] * 10

    body: Any = piece * 10 if says_length else pieces()
    answer = api.post(path, content=body, headers={"Content-Type": "application/json"})
    if path == RUNS or says_length:
        is_problem(answer, 413, "too_large")
    else:
        is_problem(answer, 405 if path == "/healthz" else 404)
    assert not world.reads.lineage(1)


@pytest.mark.parametrize("length", ["x", "-1", "9" * 30, "9" * 5000, "1e3"])
def test_odd_lengths(api: TestClient, length: str) -> None:
    is_problem(api.post(RUNS, content=b"{}", headers={"Content-Length": length}), 413)


# ---------------------------------------------------------------- who may come in

ROUTES = [
    ("GET", "/projects", "runs:read"),
    ("POST", "/projects", "admin"),
    ("GET", "/projects/shop", "runs:read"),
    ("POST", "/projects/shop/environments", "runs:write"),
    ("GET", "/projects/shop/environments", "runs:read"),
    ("GET", "/projects/shop/badge-token", "runs:read"),
    ("GET", "/projects/shop/insights/runs", "runs:read"),
    ("GET", "/projects/shop/insights/tests", "results:read"),
    ("GET", "/projects/shop/test-cases", "results:read"),
    ("GET", "/projects/shop/test-cases/a", "results:read"),
    ("POST", "/tokens", "tokens:manage"),
    ("GET", "/tokens", "tokens:manage"),
    ("DELETE", "/tokens/1", "tokens:manage"),
    ("POST", "/projects/shop/runs", "runs:write"),
    ("GET", "/runs", "runs:read"),
    ("GET", "/runs/1", "runs:read"),
    ("GET", "/runs/1/lineage", "runs:read"),
    ("PATCH", "/runs/1", "runs:write"),
    ("POST", "/runs/1/cancel", "runs:write"),
    ("POST", "/runs/1/rerun", "runs:write"),
    ("GET", "/runs/1/tests", "results:read"),
    ("GET", "/runs/1/artifacts", "results:read"),
    ("POST", "/runs/1/keep", "runs:write"),
    ("DELETE", "/runs/1/keep", "runs:write"),
    ("GET", "/usage", "system:read"),
    ("POST", "/retention", "admin"),
    ("GET", "/runs/1/junit.xml", "results:read"),
    ("GET", "/runs/1/blob.zip", "results:read"),
    ("GET", "/runs/1/report", "results:read"),
    ("GET", "/runs/1/report.zip", "results:read"),
    ("GET", "/artifacts/x", "results:read"),
    ("GET", "/runs/1/logs", "results:read"),
    ("GET", "/runs/1/logs/1", "results:read"),
    ("GET", "/runs/1/events", "runs:read"),
    ("PATCH", "/projects/shop", "admin"),
    ("PATCH", "/projects/shop/environments/default", "runs:write"),
    ("POST", "/projects/shop/snoozes", "runs:write"),
    ("GET", "/projects/shop/snoozes", "runs:read"),
    ("GET", "/snoozes/1", "runs:read"),
    ("PATCH", "/snoozes/1", "runs:write"),
    ("POST", "/snoozes/1/expire", "runs:write"),
    ("POST", "/projects/shop/test-plans", "runs:write"),
    ("GET", "/projects/shop/test-plans", "runs:read"),
    ("GET", "/test-plans/1", "runs:read"),
    ("DELETE", "/test-plans/1", "runs:write"),
    ("POST", "/projects/shop/schedules", "runs:write"),
    ("GET", "/schedules", "runs:read"),
    ("GET", "/schedules/1", "runs:read"),
    ("PATCH", "/schedules/1", "runs:write"),
    ("DELETE", "/schedules/1", "runs:write"),
    ("POST", "/schedules/1/run", "runs:write"),
    ("POST", "/projects/shop/webhooks", "runs:write"),
    ("GET", "/projects/shop/webhooks", "runs:read"),
    ("GET", "/webhooks/1", "runs:read"),
    ("DELETE", "/webhooks/1", "runs:write"),
    ("POST", "/webhooks/1/test", "runs:write"),
    ("GET", "/workers", "system:read"),
    ("GET", "/doctor", "admin"),
    ("GET", "/pools", "system:read"),
    ("POST", "/pools", "admin"),
    ("PATCH", "/pools/linux", "admin"),
    ("DELETE", "/pools/linux", "admin"),
    ("GET", "/worker-credentials", "admin"),
    ("POST", "/worker-credentials", "admin"),
    ("DELETE", "/worker-credentials/1", "admin"),
    ("POST", "/users", "admin"),
    ("GET", "/users", "admin"),
    ("POST", "/users/a@b/disable", "admin"),
    ("POST", "/sign-in-links", "admin"),
    ("GET", "/organization", "system:read"),
    ("PATCH", "/organization", "admin"),
]
OF_ALL = (
    "/doctor",
    "/users",
    "/sign-in-links",
    "/organization",
    "/workers",
    "/pools",
    "/worker-credentials",
    "/usage",
    "/retention",
)
"""What belongs to no project; who may come in there is tested with them (``test_people``, ``test_fleet`` ...)."""
SENT: dict[str, dict[str, Any]] = {
    "/projects": {"slug": "x", "source": "/", "executor": "pytest"},
    "/projects/shop/environments": {"slug": "x"},
    "/tokens": {"project": "shop"},
    "/users": {"email": "a@b", "password": "correct horse"},
    "/pools": {"name": "linux"},
    "/worker-credentials": {"pool": "default"},
    "/projects/shop/snoozes": {"tests": ["a"], "until": "2023-12-01T00:00:00Z"},
    "/projects/shop/test-plans": {"name": "x"},
    "/projects/shop/schedules": {"name": "x", "cron": "* * * * *"},
    "/projects/shop/webhooks": {"url": "http://x", "events": ["webhook.test"]},
}


def sent(method: str, path: str) -> dict[str, Any] | None:
    """A body that is fine but for who sends it."""
    return SENT.get(path) if method == "POST" else {} if method == "PATCH" else None


def test_every_route_is_in_the_table(built: FastAPI) -> None:
    """A new route must say which scope it needs, and is then held to it."""
    known = {(method, f"{V1}{path}") for method, path, _ in ROUTES}
    open_ = 0
    for path, methods in built.openapi()["paths"].items():
        shape = path.replace("{slug}", "shop").replace("{run}", "1").replace("{shard}", "1").replace("{token_id}", "1")
        shape = shape.replace("{case_id}", "a").replace("{artifact_id}", "x").replace("{environment}", "default")
        shape = shape.replace("{email}", "a@b").replace("/pools/{name}", "/pools/linux")
        shape = shape.replace("{credential_id}", "1")
        for kind in ("schedule", "snooze", "test_plan", "webhook"):
            shape = shape.replace(f"{{{kind}_id}}", "1")
        for method in methods:
            assert (method.upper(), shape) in known, path
            open_ += 1
    assert open_ == len(ROUTES)


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_every_route_needs_a_valid_token_with_its_scope(
    anyone: TestClient, world: World, token: Callable[..., str], method: str, path: str, scope: str
) -> None:
    world.project()
    world.planned("a")
    body = sent(method, path)
    every = [name.value for name in Scope if name is not Scope.ADMIN]
    for header in ("", "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "Bearer \xff", "nonsense"):
        answer = anyone.request(method, V1 + path, json=body, headers={"Authorization": header.encode("latin-1")})
        is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    short = token(expires_in_days=1)
    world.clock.turn(86_401)
    is_problem(anyone.request(method, V1 + path, json=body, headers={"Authorization": short}), 401)
    lacking = token(scopes=[name for name in every if name != scope])
    answer = anyone.request(method, V1 + path, json=body, headers={"Authorization": lacking})
    assert is_problem(answer, 403, "forbidden")["required_scope"] == scope


@pytest.mark.parametrize(("method", "path", "scope"), [route for route in ROUTES if not route[1].startswith(OF_ALL)])
def test_what_is_of_another_project_is_not_there(
    anyone: TestClient, world: World, token: Callable[..., str], method: str, path: str, scope: str
) -> None:
    world.project()
    world.planned("a")
    world.project("other")
    secret = token(project="other", scopes=["admin"])
    token(project="shop")
    body = sent(method, path)
    target = path.replace("/tokens/1", "/tokens/2")
    answer = anyone.request(method, V1 + target, json=body, headers={"Authorization": secret})
    if (method, path) in (("POST", "/projects"), ("PATCH", "/projects/shop")):
        is_problem(answer, 403, "forbidden")
    elif path in ("/projects", "/runs", "/schedules", "/tokens") and method == "GET":
        assert "shop" not in answer.text
        assert [item.get("project_id", 2) for item in answer.json()["items"]] in ([], [2])
    else:
        said = is_problem(answer, 404, "not_found")["detail"]
        missing = target.replace("shop", "none").replace("/runs/1", "/runs/9").replace("/tokens/2", "/tokens/9")
        if path == "/tokens":
            body = {"project": "none"}
        again = anyone.request(method, V1 + missing, json=body, headers={"Authorization": secret})
        there = is_problem(again, 404)["detail"]
        for name in ("shop", "none", "1", "9", "2"):
            said, there = said.replace(name, "?"), there.replace(name, "?")
        assert said == there


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_what_a_worker_presents_opens_nothing(
    anyone: TestClient, world: World, method: str, path: str, scope: str
) -> None:
    del scope
    world.project()
    world.fleet.address = WorkersAddress(brokers=(), server="")
    body = sent(method, path)
    rights = world.work.upload_token(world.planned("a"), "w1"), world.fleet.issue(ADMIN, pool="default")[1]
    for right in rights:
        answer = anyone.request(method, V1 + path, json=body, headers={"Authorization": f"Bearer {right}"})
        is_problem(answer, 401, "unauthenticated")


def test_a_database_that_is_away_is_told_with_when_to_try_again(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(type(world.reads), "runs", away)
    answer = api.get(f"{V1}/runs")
    is_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"]


def test_a_fault_of_ours_tells_nothing_of_itself(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(type(world.reads), "runs", broken)
    answer = api.get(f"{V1}/runs")
    is_problem(answer, 500, "internal")
    assert "secret inside" not in answer.text
