"""Runs over the vendor's API: lists, details, cancel, re-run, artifacts; snoozes and what they change."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from resit.domain.ids import large
from resit.domain.run import Run
from resit.ports import ArtifactRow
from resit.testing.factories import ADMIN, did_not_run, flaky, not_collected, planned, result, uuid_of
from resit.testing.world import World

Refused = Callable[..., str]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
KEY = re.compile(r"[0-9a-f]{20}-[0-9a-f]{20}")
LATER = "2023-12-01T00:00:00.000Z"

ITEM: dict[str, Any] = {
    "id": int,
    "state": str,
    "total_count": int,
    "success_count": int,
    "failed_count": int,
    "failed_count_after_snoozing": int,
    "skipped_count": int,
    "flaky_count": int,
    "snoozed_count": int,
    "snoozed_failed_count": int,
    "duration": int,
    "test_run_branch": str,
    "environment_slug": str,
    "environment_name": str,
    "build_url": (str, type(None)),
    "build_branch": (str, type(None)),
    "commit": (str, type(None)),
    "environment_variables_overrides": list,
    "rerun_source_id": (int, type(None)),
    "rerun_only_failed": (bool, type(None)),
    "superseded_by_test_run_id": (int, type(None)),
    "created_at": str,
}
"""The members of a run that is over, as the study lists them (1.1); there are a few more."""
DETAIL: dict[str, Any] = {
    **ITEM,
    "run_id": int,
    "test_case_ids": (list, type(None)),
    "error_code": (str, type(None)),
    "metadata": dict,
    "tags": list,
    "total_shards": int,
    "build_commit_url": (str, type(None)),
    "github_actor": (str, type(None)),
    "started_at": str,
    "ended_at": str,
}


def has(document: dict[str, Any], members: dict[str, Any]) -> None:
    """The members are all there and of their types."""
    for name, kind in members.items():
        assert name in document, name
        assert isinstance(document[name], kind), (name, document[name])
        assert not isinstance(document[name], bool) or kind is not int, name


def detail(shop: TestClient, id: int) -> dict[str, Any]:
    """``data.test_run``."""
    answer = shop.get(f"/api/test-runs/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["test_run"]


def items(shop: TestClient, query: str = "") -> list[int]:
    """The ids of a list."""
    answer = shop.get(f"/api/test-runs{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]["test_runs"]["items"]]


def snooze(shop: TestClient, *tests: str, **more: Any) -> dict[str, Any]:
    """A snooze of tests, by their keys."""
    answer = shop.post("/api/snoozes", json={"test_ids": list(tests), "snooze_until": LATER, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["snooze"]


def keys(shop: TestClient) -> dict[str, str]:
    """The keys of the test cases by their names."""
    return {case["name"]: case["id"] for case in shop.get("/api/v2/test-cases").json()["data"]["test_cases"]}


# ---------------------------------------------------------------- list


def test_the_list(shop: TestClient, red: Run) -> None:
    answer = shop.get("/api/test-runs")
    document = answer.json()
    assert set(document) == {"data", "pagination"}
    assert document["pagination"] == {"page": 1, "per_page": 20, "total": 1, "total_pages": 1}
    assert set(document["data"]) == {"project", "test_runs"}
    assert document["data"]["project"] == {"id": 1, "name": "shop", "slug": "shop", "repo_name": "local/shop"}
    assert set(document["data"]["test_runs"]) == {"items"}
    item = document["data"]["test_runs"]["items"][0]
    has(item, ITEM)
    assert TIME.fullmatch(item["created_at"])
    assert (item["id"], item["state"], item["result"]) == (red.id, "ended", "failed")


def test_pages_newest_first(shop: TestClient, world: World) -> None:
    ids = [world.trigger().id for _ in range(5)][::-1]
    assert items(shop) == ids
    assert items(shop, "?per_page=2") == ids[:2]
    assert items(shop, "?per_page=2&page=3") == ids[4:]
    assert items(shop, f"?page={10**30}&per_page=100") == []
    assert items(shop, "?limit=2&offset=2") == ids[2:4]
    assert items(shop, "?offset=40") == []
    pagination = shop.get("/api/test-runs?per_page=2&page=9").json()["pagination"]
    assert pagination == {"page": 9, "per_page": 2, "total": 5, "total_pages": 3}


def test_an_empty_list(shop: TestClient) -> None:
    document = shop.get("/api/test-runs").json()
    assert document["data"]["test_runs"]["items"] == []
    assert document["pagination"] == {"page": 1, "per_page": 20, "total": 0, "total_pages": 0}


def test_filters(shop: TestClient, world: World, red: Run) -> None:
    world.environment()
    green = world.carry_out(world.planned("tests/cart.spec.ts::a", environment="staging", branch="feat/x"))
    gone = world.trigger()
    world.runs.cancel(ADMIN, gone.id)
    broken = world.plan(world.trigger(tests=("nothing",), lenient=True), [planned("tests/cart.spec.ts::a")])
    queued = world.trigger()
    everything = [queued.id, broken.id, gone.id, green.id, red.id]
    for query, found in [
        ("", everything),
        (f"?id={green.id}", [green.id]),
        ("?id=999", []),
        ("?state=ended", [green.id, red.id]),
        ("?state=error", [broken.id]),
        ("?state=cancelled", [gone.id]),
        ("?state=cancelling", []),
        ("?state=queued", [queued.id]),
        ("?state=started", []),
        ("?state=pending", []),
        ("?result=passed", [green.id]),
        ("?result=failed", [red.id]),
        ("?state=ended&result=failed", [red.id]),
        ("?state=error&result=failed", []),
        ("?environment_ids=2", [green.id]),
        ("?environment_ids=1,2", everything),
        ("?environment_ids=77", []),
        ("?environment_ids=", everything),
        ("?branch=feat/x", [green.id]),
        ("?branch=main", [queued.id, broken.id, gone.id, red.id]),
        ("?branch=nothing", []),
        ("?project_id=1", everything),
        ("?unknown=1", everything),
    ]:
        assert items(shop, query) == found, query
    world.clock.turn(3 * 86_400)
    late = world.trigger()
    assert items(shop, "?interval_in_days=1") == [late.id]
    assert items(shop, "?interval_in_days=4") == [late.id, *everything]


def test_the_branch_that_is_shown_is_the_branch_that_is_found(shop: TestClient, world: World) -> None:
    for branch in ("", "feat/x", "main"):
        id = world.trigger(branch=branch).id
        shown = detail(shop, id)["testRun"]["test_run_branch"]
        assert id in items(shop, f"?branch={shown}")


# ---------------------------------------------------------------- one run


def test_a_run_with_its_tests(shop: TestClient, red: Run) -> None:
    found = detail(shop, red.id)
    assert set(found) == {"testRun", "project", "flattenedSummaryDetails"}
    run = found["testRun"]
    has(run, DETAIL)
    assert run["run_id"] == large(red.id)
    assert 2**52 <= run["run_id"] < 2**53
    assert found["project"] == {"id": 1, "name": "shop", "slug": "shop", "repo_name": "local/shop"}
    rows = found["flattenedSummaryDetails"]
    assert [(row["name"], row["status"]) for row in rows] == [("a", "failed"), ("b", "passed"), ("c", "passed")]
    for row in rows:
        has(
            row,
            {
                "name": str, "pw_test_id": str, "status": str, "snooze_info": list, "file_path": str, "suites": list,
                "playwright_project": str, "duration": int, "retries": int, "error": (str, type(None)),
            },
        )  # fmt: skip
        assert KEY.fullmatch(row["pw_test_id"])
    assert rows[0]["error"] == "it went wrong"


def test_what_is_not_counted_yet_is_null(shop: TestClient, world: World) -> None:
    run = world.planned("a", "b")
    found = detail(shop, run.id)
    shown = found["testRun"]
    assert shown["state"] == "started"
    assert {name for name, value in shown.items() if name.endswith("_count") and value is not None} == set()
    assert shown["failed_count_after_snoozing"] is None
    assert (shown["duration"], shown["ended_at"], shown["result"]) == (None, None, None)
    assert found["flattenedSummaryDetails"] == []


def test_every_outcome_is_counted_once(shop: TestClient, world: World) -> None:
    tests = [planned(f"t.py::{name}") for name in ("ok", "bad", "error", "flaky", "skip", "gone", "left")]
    run = world.plan(world.trigger(), tests)
    said = {
        "t.py::bad": [result("t.py::bad", "failed")],
        "t.py::error": [result("t.py::error", "errored")],
        "t.py::flaky": flaky("t.py::flaky"),
        "t.py::skip": [result("t.py::skip", "skipped")],
        "t.py::gone": [not_collected("t.py::gone")],
        "t.py::left": [did_not_run("t.py::left")],
    }
    world.carry_out(run, said)
    shown = detail(shop, run.id)["testRun"]
    counts = {name.removesuffix("_count"): shown[name] for name in shown if name.endswith("_count")}
    assert counts == {
        "total": 7, "success": 2, "failed": 3, "skipped": 2, "flaky": 1, "snoozed": 0, "snoozed_failed": 0,
    }  # fmt: skip
    assert shown["failed_count_after_snoozing"] == 3
    rows = {row["name"]: row["status"] for row in detail(shop, run.id)["flattenedSummaryDetails"]}
    assert rows == {
        "ok": "passed", "bad": "failed", "error": "failed", "flaky": "flaky", "skip": "skipped", "gone": "failed",
        "left": "skipped",
    }  # fmt: skip
    assert next(r for r in detail(shop, run.id)["flattenedSummaryDetails"] if r["name"] == "flaky")["retries"] == 1


def test_a_run_that_only_skipped_is_neither_passed_nor_failed(shop: TestClient, world: World) -> None:
    run = world.planned("a")
    world.carry_out(run, {"a": [result("a", "skipped")]})
    shown = detail(shop, run.id)["testRun"]
    assert (shown["state"], shown["result"], shown["skipped_count"]) == ("ended", None, 1)
    assert items(shop, "?result=passed") == items(shop, "?result=failed") == []


def test_the_tests_of_a_run_by_pages(shop: TestClient, world: World) -> None:
    run = world.carry_out(world.planned(*(f"t.py::{n:03}" for n in range(230))))
    answer = shop.get(f"/api/v2/test-runs/{run.id}/cases?per_page=200").json()
    assert set(answer) == {"data", "pagination"}
    assert answer["pagination"] == {"page": 1, "per_page": 200, "total": 230, "total_pages": 2}
    assert [row["name"] for row in answer["data"]] == [f"{n:03}" for n in range(200)]
    has(answer["data"][0], {"pw_test_id": str, "status": str, "nesting": list, "name": str})
    rest = shop.get(f"/api/v2/test-runs/{run.id}/cases?per_page=200&page=2").json()["data"]
    assert len(rest) == 30
    assert len(shop.get(f"/api/v2/test-runs/{run.id}/cases?per_page=1000").json()["data"]) == 230
    assert len(shop.get(f"/api/v2/test-runs/{run.id}/cases").json()["data"]) == 100


def test_suites_are_the_titles_around_a_test(shop: TestClient, world: World) -> None:
    test = planned("x", file="cart.spec.ts", title_path=("cart", "empty", "shows a hint"), variant="chromium")
    run = world.carry_out(world.plan(world.trigger(), [test]))
    row = detail(shop, run.id)["flattenedSummaryDetails"][0]
    assert (row["name"], row["suites"], row["playwright_project"]) == ("shows a hint", ["cart", "empty"], "chromium")
    assert shop.get(f"/api/v2/test-runs/{run.id}/cases").json()["data"][0]["nesting"] == ["cart", "empty"]


def test_playwrights_own_ids_are_kept(shop: TestClient, world: World) -> None:
    id = "0123456789abcdef0123-89abcdef0123456789ab"
    run = world.carry_out(world.plan(world.trigger(), [planned(id, file="a.spec.ts", title_path=("a",))]))
    assert detail(shop, run.id)["flattenedSummaryDetails"][0]["pw_test_id"] == id


def test_status_by_either_number(shop: TestClient, red: Run) -> None:
    for number in (red.id, large(red.id)):
        data = shop.get(f"/api/test-runs/{number}/status").json()["data"]
        assert data == {
            "id": red.id, "run_id": large(red.id), "state": "ended", "result": "failed", "test_case_ids": [],
        }  # fmt: skip


# ---------------------------------------------------------------- cancel


def test_cancel(shop: TestClient, world: World, refused: Refused) -> None:
    run = world.planned("a", "b")
    answer = shop.post(f"/api/test-runs/{run.id}/cancel", json={"reason": "wrong build"})
    assert answer.status_code == 200
    assert set(answer.json()) == {"data"}
    assert isinstance(answer.json()["data"]["message"], str)
    assert world.run(run.id).cancel_reason == "wrong build"
    assert world.signals.runs == [run.id]
    shown = detail(shop, run.id)
    assert (shown["testRun"]["state"], shown["testRun"]["error_code"]) == ("cancelled", None)
    assert [row["status"] for row in shown["flattenedSummaryDetails"]] == ["skipped", "skipped"]
    refused(shop.post(f"/api/test-runs/{run.id}/cancel"), 412)


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"other": 1}'])
def test_cancel_without_a_reason(shop: TestClient, world: World, body: bytes | None) -> None:
    run = world.trigger()
    assert shop.post(f"/api/test-runs/{run.id}/cancel", content=body).status_code == 200


def test_cancel_of_a_run_that_is_over(shop: TestClient, world: World, red: Run, refused: Refused) -> None:
    before = world.dump(red)
    refused(shop.post(f"/api/test-runs/{red.id}/cancel"), 412, "ended")
    assert world.dump(red) == before


# ---------------------------------------------------------------- re-run


def test_a_rerun_is_a_new_run_and_its_source_stays(shop: TestClient, world: World, red: Run) -> None:
    before, shown = world.dump(red), detail(shop, red.id)
    answer = shop.post(f"/api/test-runs/{red.id}/re-run")
    assert answer.status_code == 200
    made = answer.json()["data"]
    assert set(made) == {"trigger", "test_run"}
    assert made["trigger"] == {"success": True}
    assert set(made["test_run"]) == {"id", "state", "test_run_branch", "created_at", "project_id"}
    run = world.run(made["test_run"]["id"])
    assert run.id != red.id
    world.settle()
    world.carry_out(world.run(run.id))
    again = detail(shop, run.id)["testRun"]
    assert (again["rerun_source_id"], again["rerun_only_failed"], again["total_count"]) == (red.id, False, 3)
    assert world.dump(red) == before
    assert detail(shop, red.id) == shown


READS = (
    "/api/test-runs?id={id}",
    "/api/test-runs/{id}",
    "/api/test-runs/{id}/status",
    "/api/test-runs/{id}/artifacts",
    "/api/v2/test-runs/{id}/cases",
)


@pytest.mark.parametrize("asked", [{}, {"only_failed": True}])
def test_no_read_of_a_source_changes_with_its_rerun(
    shop: TestClient, world: World, red: Run, asked: dict[str, bool]
) -> None:
    store(world, red, "trace.zip")
    before = [shop.get(path.format(id=red.id)).text for path in READS]
    id = shop.post(f"/api/test-runs/{red.id}/re-run", json=asked).json()["data"]["test_run"]["id"]
    assert [shop.get(path.format(id=red.id)).text for path in READS] == before
    world.settle()
    world.carry_out(world.run(id))
    assert detail(shop, id)["testRun"]["result"] == "passed"
    assert [shop.get(path.format(id=red.id)).text for path in READS] == before


def test_a_rerun_takes_over_what_its_source_was_asked(shop: TestClient, world: World) -> None:
    world.environment()
    body = {
        "environment": "staging",
        "build": {"url": "https://b.test", "commit": "c1"},
        "metadata": {"a": 1},
        "environment_variables_overrides": [{"name": "A", "value": "1"}],
        "tags": ["@smoke"],
        "total_shards": 3,
        "send_notifications": False,
        "github_actor": "bob",
    }
    source = shop.put("/api/test-runs", json=body).json()["data"]["test_run"]["id"]
    again = shop.post(f"/api/test-runs/{source}/re-run", json={}).json()["data"]["test_run"]["id"]
    loud = shop.post(f"/api/test-runs/{source}/re-run", json={"send_notifications": True}).json()["data"]["test_run"]
    before, after = world.run(source), world.run(again)
    for name in ("environment_id", "build", "metadata", "variables", "shards", "notify", "actor", "branch"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.selection.tags == before.selection.tags
    assert world.run(loud["id"]).notify


def test_only_what_failed(shop: TestClient, world: World) -> None:
    names = ("ok", "bad", "flaky", "skip", "error")
    run = world.plan(world.trigger(), [planned(f"t.py::{name}") for name in names])
    said = {
        "t.py::bad": [result("t.py::bad", "failed")],
        "t.py::flaky": flaky("t.py::flaky"),
        "t.py::skip": [result("t.py::skip", "skipped")],
        "t.py::error": [result("t.py::error", "errored")],
    }
    world.carry_out(run, said)
    made = shop.post(f"/api/test-runs/{run.id}/re-run", json={"only_failed": True}).json()["data"]["test_run"]
    world.settle()
    assert set(world.outcomes(world.run(made["id"]))) == {"t.py::bad", "t.py::error"}
    assert detail(shop, made["id"])["testRun"]["rerun_only_failed"] is True


def test_only_failed_needs_a_source_that_was_carried_through(shop: TestClient, world: World, refused: Refused) -> None:
    asked = {"only_failed": True}
    running = world.planned("a")
    refused(shop.post(f"/api/test-runs/{running.id}/re-run", json=asked), 400, "still")
    green = world.carry_out(running)
    refused(shop.post(f"/api/test-runs/{green.id}/re-run", json=asked), 400, "nothing failed")
    broken = world.plan(world.trigger(tests=("nothing",), lenient=True), [planned("a")])
    refused(shop.post(f"/api/test-runs/{broken.id}/re-run", json=asked), 400)
    stopped = world.planned("a")
    shop.post(f"/api/test-runs/{stopped.id}/cancel")
    refused(shop.post(f"/api/test-runs/{stopped.id}/re-run", json=asked), 400)
    for id in (green.id, broken.id, stopped.id):
        assert shop.post(f"/api/test-runs/{id}/re-run", json={"only_failed": False}).status_code == 200


# ---------------------------------------------------------------- snoozes


def test_a_snoozed_failure_fails_and_does_not_block(shop: TestClient, world: World, red: Run) -> None:
    world.environment()
    key = keys(shop)["a"]
    made = snooze(shop, key, scoped_to_environment_id=1)
    once = shop.post(f"/api/test-runs/{red.id}/re-run", json={"only_failed": True}).json()["data"]["test_run"]["id"]
    world.settle()
    run = world.carry_out(world.run(once), {"tests/cart.spec.ts::a": [result("tests/cart.spec.ts::a", "failed")]})
    found = detail(shop, run.id)
    shown = found["testRun"]
    assert (shown["state"], shown["result"]) == ("ended", "passed")
    assert (shown["total_count"], shown["failed_count"], shown["failed_count_after_snoozing"]) == (1, 1, 0)
    assert (shown["snoozed_count"], shown["snoozed_failed_count"]) == (1, 1)
    row = found["flattenedSummaryDetails"][0]
    assert (row["pw_test_id"], row["status"]) == (key, "failed")
    assert [info["id"] for info in row["snooze_info"]] == [made["id"]]
    assert items(shop, "?result=passed") == [run.id]
    # what is snoozed is still what failed
    again = shop.post(f"/api/test-runs/{run.id}/re-run", json={"only_failed": True}).json()["data"]["test_run"]["id"]
    world.settle()
    assert list(world.outcomes(world.run(again))) == ["tests/cart.spec.ts::a"]
    # in another environment the same test blocks
    elsewhere = world.planned("tests/cart.spec.ts::a", environment="staging")
    world.carry_out(elsewhere, {"tests/cart.spec.ts::a": [result("tests/cart.spec.ts::a", "failed")]})
    found = detail(shop, elsewhere.id)
    assert (found["testRun"]["result"], found["testRun"]["failed_count_after_snoozing"]) == ("failed", 1)
    assert found["flattenedSummaryDetails"][0]["snooze_info"] == []


def test_a_snooze_that_is_made_later_shows_and_changes_no_count(shop: TestClient, world: World, red: Run) -> None:
    world.clock.turn(60)
    before = detail(shop, red.id)
    assert all(row["snooze_info"] == [] for row in before["flattenedSummaryDetails"])
    made = snooze(shop, keys(shop)["a"], keys(shop)["b"])
    after = detail(shop, red.id)
    assert after["testRun"] == before["testRun"]
    infos = {row["name"]: [info["id"] for info in row["snooze_info"]] for row in after["flattenedSummaryDetails"]}
    assert infos == {"a": [made["id"]], "b": [made["id"]], "c": []}
    world.clock.turn(1)
    shop.patch(f"/api/snoozes/{made['id']}", json={"expire_now": True})
    assert detail(shop, red.id) == before


def test_a_snooze_that_counted_is_still_named_when_it_is_over(shop: TestClient, world: World, red: Run) -> None:
    made = snooze(shop, keys(shop)["a"])
    again = shop.post(f"/api/test-runs/{red.id}/re-run").json()["data"]["test_run"]["id"]
    world.settle()
    run = world.carry_out(world.run(again), {"tests/cart.spec.ts::a": [result("tests/cart.spec.ts::a", "failed")]})
    world.clock.turn(1)
    shop.patch(f"/api/snoozes/{made['id']}", json={"expire_now": True})
    world.clock.turn(1)
    found = detail(shop, run.id)
    assert found["testRun"]["failed_count_after_snoozing"] == 0
    infos = {row["name"]: len(row["snooze_info"]) for row in found["flattenedSummaryDetails"]}
    assert infos == {"a": 1, "b": 0, "c": 0}


def test_snoozed_tests_that_did_not_run_are_no_failures(shop: TestClient, world: World) -> None:
    tests = [planned(f"t.py::{name}") for name in ("a", "b", "c")]
    world.plan(world.trigger(), tests)
    named = keys(shop)
    snooze(shop, named["a"], named["b"])
    said = {
        "t.py::a": [result("t.py::a", "failed")],
        "t.py::b": [did_not_run("t.py::b")],
        "t.py::c": [result("t.py::c", "failed")],
    }
    run = world.carry_out(world.plan(world.trigger(), tests), said)
    shown = detail(shop, run.id)["testRun"]
    assert (shown["failed_count"], shown["failed_count_after_snoozing"], shown["skipped_count"]) == (2, 1, 1)


# ---------------------------------------------------------------- artifacts


def store(world: World, run: Run, name: str, content: bytes = b"data", kind: str = "video/webm") -> str:
    """An artifact of a run, stored."""
    id = uuid_of(f"{run.id} {name}")
    path = world.folder / "artifacts" / str(run.id) / id
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    row = ArtifactRow(id=id, run_id=run.id, ordinal=0, name=name, content_type=kind, size=len(content), stored=True)
    with world.store.write() as tx:
        tx.results.save_artifact(row)
        tx.results.add_artifacts([row])
    return id


def test_artifacts(shop: TestClient, world: World, red: Run, refused: Refused) -> None:
    assert shop.get(f"/api/test-runs/{red.id}/artifacts").json() == {"data": {"artifacts": []}}
    for name in ("video.webm", "trace.zip", "../../etc/passwd", "schöner Name.png"):
        store(world, red, name)
    base = f"/api/test-runs/{red.id}/artifacts"
    found = {artifact["key"]: artifact for artifact in shop.get(base).json()["data"]["artifacts"]}
    assert len(found) == 4
    for key, artifact in found.items():
        assert set(artifact) == {"key", "url", "size", "last_modified"}
        assert re.fullmatch(r"data/[\w.@+-]+", key, re.ASCII)
        assert ".." not in key
        assert artifact["size"] == 4
        assert TIME.fullmatch(artifact["last_modified"])
    video = next(key for key in found if key.endswith("video.webm"))

    def listed(query: str) -> list[str]:
        return [artifact["key"] for artifact in shop.get(f"{base}{query}").json()["data"]["artifacts"]]

    assert listed(f"?key={video}") == [video]
    assert listed("?suffix=.webm") == [video]
    assert listed("?prefix=data/&suffix=.webm") == [video]
    assert sorted(listed("?prefix=data/")) == sorted(found)
    assert listed("?prefix=logs/") == listed("?key=data") == []
    del shop.headers["Authorization"]
    answer = shop.get(found[video]["url"])
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"data", "video/webm")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused(shop.get(base), 401)


def test_links_to_artifacts_open_nothing_else(shop: TestClient, world: World, red: Run, refused: Refused) -> None:
    store(world, red, "one.txt", b"one")
    store(world, red, "two.txt", b"two")
    one, two = shop.get(f"/api/test-runs/{red.id}/artifacts").json()["data"]["artifacts"]
    words = parse_qs(urlsplit(one["url"]).query)
    expires, signature = int(words["exp"][0]), words["sig"][0]
    path, other = urlsplit(one["url"]).path, urlsplit(two["url"]).path
    right = {"exp": expires, "sig": signature}
    assert shop.get(path, params=right).status_code == 200
    refused(shop.get(other, params=right), 403)
    refused(shop.get(path, params={**right, "exp": expires + 1}), 403)
    refused(shop.get(path, params={**right, "sig": signature[:-1] + ("0" if signature[-1] != "0" else "1")}), 403)
    refused(shop.get(path, params={**right, "sig": "ä"}), 403)
    refused(shop.get(path), 400)
    world.clock.turn(3601)
    refused(shop.get(path, params=right), 403)


def test_an_artifact_whose_file_is_gone_is_not_listed(shop: TestClient, world: World, red: Run) -> None:
    id = store(world, red, "one.txt")
    url = shop.get(f"/api/test-runs/{red.id}/artifacts").json()["data"]["artifacts"][0]["url"]
    (world.folder / "artifacts" / str(red.id) / id).unlink()
    assert shop.get(f"/api/test-runs/{red.id}/artifacts").json()["data"]["artifacts"] == []
    assert shop.get(url).status_code == 404
