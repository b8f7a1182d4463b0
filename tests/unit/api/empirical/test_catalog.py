"""Test cases, environments, snoozes and what else a project has, over the vendor's API."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from resit.domain.run import Run
from resit.testing.factories import ADMIN, planned, result
from resit.testing.world import World

Refused = Callable[..., str]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LATER = "2023-12-01T00:00:00.000Z"


# ---------------------------------------------------------------- test cases


@pytest.fixture
def suite(shop: TestClient, world: World) -> dict[str, str]:
    """Four test cases of two files; their keys by name."""
    tests = [
        planned("1", file="cart/a.spec.ts", title_path=("cart", "adds"), variant="chromium", tags=("@smoke",)),
        planned("2", file="cart/a.spec.ts", title_path=("cart", "removes"), variant="firefox", tags=("slow",)),
        planned("3", file="pay/b.spec.ts", title_path=("pays",), variant="chromium", tags=("@smoke", "slow")),
        planned("4", file="pay/b.spec.ts", title_path=("refunds",), variant="chromium"),
    ]
    world.carry_out(world.plan(world.trigger(), tests))
    return {case["name"]: case["id"] for case in cases(shop)}


def cases(shop: TestClient, query: str = "") -> list[dict[str, Any]]:
    """The test cases that a query finds."""
    answer = shop.get(f"/api/v2/test-cases{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["test_cases"]


def test_a_test_case(shop: TestClient, suite: dict[str, str]) -> None:
    answer = shop.get("/api/v2/test-cases").json()
    assert set(answer) == {"data", "pagination"}
    assert answer["pagination"] == {"page": 1, "per_page": 100, "total": 4, "total_pages": 1, "has_more": False}
    assert answer["data"]["sync_error"] is None
    found = answer["data"]["test_cases"][0]
    assert TIME.fullmatch(found.pop("created_at"))
    assert TIME.fullmatch(found.pop("updated_at"))
    assert found == {
        "id": suite["adds"],
        "name": "adds",
        "file_path": "cart/a.spec.ts",
        "suites": ["cart"],
        "playwright_project": "chromium",
        "tags": ["@smoke"],
        "first_seen_commit_sha": "c0ffee",
        "last_seen_commit_sha": "c0ffee",
        "dependencies": None,
    }
    assert shop.get("/api/test-cases/v2").json() == shop.get("/api/v2/test-cases").json()
    one = shop.get(f"/api/v2/test-cases/{suite['adds']}").json()
    assert set(one["data"]) == {"test_case"}
    assert one["data"]["test_case"]["name"] == "adds"
    assert shop.get(f"/api/test-cases/v2/{suite['adds']}").json() == one


def test_filters_of_test_cases(shop: TestClient, world: World, suite: dict[str, str]) -> None:
    for query, names in [
        (f"?ids={suite['adds']},{suite['pays']},unknown", ["adds", "pays"]),
        ("?ids=unknown", []),
        ("?file_path=cart/", ["adds", "removes"]),
        ("?playwright_project=firefox", ["removes"]),
        ("?tags=smoke", ["adds", "pays"]),
        ("?tags=@slow", ["removes", "pays"]),
        ("?tags=smoke,slow", ["adds", "removes", "pays"]),
        ("?search=fund", ["refunds"]),
        ("?search=cart", ["adds", "removes"]),
        ("?search=%25", []),
        ("?first_seen_commit_sha=c0ffee&is_active=true", ["adds", "removes", "pays", "refunds"]),
        ("?last_seen_commit_sha=other", []),
        ("?is_active=false", []),
        ("?per_page=1&page=3", ["pays"]),
        ("?ids=&tags=&search=&file_path=&is_active=", ["adds", "removes", "pays", "refunds"]),
    ]:
        assert [case["name"] for case in cases(shop, query)] == names, query
    assert shop.get("/api/v2/test-cases?per_page=3").json()["pagination"]["has_more"] is True
    many = ",".join(["x"] * 100 + [suite["adds"]])
    assert cases(shop, f"?ids={many}") == [], "the first 100 count"
    world.plan(world.trigger(), [planned("1", file="cart/a.spec.ts", title_path=("cart", "adds"))])
    assert [case["name"] for case in cases(shop, "?is_active=true")] == ["adds"]
    assert len(cases(shop, "?is_active=false")) == 3


def test_drafts_are_not_part_of_the_suite(shop: TestClient, world: World, suite: dict[str, str]) -> None:
    draft = world.cases.add_draft(ADMIN, "shop", name="buys a gift", goal="It works")
    assert len(cases(shop)) == len(suite)
    assert shop.get(f"/api/v2/test-cases/{draft.uuid}").json()["data"]["test_case"]["name"] == "buys a gift"


def test_tags_that_are_set_choose_tests(shop: TestClient, world: World, suite: dict[str, str]) -> None:
    answer = shop.patch(f"/api/v2/test-cases/{suite['refunds']}", json={"tags": ["@money", "@money", " new "]})
    assert answer.status_code == 200
    assert set(answer.json()) == {"data"}
    assert answer.json()["data"]["source_file_updated"] is False
    assert answer.json()["data"]["test_case"]["tags"] == ["@money", "new"]
    refunds = planned("4", file="pay/b.spec.ts", title_path=("refunds",), variant="chromium")
    run = world.plan(world.trigger(tags=("money",)), [refunds, planned("5")])
    assert list(world.outcomes(run)) == ["4"]
    assert shop.patch(f"/api/v2/test-cases/{suite['refunds']}", json={"tags": []}).status_code == 200
    assert cases(shop, f"?ids={suite['refunds']}")[0]["tags"] == []


def test_a_test_case_that_several_projects_have(
    api: TestClient, world: World, refused: Refused, token: Callable[..., str]
) -> None:
    world.project("other")
    for project in ("shop", "other"):
        world.plan(world.trigger(project), [planned("t.py::a")])
    key = api.get("/api/v2/test-cases", headers={"x-project-id": "1"}).json()["data"]["test_cases"][0]["id"]
    refused(api.get(f"/api/v2/test-cases/{key}"), 400)
    for id in ("1", "2"):
        assert api.get(f"/api/v2/test-cases/{key}", headers={"x-project-id": id}).status_code == 200
    api.headers["Authorization"] = token(project="other")
    assert api.get(f"/api/v2/test-cases/{key}").status_code == 200


# ---------------------------------------------------------------- environments

ROW = {
    "id": int, "project_id": int, "slug": str, "name": str, "playwright_projects_match": list,
    "playwright_projects_ignore": list, "is_disabled": bool, "env_files": list, "scheduled_trigger": (str, type(None)),
    "created_at": str, "updated_at": str,
}  # fmt: skip


def environments(shop: TestClient, query: str = "") -> list[dict[str, Any]]:
    """The environments that a query finds."""
    answer = shop.get(f"/api/environments/list{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["environments"]


def test_environments(shop: TestClient, world: World) -> None:
    body = {
        "name": "Staging",
        "slug": "STAGING",
        "playwright_projects_match": ["chrom*"],
        "playwright_projects_ignore": ["*mobile*"],
        "scheduled_trigger": "0 6 * * *",
    }
    made = shop.post("/api/environments", json=body).json()
    assert set(made) == {"data"}
    assert set(made["data"]) == {"environment"}
    row = made["data"]["environment"]
    for name, kind in ROW.items():
        assert isinstance(row[name], kind), name
    assert row["slug"] == "staging"
    assert {name: row[name] for name in body if name != "slug"} == {n: v for n, v in body.items() if n != "slug"}
    listed = environments(shop)
    assert [e["slug"] for e in listed] == ["default", "staging"]
    assert [e["is_default"] for e in listed] == [True, False]
    assert [e["latest_build"] for e in listed] == [None, None]
    assert shop.get("/api/environments").json() == shop.get("/api/environments/list").json()
    changed = shop.patch(f"/api/environments/{row['id']}", json={"is_disabled": True, "scheduled_trigger": None})
    assert changed.status_code == 200
    assert changed.json()["is_disabled"] is True
    assert changed.json()["scheduled_trigger"] is None
    assert changed.json()["playwright_projects_match"] == ["chrom*"]
    assert "data" not in changed.json()
    assert [e["slug"] for e in environments(shop, "?is_disabled=false")] == ["default"]
    assert [e["slug"] for e in environments(shop, "?is_disabled=true")] == ["staging"]
    assert [e["slug"] for e in environments(shop, "?environment_slug=Staging")] == ["staging"]
    assert len(environments(shop, "?project_id=1&project_repo_name=local/shop")) == 2
    assert len(environments(shop, "?project_repo_name=shop")) == 2
    assert environments(shop, "?project_repo_name=other") == environments(shop, "?project_id=999") == []
    again = shop.patch(f"/api/environments/{row['id']}", json={"slug": "Stage", "name": "Stage"}).json()
    assert (again["slug"], again["name"]) == ("stage", "Stage")
    assert shop.patch(f"/api/environments/{row['id']}", json={}).json()["slug"] == "stage"


def test_the_latest_build_of_an_environment(shop: TestClient) -> None:
    build = {"url": "https://b.test", "commit": "c1", "commit_url": "https://c.test", "version": "1", "branch": "main"}
    shop.put("/api/test-runs", json={"environment": "default", "build": build})
    shop.put("/api/test-runs", json={"environment": "default"})
    found = environments(shop)[0]["latest_build"]
    assert TIME.fullmatch(found.pop("created_at"))
    assert found == {
        "id": 1, "project_id": 1, "build_url": "https://b.test", "commit": "c1", "commit_url": "https://c.test",
        "version": "1", "branch": "main", "environment_id": 1,
    }  # fmt: skip


def test_the_filters_of_an_environment_choose_tests(shop: TestClient, world: World) -> None:
    shop.post("/api/environments", json={"name": "m", "slug": "m", "playwright_projects_match": ["mobile-*"]})
    tests = [planned("1", variant="mobile-safari"), planned("2", variant="chromium")]
    assert list(world.outcomes(world.plan(world.trigger(environment="m"), tests))) == ["1"]


# ---------------------------------------------------------------- snoozes


def test_a_snooze(shop: TestClient, world: World, red: Run) -> None:
    world.environment()
    body = {
        "test_ids": ["a" * 41],
        "snooze_until": "2023-11-20T12:00:00+02:00",
        "description": "known",
        "created_by": "bob",
        "scoped_to_environment_id": 2,
        "created_from_test_run_id": red.id,
    }
    answer = shop.post("/api/snoozes", json=body)
    assert answer.status_code == 200
    assert set(answer.json()["data"]) == {"snooze"}
    made = answer.json()["data"]["snooze"]
    assert TIME.fullmatch(made["created_at"])
    assert TIME.fullmatch(made["updated_at"])
    assert {name: made[name] for name in body} == {**body, "snooze_until": "2023-11-20T10:00:00.000Z"}
    assert shop.get(f"/api/snoozes/{made['id']}").json()["data"]["snooze"] == made
    least = shop.post("/api/snoozes", json={"test_ids": ["b"], "snooze_until": LATER}).json()["data"]["snooze"]
    for name in ("description", "created_by", "created_from_test_run_id", "scoped_to_environment_id"):
        assert least[name] is None
    older = shop.post("/api/snoozes", json={"test_ids": ["b"], "snooze_until": LATER, "environment_id": 2})
    assert older.json()["data"]["snooze"]["scoped_to_environment_id"] == 2


def test_changes_of_a_snooze(shop: TestClient, world: World) -> None:
    world.environment()
    id = shop.post("/api/snoozes", json={"test_ids": ["a"], "snooze_until": LATER}).json()["data"]["snooze"]["id"]

    def change(**body: Any) -> dict[str, Any]:
        answer = shop.patch(f"/api/snoozes/{id}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["snooze"]

    assert change()["snooze_until"] == LATER
    assert change(snooze_until="2023-12-02T00:00:00Z")["snooze_until"] == "2023-12-02T00:00:00.000Z"
    assert change(description="why")["description"] == "why"
    assert change(description=None)["description"] is None
    assert change(scoped_to_environment_id=2)["scoped_to_environment_id"] == 2
    assert change(environment_id=1)["scoped_to_environment_id"] == 1
    assert change(scoped_to_environment_id=None)["scoped_to_environment_id"] is None
    assert change(test_ids=["b", "c"])["test_ids"] == ["b", "c"]
    assert change(expire_now=False)["snooze_until"] == "2023-12-02T00:00:00.000Z"
    world.clock.turn(5)
    ended = change(expire_now=True, description="done", snooze_until="2020-01-01T00:00:00Z")
    assert (ended["snooze_until"], ended["description"]) == ("2023-11-14T22:13:25.000Z", "done")
    assert change(snooze_until=LATER)["snooze_until"] == LATER


def test_lists_of_snoozes(shop: TestClient, world: World) -> None:
    world.environment()
    for scope in (None, 2, 1):
        body = {"test_ids": ["a"], "snooze_until": LATER} | ({"environment_id": scope} if scope else {})
        assert shop.post("/api/snoozes", json=body).status_code == 200
    world.clock.turn(1)
    shop.patch("/api/snoozes/1", json={"expire_now": True})

    def listed(query: str = "") -> list[int]:
        return [snooze["id"] for snooze in shop.get(f"/api/snoozes{query}").json()["data"]["snoozes"]]

    assert listed() == listed("?status=active") == [3, 2]
    assert listed("?status=expired") == [1]
    assert listed("?status=all") == [3, 2, 1]
    assert listed("?environment_id=2") == [2]
    assert listed("?status=all&per_page=2&page=2") == [1]
    pagination = shop.get("/api/snoozes?status=all&per_page=2").json()["pagination"]
    assert pagination == {"page": 1, "per_page": 2, "total": 3, "total_pages": 2}


# ---------------------------------------------------------------- resources


def put(shop: TestClient, url: str, content: bytes) -> Any:
    """An upload, as clients make it: without a bearer token."""
    return shop.put(url, content=content, headers={"Content-Type": "application/octet-stream", "Authorization": ""})


def test_a_file_there_and_back(shop: TestClient, refused: Refused) -> None:
    body = {"name": "data.csv", "mime_type": "text/csv", "size_bytes": 3, "description": "rows"}
    made = shop.post("/api/resources", json=body).json()["data"]["resource"]
    assert made["status"] == "pending"
    assert made["url"] is None
    assert {name: made[name] for name in body} == body
    assert shop.get("/api/resources").json()["data"]["resources"] == []
    refused(shop.patch(f"/api/resources/{made['id']}", json={"status": "uploaded"}), 400)
    content = b"x" * 900
    answer = put(shop, made["upload_url"], content)
    assert answer.status_code == 200
    assert answer.json()["data"]["resource"]["status"] == "uploaded"
    shown = shop.get(f"/api/resources/{made['id']}").json()["data"]["resource"]
    assert (shown["status"], shown["size_bytes"]) == ("uploaded", 900)
    assert "upload_url" not in shown
    got = shop.get(shown["url"], headers={"Authorization": ""})
    assert (got.content, got.headers["content-type"]) == (content, "text/csv; charset=utf-8")
    assert got.headers["content-disposition"] == 'attachment; filename="data.csv"'
    listed = shop.get("/api/resources").json()
    assert [resource["id"] for resource in listed["data"]["resources"]] == [made["id"]]
    assert listed["pagination"] == {"page": 1, "per_page": 20, "total": 1, "total_pages": 1}
    confirmed = shop.patch(f"/api/resources/{made['id']}", json={"status": "uploaded", "name": "new.csv"})
    assert confirmed.json()["data"]["resource"]["name"] == "new.csv"
    assert shop.delete(f"/api/resources/{made['id']}").status_code == 200
    refused(shop.get(f"/api/resources/{made['id']}"), 404)
    refused(shop.get(shown["url"]), 404)
    refused(put(shop, made["upload_url"], b"late"), 404)


def test_a_file_may_be_larger_than_a_body_of_json(shop: TestClient, world: World, built: FastAPI) -> None:
    built.state.services = world.services(max_artifact=4_000_000)
    made = shop.post("/api/resources", json={"name": "large"}).json()["data"]["resource"]
    assert put(shop, made["upload_url"], b"x" * 3_000_000).status_code == 200


def test_a_link(shop: TestClient) -> None:
    body = {"name": "sheet", "url": "https://docs.test/sheet"}
    made = shop.post("/api/resources", json=body).json()["data"]["resource"]
    assert (made["status"], made["url"], made["upload_url"]) == ("uploaded", "https://docs.test/sheet", None)
    assert shop.get("/api/resources").json()["data"]["resources"][0]["url"] == "https://docs.test/sheet"


def test_signed_urls_open_what_they_say_and_nothing_else(shop: TestClient, world: World, refused: Refused) -> None:
    one, two = (shop.post("/api/resources", json={"name": "x"}).json()["data"]["resource"] for _ in range(2))
    upload = one["upload_url"]
    assert put(shop, upload, b"one").status_code == 200
    reading = shop.get("/api/resources/1").json()["data"]["resource"]["url"]
    refused(shop.get(upload), 403)
    refused(put(shop, reading, b"two"), 403)
    refused(shop.get(upload.replace("scope=w", "scope=r")), 403)
    refused(put(shop, reading.replace("scope=r", "scope=w"), b"two"), 403)
    refused(put(shop, upload.replace("/1/", f"/{two['id']}/"), b"two"), 403)
    refused(put(shop, upload[:-1] + ("0" if upload[-1] != "0" else "1"), b"two"), 403)
    refused(put(shop, re.sub(r"exp=\d+", "exp=9999999999", upload), b"two"), 403)
    refused(put(shop, upload.replace("scope=w", "scope=rw"), b"two"), 400)
    refused(put(shop, upload, b"x" * 1001), 413)
    assert shop.get(reading).content == b"one", "what was refused changed nothing"
    world.clock.turn(3601)
    refused(put(shop, upload, b"two"), 403)
    refused(shop.get(reading), 403)


# ---------------------------------------------------------------- badges


def badge(anyone: TestClient, query: str = "", where: str = "shop/environments/default") -> str:
    """What a badge says."""
    answer = anyone.get(f"/api/badges/projects/{where}{query}", headers={"Authorization": ""})
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "no-cache" in answer.headers["cache-control"]
    found = re.search(r"<title>(.*?)</title>", answer.text)
    assert found
    assert answer.status_code == (404 if "not found" in found[1] else 200)
    return found[1]


def test_the_badge_of_each_state(shop: TestClient, world: World) -> None:
    assert badge(shop) == "empirical tests: no runs"
    run = world.trigger()
    assert badge(shop) == "empirical tests: running"
    run = world.plan(run, [planned("a")])
    assert badge(shop) == "empirical tests: running"
    world.carry_out(run)
    assert badge(shop) == "empirical tests: passing"
    world.carry_out(world.planned("a", branch="feat/x"), {"a": [result("a", "failed")]})
    assert badge(shop) == "empirical tests: failing"
    world.plan(world.trigger(tests=("nothing",), lenient=True), [planned("a")])
    assert badge(shop) == "empirical tests: error"
    shop.post(f"/api/test-runs/{world.trigger().id}/cancel")
    assert badge(shop) == "empirical tests: cancelled"
    assert badge(shop, "?branch=feat/x") == "empirical tests: failing"
    assert badge(shop, "?branch=nothing") == "empirical tests: no runs"
    assert badge(shop, "?branch=&label=") == "empirical tests: cancelled"
    assert badge(shop, "?label=<script>%26") == "&lt;script&gt;&amp;: cancelled"
    assert len(badge(shop, f"?label={'x' * 1000}")) < 100


def test_the_badge_of_what_is_not_there(anyone: TestClient, world: World) -> None:
    world.project()
    assert badge(anyone, where="nowhere/environments/default") == "empirical tests: not found"
    assert badge(anyone, where="shop/environments/nowhere") == "empirical tests: not found"


# ---------------------------------------------------------------- what clients call beside


def test_webhooks(shop: TestClient, world: World, refused: Refused) -> None:
    body = {"url": "https://hooks.test/x", "events": ["test_run.queued", "test_run.started"]}
    made = shop.post("/api/webhooks", json=body).json()["data"]["webhook"]
    assert re.fullmatch(r"whsec_[A-Za-z0-9_-]+", made["secret"])
    shown = {name: made[name] for name in ("id", "url", "events", "is_active")}
    assert shown == {"id": 1, **body, "is_active": True}
    listed = shop.get("/api/webhooks")
    assert made["secret"] not in listed.text
    assert [{name: hook[name] for name in shown} for hook in listed.json()["data"]["webhooks"]] == [shown]
    assert shop.post("/api/webhooks/1/test").status_code == 200
    with world.store.read() as tx:
        assert [notice.event for notice in tx.webhooks.due(world.clock.now(), 10)] == ["webhook.test"]
    assert shop.delete("/api/webhooks/1").status_code == 200
    refused(shop.delete("/api/webhooks/1"), 404)


def test_keys(shop: TestClient, world: World, token: Callable[..., str], refused: Refused) -> None:
    shop.headers["Authorization"] = token(scopes=["tokens:manage"], name="manager")
    token(project=None, scopes=["admin"], name="operator's")
    world.project("other")
    token(project="other", name="another's")
    answer = shop.get("/api/api-keys")
    found = {key["name"]: key for key in answer.json()["data"]["api_keys"]}
    assert set(found) == {"manager", "token 1"}
    assert found["manager"]["is_internal"] is False
    assert "secret" not in answer.text
    assert shop.delete(f"/api/api-keys/{found['token 1']['id']}").status_code == 200
    assert [key["name"] for key in shop.get("/api/api-keys").json()["data"]["api_keys"]] == ["manager"]
    refused(shop.delete("/api/api-keys/999"), 404)


def test_values_of_variables_are_never_shown(shop: TestClient, world: World) -> None:
    world.environment(variables={"HOST": "h.example"}, secrets={"PASSWORD": "open sesame"})
    answer = shop.get("/api/environment-variables")
    assert answer.status_code == 200
    assert "sesame" not in answer.text
    assert "h.example" not in answer.text
    rows = answer.json()["data"]["environment_variables"]
    assert [(row["name"], row["is_secret"], row["environment_slug"]) for row in rows] == [
        ("HOST", False, "staging"),
        ("PASSWORD", True, "staging"),
    ]
