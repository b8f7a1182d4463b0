"""The native API's look over many runs."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from resit.testing.factories import flaky, planned, result
from resit.testing.world import World

RUNS, TESTS = "/resit/v1/projects/shop/insights/runs", "/resit/v1/projects/shop/insights/tests"


def run(world: World, environment: str = "", **said: Any) -> None:
    made = world.trigger(environment=environment)
    world.carry_out(world.plan(made, [planned(name) for name in "abc"]), said)


@pytest.fixture
def past(api: TestClient, world: World) -> TestClient:
    world.environment()
    run(world)
    run(world, a=[result("a", "failed")], b=flaky("b"))
    world.clock.turn(86_400)
    run(world, "staging", a=[result("a", "skipped")], b=[result("b", "failed")])
    world.trigger()
    return api


def test_runs_by_day(past: TestClient) -> None:
    found = past.get(RUNS).json()
    assert (found["first_day"], found["last_day"]) == ("2023-10-17", "2023-11-15")
    first, second = found["days"]
    assert first == {
        "date": "2023-11-14", "runs": 2, "passed": 1, "failed": 1, "errored": 0, "cancelled": 0, "reruns": 0,
        "tests": 6, "tests_passed": 5, "tests_failed": 1, "tests_blocking": 1, "tests_flaky": 1,
    }  # fmt: skip
    assert (second["date"], second["runs"]) == ("2023-11-15", 1)
    assert (found["runs"], found["pass_rate"], found["rerun_rate"], found["tests_per_run"]) == (3, 33, 0, 3)


def test_a_narrower_look(past: TestClient) -> None:
    def runs(**params: Any) -> int:
        return past.get(RUNS, params=params).json()["runs"]

    assert runs(environment="staging") == 1
    assert runs(environment="default") == 2
    assert runs(days=1) == 1
    assert runs(start_date="2023-11-14", end_date="2023-11-14", days=1) == 2
    assert runs(branch="none") == 0


def test_test_cases_by_rate(past: TestClient) -> None:
    found = past.get(TESTS).json()
    assert found["total"] == 3
    assert [(item["test"], item["fail_rate"], item["flaky_rate"], item["pass_rate"]) for item in found["items"]] == [
        ("a", 50, 0, 50), ("b", 33, 33, 33), ("c", 0, 0, 100)
    ]  # fmt: skip
    assert found["items"][1]["last_run_at"].startswith("2023-11-15")
    found = past.get(TESTS, params={"order": "flaky_rate", "limit": 1}).json()
    assert [item["test"] for item in found["items"]] == ["b"]
    assert found["total"] == 3


@pytest.mark.parametrize(
    ("params", "status", "field"),
    [
        ({"days": 0}, 400, "days"), ({"days": 91}, 400, "days"), ({"days": "x"}, 400, "days"),
        ({"start_date": "2023-11-14"}, 400, "end_date"), ({"start_date": "x", "end_date": "y"}, 400, "start_date"),
        ({"start_date": "2023-11-15", "end_date": "2023-11-14"}, 400, "end_date"),
        ({"environment": "none"}, 404, "environment"), ({"environment": "%\\0"}, 404, "environment"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [RUNS, TESTS])
def test_what_is_refused(past: TestClient, path: str, params: dict[str, Any], status: int, field: str) -> None:
    answer = past.get(path, params=params)
    assert answer.status_code == status, answer.text
    assert field in answer.text


def test_the_extremes_of_the_calendar(past: TestClient) -> None:
    params = {"start_date": "0001-01-01", "end_date": "9999-12-31"}
    assert past.get(RUNS, params=params).json()["runs"] == 3
    assert past.get(TESTS, params={"order": "none"}).status_code == 400


def test_who_may_look(past: TestClient, world: World, token: Any) -> None:
    world.project("other")
    for path, scope in ((RUNS, "runs:read"), (TESTS, "results:read")):
        for scopes, status in (([scope], 200), (["runs:write"], 403)):
            headers = {"Authorization": token(scopes=scopes)}
            assert past.get(path, headers=headers).status_code == status
        headers = {"Authorization": token(project="other", scopes=[scope])}
        assert past.get(path, headers=headers).status_code == 404
