"""Analytics over the vendor's API (study 1.5 and 2.11)."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.testing.factories import flaky, planned, result
from resit.testing.world import World

Refused = Callable[..., str]
DAY = 86_400
TESTS = [planned(f"t.py::{name}", tags=("smoke",) if name == "a" else ()) for name in ("a", "b", "c")]


@pytest.fixture
def weeks(shop: TestClient, world: World) -> dict[str, str]:
    """Runs on two days: red, then green with a flaky test, then one that was cancelled; keys by name."""
    world.environment()
    red = world.plan(world.trigger(branch="feat/x"), TESTS)
    world.carry_out(red, {"t.py::a": [result("t.py::a", "failed")], "t.py::c": [result("t.py::c", "skipped")]})
    world.clock.turn(2 * DAY)
    shop.post(f"/api/test-runs/{red.id}/re-run", json={})
    world.settle()
    world.carry_out(world.run(red.id + 1), {"t.py::b": flaky("t.py::b")})
    shop.post(f"/api/test-runs/{world.trigger(environment='staging').id}/cancel")
    return {case["name"]: case["id"] for case in shop.get("/api/v2/test-cases").json()["data"]["test_cases"]}


def data(shop: TestClient, path: str) -> Any:
    """``data`` of an answer."""
    answer = shop.get(f"/api/{path}")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"data"}
    return answer.json()["data"]


def test_runs_by_day(shop: TestClient, weeks: dict[str, str]) -> None:
    found = data(shop, "v2/analytics/test-runs")
    assert set(found) == {"daily", "summary"}
    assert found["daily"] == [
        {
            "date": "2023-11-14", "run_count": 1, "passed_runs": 0, "failed_runs": 1, "error_runs": 0,
            "cancelled_runs": 0, "rerun_count": 0, "total_tests": 3, "passed_tests": 1, "failed_tests": 1,
            "failed_tests_after_snooze": 1, "flaky_tests": 0,
        },
        {
            "date": "2023-11-16", "run_count": 2, "passed_runs": 1, "failed_runs": 0, "error_runs": 0,
            "cancelled_runs": 1, "rerun_count": 1, "total_tests": 3, "passed_tests": 3, "failed_tests": 0,
            "failed_tests_after_snooze": 0, "flaky_tests": 1,
        },
    ]  # fmt: skip
    assert found["summary"] == {
        "total_runs": 3, "passed_runs": 1, "failed_runs": 1, "error_runs": 0, "pass_rate": 33,
        "avg_tests_per_run": 2, "rerun_count": 1, "rerun_rate": 33,
    }  # fmt: skip
    assert data(shop, "v1/analytics/test-runs") == found
    assert [day["date"] for day in data(shop, "v2/analytics/test-runs?days=1")["daily"]] == ["2023-11-16"]
    window = "start_date=2023-11-14&end_date=2023-11-15&days=1"
    assert [day["date"] for day in data(shop, f"v2/analytics/test-runs?{window}")["daily"]] == ["2023-11-14"]
    assert data(shop, "v2/analytics/test-runs?environment_id=2")["summary"]["total_runs"] == 1
    assert data(shop, "v2/analytics/test-runs?branch=nothing")["summary"]["total_runs"] == 0


def test_nothing_yet(shop: TestClient) -> None:
    assert data(shop, "v2/analytics/test-runs")["summary"]["pass_rate"] == 0
    empty = {"latest_count": 0, "first_count": 0, "change": 0, "change_percent": 0}
    assert data(shop, "v2/analytics/test-count") == {"daily": [], "summary": empty}
    none = {"test_cases": [], "summary": {"total_test_cases": 0, "test_cases_with_history": 0}}
    assert data(shop, "v2/analytics/test-cases") == none


def test_tests_by_day(shop: TestClient, weeks: dict[str, str]) -> None:
    found = data(shop, "v2/analytics/test-count")
    assert found["daily"] == [{"date": "2023-11-14", "test_count": 2}, {"date": "2023-11-16", "test_count": 3}]
    assert found["summary"] == {"latest_count": 3, "first_count": 2, "change": 1, "change_percent": 50}
    assert data(shop, "v1/analytics/test-count") == found


def test_how_test_cases_fare(shop: TestClient, weeks: dict[str, str]) -> None:
    found = data(shop, "v2/analytics/test-cases")
    assert found["summary"] == {"total_test_cases": 3, "test_cases_with_history": 3}
    first = found["test_cases"][0]
    assert first == {
        "test_case_id": weeks["a"],
        "test_name": "a",
        "file_path": "t.py",
        "project_name": "",
        "tags": ["smoke"],
        "last_run_at": "2023-11-16T22:13:20.000Z",
        "metrics": {
            "total_runs": 2, "pass_count": 1, "fail_count": 1, "flaky_count": 0, "pass_rate": 50, "fail_rate": 50,
            "flaky_rate": 0,
        },
    }  # fmt: skip

    def names(query: str) -> list[str]:
        return [row["test_name"] for row in data(shop, f"v2/analytics/test-cases{query}")["test_cases"]]

    assert names("?order_by=flaky_rate")[0] == "b"
    assert names("?order_by=fail_rate&order=asc")[-1] == "a"
    assert names("?limit=1") == ["a"]
    assert names("?search=b") == ["b"]
    assert names("?tags=@smoke") == ["a"]
    assert names(f"?test_case_id={weeks['c']}") == ["c"]
    assert names("?test_case_id=unknown") == []


def test_inactive_test_cases_are_shown_on_request(shop: TestClient, world: World, weeks: dict[str, str]) -> None:
    world.plan(world.trigger(), TESTS[:1])
    for query, number in [("", 1), ("?is_active=true", 1), ("?is_active=false", 3)]:
        assert data(shop, f"v2/analytics/test-cases{query}")["summary"]["total_test_cases"] == number


def test_the_first_version_has_the_history_too(shop: TestClient, weeks: dict[str, str]) -> None:
    query = f"?test_case_id={weeks['b']}&search=nothing&tags=none"
    rows = data(shop, f"v1/analytics/test-cases{query}")["test_cases"]
    assert [row["test_name"] for row in rows] == ["b"]
    assert rows[0]["history"] == [
        {
            "timestamp": "2023-11-16T22:13:20.000Z", "status": "flaky", "test_run_id": "2", "environment_id": "1",
            "executed_at": "2023-11-16T22:13:20.000Z", "duration_total": 1000, "retries": 1,
        },
        {
            "timestamp": "2023-11-14T22:13:20.000Z", "status": "pass", "test_run_id": "1", "environment_id": "1",
            "executed_at": "2023-11-14T22:13:20.000Z", "duration_total": 500, "retries": 0,
        },
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["test-runs", "test-count", "test-cases"])
@pytest.mark.parametrize("prefix", ["", "/empirical"])
def test_paths_without_a_version_lead_to_the_first_one(
    shop: TestClient, weeks: dict[str, str], name: str, prefix: str
) -> None:
    answer = shop.get(f"{prefix}/api/analytics/{name}?days=90", follow_redirects=False)
    assert answer.status_code == 307
    assert shop.get(f"{prefix}/api/analytics/{name}?days=90").json()["data"] == data(
        shop, f"v1/analytics/{name}?days=90"
    )


def history(shop: TestClient, **body: Any) -> Any:
    """The answer to a batch."""
    answer = shop.post("/api/v2/analytics/test-case-history/batch", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_histories_of_several_test_cases(shop: TestClient, weeks: dict[str, str]) -> None:
    ids = [weeks["a"], weeks["b"], "unknown"]
    found = history(shop, test_case_ids=ids, limit_per_test_case=1, project_id=77)
    assert set(found) == {"data", "meta"}
    assert set(found["data"]) == {"history_by_test_case_id"}
    by_id = found["data"]["history_by_test_case_id"]
    assert list(by_id) == ids
    assert [[row["status"] for row in by_id[id]] for id in ids] == [["pass"], ["flaky"], []]
    assert by_id[weeks["a"]][0]["test_run_id"] == "2"
    assert found["meta"] == {
        "project_id": "1", "days": 30, "start_date": None, "end_date": None, "environment_id": None,
        "limit_per_test_case": 1, "truncated_test_case_ids": ids[:2],
    }  # fmt: skip
    whole = history(shop, test_case_ids=ids[:1])
    assert [row["status"] for row in whole["data"]["history_by_test_case_id"][ids[0]]] == ["pass", "fail"]
    assert whole["meta"]["truncated_test_case_ids"] == []
    early = history(shop, test_case_ids=ids[:1], start_date="2023-11-14", end_date="2023-11-14", environment_id="1")
    assert [row["status"] for row in early["data"]["history_by_test_case_id"][ids[0]]] == ["fail"]
    assert (early["meta"]["days"], early["meta"]["environment_id"]) == (None, "1")
