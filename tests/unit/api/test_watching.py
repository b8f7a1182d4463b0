"""For those who watch a server: health, readiness, metrics, the doctor; what is known of each request."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families as families
from starlette.testclient import TestClient

from resit.api.faces import face
from resit.control import health
from resit.domain.access import Scope
from resit.domain.doctor import Level
from resit.domain.webhook import Notice, WebhookEvent
from resit.telemetry.logs import JsonLines
from resit.testing.world import World

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def sample(page: str, name: str, **labels: str) -> float:
    """A value of a page of metrics."""
    found = [
        sample.value
        for family in families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert found, f"{name} {labels}"
    return sum(found)


# ---------------------------------------------------------------- health


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_no_vendor_has_these_paths(path: str) -> None:
    assert face(path) == ("", path)
    assert face(f"//{path}") == ("", path)


def test_the_vendors_own_health_is_where_it_was() -> None:
    assert face("/api/v1/system/health")[0] == "ccextractor"


def test_alive(anyone: TestClient) -> None:
    answer = anyone.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["cache-control"] == "no-store"


def test_ready_says_each_part(anyone: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEEP_SECONDS", 0.0)
    answer = anyone.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    document = answer.json()
    assert document["status"] == "not ready"
    checks = {check.pop("name"): check for check in document["checks"]}
    assert list(checks) == ["serving", "database", "broker", "artifacts", "disk"]
    assert [name for name, check in checks.items() if not check["ok"]] == ["broker"]
    assert checks["broker"]["words"] == "there is no connection to the broker"
    assert all(check["ms"] >= 0 for check in checks.values())


def test_who_ends_says_so(anyone: TestClient, world: World) -> None:
    world.signals.closing = True
    assert anyone.get("/readyz").json()["checks"][0] == {"name": "serving", "ok": False, "ms": 0.0, "words": "it ends"}
    assert anyone.get("/healthz").status_code == 200


# ---------------------------------------------------------------- metrics


def test_metrics_need_a_token_that_may_read_them(anyone: TestClient, world: World, token: Callable[..., str]) -> None:
    world.project()
    others = [scope.value for scope in Scope if scope not in (Scope.ADMIN, Scope.SYSTEM_READ)]
    refused = {
        "": 401,
        "Bearer nonsense": 401,
        token(project=None, scopes=others): 403,
        token(project="shop", scopes=["system:read"]): 403,
    }
    for header, status in refused.items():
        answer = anyone.get("/metrics", headers={"Authorization": header})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), header
    answer = anyone.get("/metrics", headers={"Authorization": token(project=None, scopes=["system:read"])})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_metrics_may_be_open(anyone: TestClient, world: World, built: FastAPI) -> None:
    built.state.services = world.services(metrics_open=True)
    page = anyone.get("/metrics").text
    assert sample(page, "resit_build_info") == 1
    assert sample(page, "resit_database_up") == 1
    assert sample(page, "resit_broker_connected") == 0


def test_requests_are_counted_by_route_and_never_by_path(api: TestClient, world: World) -> None:
    run = world.planned("a")
    for path in (f"/resit/v1/runs/{run.id}", "/resit/v1/runs/99", "/resit/v1/nowhere/1", "/wp-login.php"):
        api.get(path)
    api.request("PROPFIND", "/resit/v1/runs")
    api.get("/api/v1/system/health")
    api.get("/ccextractor/api/v1/runs/1")
    page = api.get("/metrics").text
    name = "resit_http_requests_total"
    assert sample(page, name, route="/resit/v1/runs/{run}", status="200", dialect="native", method="GET") == 1
    assert sample(page, name, route="/resit/v1/runs/{run}", status="404") == 1
    assert sample(page, name, route="(none)", dialect="native", method="GET", status="404") == 2
    assert sample(page, name, method="OTHER") == 1
    assert sample(page, name, dialect="ccextractor", route="/api/v1/system/health") == 1
    assert sample(page, "resit_http_request_seconds_count", route="/resit/v1/runs/{run}") == 2
    assert "wp-login" not in page


# ---------------------------------------------------------------- requests


def test_each_answer_has_the_id_of_its_request(api: TestClient) -> None:
    assert api.get("/healthz", headers={"X-Request-Id": "ci-4711"}).headers["x-request-id"] == "ci-4711"
    given = api.get("/healthz", headers={"X-Request-Id": b"two words\t\xff"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", given)
    for path in ("/resit/v1/runs/99", "/api/v1/runs", "/nothing"):
        assert api.get(path, headers={"X-Request-Id": "x"}).headers["x-request-id"] == "x", path


def test_a_fault_of_ours_can_be_found_in_the_log(
    api: TestClient, built: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built.state.services.reads, "projects", None)
    answer = api.get("/resit/v1/projects", headers={"X-Request-Id": "find-me"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "find-me"
    assert answer.json()["request"] == "find-me"
    assert sample(api.get("/metrics").text, "resit_http_requests_total", status="500") == 1


def logged(api: TestClient, caplog: pytest.LogCaptureFixture, *paths: str) -> list[dict[str, Any]]:
    caplog.clear()
    lines = JsonLines("server", {})
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(lines.format(record))

    handler = Handler()
    logging.getLogger("resit.access").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            for path in paths:
                api.get(path, headers={"X-Request-Id": "id-1"})
    finally:
        logging.getLogger("resit.access").removeHandler(handler)
    return [json.loads(line) for line in said]


def test_requests_are_logged_when_that_is_wanted(
    api: TestClient, world: World, built: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    run = world.planned("a")
    secret = api.headers["Authorization"].removeprefix("Bearer ")
    path = f"/resit/v1/runs/{run.id}?password=hunter22&token={secret}"
    assert logged(api, caplog, path) == []
    built.state.services = world.services(access_log=True)
    (line,) = logged(api, caplog, path)
    assert line["http"].pop("ms") >= 0
    assert line["http"] == {
        "method": "GET",
        "route": "/resit/v1/runs/{run}",
        "status": 200,
        "dialect": "native",
        "token": "token 1",
    }
    assert (line["run"], line["request"]) == (run.id, "id-1")
    assert secret not in json.dumps(line)
    assert "hunter22" not in json.dumps(line)
    assert line["message"].startswith("GET /resit/v1/runs/{run} 200 in ")
    assert logged(api, caplog, "/healthz") == []
    assert [line["http"]["status"] for line in logged(api, caplog, "/readyz")] == [503]


def test_a_run_is_part_of_the_trace_of_its_request(api: TestClient, world: World) -> None:
    def requested(header: str) -> str:
        answer = api.post("/resit/v1/projects/shop/runs", json={}, headers={"traceparent": header})
        assert answer.status_code == 201
        return world.run(answer.json()["id"]).trace

    assert requested(TRACE) == TRACE
    assert requested("nonsense") == ""
    run = world.planned("a")
    assert "TRACEPARENT" not in world.work.spec("default", run.id)["variables"]
    answer = api.post(
        f"/resit/v1/runs/{world.carry_out(run).id}/rerun", json={"selection": "all"}, headers={"traceparent": TRACE}
    )
    again = world.run(answer.json()["id"])
    assert again.trace == TRACE
    assert world.work.spec("default", again.id)["variables"]["TRACEPARENT"] == TRACE
    world.work.traced = True
    given = world.work.spec("default", again.id)["variables"]["TRACEPARENT"]
    assert given != TRACE
    assert given.startswith(TRACE[:36])


def test_an_environment_may_have_a_traceparent_of_its_own(world: World) -> None:
    world.project()
    world.environment(variables={"TRACEPARENT": "mine"})
    world.work.traced = True
    run = world.trigger(environment="staging")
    assert world.work.spec("default", run.id)["variables"]["TRACEPARENT"] == "mine"


# ---------------------------------------------------------------- the doctor


def test_the_doctor_is_for_an_administrator_of_everything(
    api: TestClient, world: World, token: Callable[..., str]
) -> None:
    bound = token(project="shop", scopes=["admin"])
    assert api.get("/resit/v1/doctor", headers={"Authorization": bound}).status_code == 403
    found = api.get("/resit/v1/doctor?integrity=true").json()
    levels = {finding["name"]: finding["level"] for finding in found["findings"]}
    assert levels["database"] == levels["schema"] == levels["integrity"] == levels["artifacts"] == Level.OK
    assert levels["workers"] == levels["pools"] == levels["broker"] == Level.PROBLEM
    assert found["level"] == Level.PROBLEM
    assert found["time"] == world.clock.now()


def test_the_doctor_finds_what_is_wrong(api: TestClient, world: World, token: Callable[..., str]) -> None:
    world.work.alive("default", {"worker": "w1", "slots": 1, "version": "0.0.1", "clock": world.clock.now() + 60})
    token(project=None, scopes=["admin"], name="nightly", expires_in_days=2)
    wanted = {"url": "https://hooks.example/x", "events": ["test_run.queued"]}
    hook = api.post("/resit/v1/projects/shop/webhooks", json=wanted).json()
    with world.store.write() as tx:
        notice = Notice(id=0, webhook_id=hook["id"], event=WebhookEvent("test_run.queued"), payload="{}", attempts=3)
        tx.webhooks.post(notice)
    environment = {"slug": "linux", "pool": "linux"}
    api.post("/resit/v1/pools", json={"name": "linux"})
    api.post("/resit/v1/projects/shop/environments", json=environment)
    found = api.get("/resit/v1/doctor").json()["findings"]
    words = "\n".join(f"{one['level']}: {one['words']}" for one in found if one["level"] != "ok")
    assert "the clock of worker w1 is 60.0 s ahead" in words
    assert "w1 (0.0.1)" in words
    assert "the token 'nightly' expires in 2 days" in words
    assert "the pool 'linux' has no worker" in words
    assert f"webhook {hook['id']} of shop fails, 3 times by now" in words
