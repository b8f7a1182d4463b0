"""A request asks the database as often for many rows as for few: nothing is asked once a run, a test or a result."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from resit.domain.run import Run
from resit.domain.status import ResultStatus
from resit.testing.factories import result
from resit.testing.world import World

pytestmark = pytest.mark.sqlite
FEW, MANY, RUNS = 2, 120, 12
MOST = 30
"""Statements of a request, with those that say who asks."""


@pytest.fixture
def asked(world: World, api: TestClient) -> Iterator[list[str]]:
    """The statements since it was last cleared."""
    found: list[str] = []
    api.get("/resit/v1/runs")  # the first use of a token in a minute is noted

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(world.engine, "before_cursor_execute", note)
    yield found
    event.remove(world.engine, "before_cursor_execute", note)


def executed(world: World, tests: int) -> Run:
    """A run that is over; every second of its tests failed."""
    names = [f"tests/test_{number // 10}.py::test_{number}" for number in range(tests)]
    said = {name: [result(name, status=ResultStatus.FAILED)] for name in names[::2]}
    return world.carry_out(world.planned(*names), said)


@contextmanager
def counted(asked: list[str]) -> Iterator[list[int]]:
    """Puts the number of statements into the list."""
    found: list[int] = []
    asked.clear()
    yield found
    found.append(len(asked))


OF_A_RUN = (
    "/resit/v1/runs/{run}",
    "/resit/v1/runs/{run}/tests?limit=100",
    "/resit/v1/runs/{run}/tests?outcome=failed&limit=100",
    "/resit/v1/runs/{run}/artifacts",
    "/resit/v1/runs/{run}/logs",
    "/resit/v1/runs/{run}/lineage",
    "/empirical/api/test-runs/{run}",
    "/api/v1/runs/{run}",
    "/api/v1/runs/{run}/summary",
    "/api/v1/runs/{run}/samples",
)
OF_MANY_RUNS = (
    "/resit/v1/runs?limit={limit}",
    "/resit/v1/runs?project=shop&verdict=failed&limit={limit}",
    "/resit/v1/projects/shop/test-cases?limit={limit}",
    "/api/v1/runs?limit={limit}",
)


@pytest.mark.parametrize("path", OF_A_RUN)
def test_a_large_run_is_asked_for_as_a_small_one(world: World, api: TestClient, asked: list[str], path: str) -> None:
    numbers: list[int] = []
    for tests in (FEW, MANY):
        run = executed(world, tests)
        with counted(asked) as found:
            answer = api.get(path.format(run=run.id))
        assert answer.status_code == 200, answer.text
        numbers += found
    assert numbers[1] <= min(numbers[0] + 1, MOST), asked  # one more, where the page is not all there is


@pytest.mark.parametrize("path", OF_MANY_RUNS)
def test_many_runs_are_asked_for_as_one(world: World, api: TestClient, asked: list[str], path: str) -> None:
    for _ in range(RUNS):
        executed(world, FEW)
    executed(world, MANY)
    numbers: list[int] = []
    for limit in (1, RUNS):
        with counted(asked) as found:
            answer = api.get(path.format(limit=limit))
        assert answer.status_code == 200, answer.text
        numbers += found
    assert numbers[0] == numbers[1] <= MOST, asked


@pytest.mark.parametrize("selection", ["failed", "all"])
def test_a_large_run_is_asked_for_again_as_a_small_one(
    world: World, api: TestClient, asked: list[str], selection: str
) -> None:
    """The request, and the plan that is made afterwards."""
    numbers: list[tuple[int, int]] = []
    for tests in (FEW, MANY):
        run = executed(world, tests)
        with counted(asked) as request:
            answer = api.post(f"/resit/v1/runs/{run.id}/rerun", json={"selection": selection})
        assert answer.status_code == 201, answer.text
        with counted(asked) as plan:
            world.planner.expand(answer.json()["id"])
        numbers.append((request[0], plan[0]))
        world.settle()
    assert numbers[0] == numbers[1]
    assert max(numbers[1]) <= MOST, asked
