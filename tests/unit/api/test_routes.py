"""The native API, route by route: what it answers when all is well."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from resit import __version__
from resit.domain.events import Attachment
from resit.domain.ids import case_uuid
from resit.domain.run import Run
from resit.testing.factories import did_not_run, flaky, planned, result, uuid_of
from resit.testing.world import World

V1 = "/resit/v1"


def finished(world: World, *tests: str, **said: Any) -> Run:
    names = tests or ("a::passes", "a::fails", "b::flaky", "b::left out")
    events = {
        "a::fails": [result("a::fails", "failed")],
        "b::flaky": flaky("b::flaky"),
        "b::left out": [did_not_run("b::left out")],
    }
    run = world.plan(world.trigger(), [planned(test) for test in names])
    return world.carry_out(run, {**events, **said})


def test_projects(api: TestClient, world: World) -> None:
    asked = {"slug": "bank", "source": str(world.folder), "executor": "pytest", "setup": "true", "shards": 2}
    made = api.post(f"{V1}/projects", json=asked)
    assert made.status_code == 201
    document = made.json()
    assert {**document, **asked} == document
    assert [found["slug"] for found in document["environments"]] == ["default"]
    assert document["created_at"].startswith("2023-11-14T22:13:20")
    assert api.get(f"{V1}/projects/bank").json() == document
    assert [found["slug"] for found in api.get(f"{V1}/projects").json()["items"]] == ["shop", "bank"]


def test_environments_show_names_of_secrets_alone(api: TestClient) -> None:
    asked = {"slug": "staging", "variables": {"A": "1"}, "secrets": {"KEY": "hunter2"}, "match": ["chrome"]}
    made = api.post(f"{V1}/projects/shop/environments", json=asked)
    assert made.status_code == 201
    assert made.json()["secrets"] == ["KEY"]
    listed = api.get(f"{V1}/projects/shop/environments")
    assert [found["slug"] for found in listed.json()["items"]] == ["default", "staging"]
    assert "hunter2" not in made.text + listed.text + api.get(f"{V1}/projects/shop").text


def test_tokens(api: TestClient, anyone: TestClient) -> None:
    made = api.post(f"{V1}/tokens", json={"project": "shop", "scopes": ["runs:read"], "expires_in_days": 30})
    assert made.status_code == 201
    document = made.json()
    assert document["scopes"] == ["runs:read"]
    listed = api.get(f"{V1}/tokens")
    assert document["token"] not in listed.text
    assert [found["prefix"] for found in listed.json()["items"]][-1] == document["token"][:12]
    own = {"Authorization": f"Bearer {document['token']}"}
    assert anyone.get(f"{V1}/projects/shop", headers=own).status_code == 200
    assert api.delete(f"{V1}/tokens/{document['id']}").status_code == 204
    assert anyone.get(f"{V1}/projects/shop", headers=own).status_code == 401


def test_a_run_is_triggered_once_by_its_key(api: TestClient, world: World) -> None:
    asked = {"build": {"url": "https://shop.test"}, "metadata": {"pr": 7, "ratio": 0.5, "by": "ci"}, "reason": "deploy"}
    first = api.post(f"{V1}/projects/shop/runs", json=asked, headers={"Idempotency-Key": "k"})
    second = api.post(f"{V1}/projects/shop/runs", json=asked, headers={"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    document = first.json()
    assert (document["status"], document["verdict"], document["selection"]) == ("admitted", None, "all")
    assert document["metadata"] == asked["metadata"]
    assert world.signals.told
    other = api.post(f"{V1}/projects/shop/runs", headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert api.post(f"{V1}/projects/shop/runs").status_code == 201


def test_a_run_by_all_its_names(api: TestClient, world: World) -> None:
    run = finished(world)
    document = api.get(f"{V1}/runs/{run.id}").json()
    for name in (document["uuid"], document["short_id"]):
        assert api.get(f"{V1}/runs/{name}").json() == document
    assert document["url"] == f"http://resit.test{V1}/runs/{run.id}"
    assert (document["status"], document["verdict"]) == ("finished", "failed")
    assert document["counts"] == {
        "passed": 1, "failed": 1, "flaky": 1, "skipped": 1, "errored": 0, "lost": 0, "not_found": 0, "cancelled": 0,
        "planned": 0, "running": 0, "total": 4, "did_not_run": 1, "snoozed": 0,
    }  # fmt: skip
    assert document["summary"] == "1 failed, 1 did not run, 1 flaky, 1 passed"


def test_the_ledger_with_its_filters(api: TestClient, world: World) -> None:
    project = world.reads.projects(None, 0, 1).items[0]
    run = finished(world)

    def ids(**query: str) -> list[str]:
        return [row["id"] for row in api.get(f"{V1}/runs/{run.id}/tests", params=query).json()["items"]]

    assert ids() == ["a::passes", "a::fails", "b::flaky", "b::left out"]
    assert ids(outcome="failed") == ["a::fails"]
    assert ids(state="did_not_run") == ["b::left out"]
    assert ids(state="planned") == []
    assert ids(q="b::") == ["b::flaky", "b::left out"]
    assert ids(q="%") == []
    assert ids(q="_") == []
    assert ids(q="went wrong") == ["a::fails"]
    assert ids(test="a::fails") == ids(test=case_uuid(project.uuid, "a::fails")) == ["a::fails"]
    row = api.get(f"{V1}/runs/{run.id}/tests", params={"test": "b::flaky"}).json()["items"][0]
    assert [(found["retry"], found["status"]) for found in row["results"]] == [(0, "failed"), (1, "passed")]
    assert (row["outcome"], row["state"], row["reason"]) == ("flaky", "flaky", "")


def test_running_again_by_api(api: TestClient, world: World) -> None:
    run = finished(world)
    before = api.get(f"{V1}/runs/{run.id}").content, api.get(f"{V1}/runs/{run.id}/tests").content
    for body, selection, tests in (
        (None, "all", []),
        ({"selection": "failed"}, "failed", []),
        ({"tests": ["b::flaky"]}, "chosen", ["b::flaky"]),
        ({"selection": "chosen", "tests": ["b::flaky"], "reason": "why"}, "chosen", ["b::flaky"]),
    ):
        made = api.post(f"{V1}/runs/{run.id}/rerun", json=body)
        assert made.status_code == 201
        document = made.json()
        assert (document["source_run_id"], document["selection"], document["tests"]) == (run.id, selection, tests)
    assert (api.get(f"{V1}/runs/{run.id}").content, api.get(f"{V1}/runs/{run.id}/tests").content) == before
    key = {"Idempotency-Key": "k"}
    assert [api.post(f"{V1}/runs/{run.id}/rerun", headers=key).status_code for _ in range(2)] == [201, 200]


def test_lineage_tells_the_effective_verdict(api: TestClient, world: World) -> None:
    run = finished(world)
    made = api.post(f"{V1}/runs/{run.id}/rerun", json={"selection": "failed"}).json()
    world.settle()
    assert api.get(f"{V1}/runs/{run.id}/lineage").json()["effective_verdict"] is None
    world.carry_out(world.run(made["id"]))
    for name in (run.id, made["id"]):
        document = api.get(f"{V1}/runs/{name}/lineage").json()
        assert [found["id"] for found in document["runs"]] == [run.id, made["id"]]
        assert document["effective_verdict"] == "passed"


def test_cancel_by_api(api: TestClient, world: World) -> None:
    run = world.planned("a")
    for _ in range(2):
        document = api.post(f"{V1}/runs/{run.id}/cancel").json()
        assert (document["status"], document["verdict"], document["counts"]["cancelled"]) == ("cancelled", "errored", 1)
    assert run.id in world.signals.runs


def test_test_cases(api: TestClient, world: World) -> None:
    run = finished(world, "tests/a.py::test[x/y]", "b::1")
    listed = api.get(f"{V1}/projects/shop/test-cases").json()["items"]
    assert [case["test"] for case in listed] == ["tests/a.py::test[x/y]", "b::1"]
    assert listed[0]["last_run_id"] == run.id
    for name in (listed[0]["id"], "tests/a.py::test[x/y]", "tests%2Fa.py::test%5Bx%2Fy%5D"):
        assert api.get(f"{V1}/projects/shop/test-cases/{name}").json() == listed[0]
    assert len(api.get(f"{V1}/projects/shop/test-cases", params={"q": "b::"}).json()["items"]) == 1


def test_logs(api: TestClient, world: World) -> None:
    run = world.planned("a")
    for shard, text in ((0, "plan\n"), (1, "zürich\n"), (1, "more\n")):
        world.report({"run": run.id, "claim": "", "what": "log", "shard": shard, "text": text})
    assert api.get(f"{V1}/runs/{run.id}/logs").json()["items"] == [
        {"shard": 0, "name": "plan", "size": 5},
        {"shard": 1, "name": "shard 1", "size": 12},
    ]
    found = api.get(f"{V1}/runs/{run.id}/logs/1", params={"after": 3})
    assert (found.text, found.headers["X-Resit-Next-Offset"]) == ("ich\nmore\n", "12")
    assert found.headers["content-type"].startswith("text/plain")
    assert api.get(f"{V1}/runs/{run.id}/logs/7").text == ""


@pytest.mark.parametrize(
    ("name", "kind", "sent"),
    [
        ("trace.zip", "application/zip", "application/zip"),
        ('"quoted" ü › \n.html', "text/html", "text/html; charset=utf-8"),
        ("x", "text/html\r\nSet-Cookie: a=b", "application/octet-stream"),
        ("", "›", "application/octet-stream"),
        ("x", "", "application/octet-stream"),
    ],
)
def test_artifacts_are_downloads_that_do_nothing(
    api: TestClient, world: World, name: str, kind: str, sent: str
) -> None:
    id = uuid_of("artifact")
    run = finished(world, "a", a=[result("a", attachments=(Attachment(name, kind, id=id),))])
    right = world.work.upload_token(run, "w1")
    listed = api.get(f"{V1}/runs/{run.id}/artifacts").json()["items"]
    assert [(found["id"], found["test"], found["stored"]) for found in listed] == [(id, "a", False)]
    assert api.get(f"{V1}/artifacts/{id}").status_code == 404
    put = api.put(f"{V1}/uploads/{id}", content=b"<script>", headers={"Authorization": f"Bearer {right}"})
    assert put.status_code == 204
    found = api.get(f"{V1}/artifacts/{id}")
    assert (found.status_code, found.content) == (200, b"<script>")
    assert found.headers["content-type"] == sent
    assert found.headers["content-disposition"].startswith("attachment")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in found.headers["content-security-policy"]
    assert "set-cookie" not in found.headers
    assert api.get(f"{V1}/runs/{run.id}/artifacts").json()["items"][0]["size"] == 8


def test_uploads_are_whole_or_not_there(api: TestClient, world: World) -> None:
    run = finished(world, "a")
    id = uuid_of("artifact")
    right = {"Authorization": "Bearer " + world.work.upload_token(run, "w1")}
    cases: list[tuple[str, dict[str, str], bytes, int]] = [
        (id, {}, b"x", 401),
        (id, {"Authorization": "Bearer forged.token"}, b"x", 401),
        (id, right, b"x" * 1001, 413),
        (id, {**right, "Content-Length": "5"}, b"three", 204),
        (id, {**right, "Content-Length": "50"}, b"three", 400),
        ("not-a-uuid", right, b"x", 400),
        (id.upper(), right, b"x", 400),
    ]
    for name, headers, content, status in cases:
        answer = api.put(f"{V1}/uploads/{name}", content=content, headers={"Authorization": "", **headers})
        assert answer.status_code == status, (name, headers, answer.text)
        if status != 204:
            assert answer.headers["content-type"] == "application/problem+json"
    folder = world.folder / "artifacts" / str(run.id)
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(id, b"three")]


def stream(api: TestClient, run: Run, last: str = "") -> list[tuple[str, str, Any]]:
    """The events of a run that is over: kind, id, data."""
    headers = {"Last-Event-ID": last} if last else {}
    answer = api.get(f"{V1}/runs/{run.id}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found: list[tuple[str, str, Any]] = []
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines["event"], lines.get("id", ""), json.loads(lines["data"])))
    return found


def test_events_of_a_run_that_is_over(api: TestClient, world: World) -> None:
    run = finished(world, *(f"a::\u2028 {n}" for n in range(1203)))
    found = stream(api, run)
    assert [kind for kind, *_ in found] == ["test"] * 1203 + ["run", "end"]
    assert [data["id"] for kind, _, data in found if kind == "test"] == [f"a::\u2028 {n}" for n in range(1203)]
    assert found[-2][2] == api.get(f"{V1}/runs/{run.id}").json()
    assert "results" not in found[0][2]
    last = found[-1][1]
    assert last == str(run.seq)
    assert [kind for kind, *_ in stream(api, run, str(int(last) - 1))][-2:] == ["run", "end"]
    for odd in ("-1", "x", "9.5", ""):
        assert len(stream(api, run, odd)) == 1205


def test_an_end_that_comes_while_events_are_read_is_told_after_its_tests(
    api: TestClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.planned("a")
    look = type(world.reads).run

    looks = count()

    def meanwhile(reads: Any, id: int) -> Any:
        # the first look at the run is the route's own
        if next(looks) == 1:
            world.carry_out(run)
        return look(reads, id)

    async def at_once(*_: object) -> None:
        return

    monkeypatch.setattr("resit.control.following.changed", at_once)
    monkeypatch.setattr(type(world.reads), "run", meanwhile)
    found = stream(api, run)
    assert [data["outcome"] for kind, _, data in found if kind == "test"] == [None, "passed"]
    assert [kind for kind, *_ in found][-3:] == ["test", "run", "end"]


PAGED: list[Callable[[int], str]] = [
    lambda run: f"/runs/{run}/tests",
    lambda run: "/runs",
    lambda run: "/projects",
    lambda run: "/projects/shop/test-cases",
    lambda run: f"/runs/{run}/artifacts",
]


@pytest.mark.parametrize("at", range(len(PAGED)))
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_pages_are_complete_and_stable(api: TestClient, world: World, at: int, limit: int) -> None:
    names = [f"t{n}" for n in range(7)]
    said = {name: [result(name, attachments=(Attachment("x", "y", id=uuid_of(name)),))] for name in names}
    run = world.carry_out(world.planned(*names), said)
    for n in range(6):
        world.project(f"p{n}")
        world.trigger()
    path = V1 + PAGED[at](run.id)
    whole = api.get(path, params={"limit": 1000}).json()
    assert (len(whole["items"]), whole["next"]) == (7, None)
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = api.get(path, params={"limit": limit, "cursor": cursor}).json()
        assert 0 < len(page["items"]) <= limit
        found.extend(page["items"])
        cursor = page["next"]
        if at == 1:
            world.trigger()  # newer runs move no page of older ones
    assert found == whole["items"]


def test_runs_by_what_is_asked_for(api: TestClient, world: World) -> None:
    world.project("bank")
    world.environment()
    done, open_ = finished(world), world.trigger("bank", branch="b")
    staging = world.trigger(environment="staging")

    def ids(**query: str) -> list[int]:
        return [run["id"] for run in api.get(f"{V1}/runs", params=query).json()["items"]]

    assert ids() == [staging.id, open_.id, done.id]
    assert ids(project="bank") == ids(branch="b") == [open_.id]
    assert ids(status="finished") == ids(verdict="failed") == [done.id]
    assert ids(environment="staging", project="shop") == [staging.id]


def test_the_openapi_document_is_whole(anyone: TestClient, built: FastAPI) -> None:
    document = anyone.get(f"{V1}/openapi.json").json()
    assert (document["openapi"][:2], document["info"]["version"]) == ("3.", __version__)
    text = json.dumps(document)
    references = {part.split('"', 1)[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])
    operations = [found["operationId"] for path in document["paths"].values() for found in path.values()]
    assert len(operations) == len(set(operations)) > 15
    for path, methods in document["paths"].items():
        for found in methods.values():
            named = {p["name"] for p in found.get("parameters", ()) if p["in"] == "path"}
            assert named == {part[1:-1].split(":")[0] for part in path.split("/") if part.startswith("{")}
            assert found.get("description"), path


def test_pages_of_the_server_itself(anyone: TestClient) -> None:
    assert anyone.get("/healthz").text == "ok\n"
    assert anyone.get("/", follow_redirects=False).headers["location"] == f"{V1}/docs"
    page = anyone.get(f"{V1}/docs").text
    assert "//cdn" not in page
    assert anyone.get(f"{V1}/docs/assets/swagger-ui.css").status_code == 200


def test_the_failed_tests_of_an_open_run_by_api(api: TestClient, world: World) -> None:
    run = world.planned("a")
    refused = api.post(f"{V1}/runs/{run.id}/rerun", json={"selection": "failed"})
    assert refused.status_code == refused.json()["status"] == 409
    assert refused.json()["code"] == "run_still_open"
