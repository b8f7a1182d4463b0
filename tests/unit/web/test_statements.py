"""A page asks the database as often for many rows as for few."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from resit.domain.run import Run
from resit.domain.status import ResultStatus
from resit.testing.factories import ADMIN, result
from resit.testing.world import World

pytestmark = pytest.mark.sqlite
FEW, MANY = 2, 60
MOST = 40
"""Statements of a page, with those that say who looks and which projects there are."""


@pytest.fixture
def statements(world: World, admin: TestClient) -> Iterator[Callable[[str], int]]:
    """How many statements an address takes."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    def count(path: str) -> int:
        found.clear()
        answer = admin.get(path)
        assert answer.status_code == 200, answer.text[-300:]
        assert len(found) <= MOST, found
        return len(found)

    event.listen(world.engine, "before_cursor_execute", note)
    yield count
    event.remove(world.engine, "before_cursor_execute", note)


def executed(world: World, tests: int) -> Run:
    """A run that is over; every second of its tests failed, each in its own way."""
    names = [f"tests/test_{number // 10}.py::test_{number}" for number in range(tests)]
    said = {name: [result(name, status=ResultStatus.FAILED)] for name in names[::2]}
    return world.carry_out(world.planned(*names), said)


@pytest.mark.parametrize(
    "part", ["", "/tests", "/tests?state=red", "/failures", "/timeline", "/details", "/files", "/cells"]
)
def test_a_large_run_is_looked_at_as_a_small_one(world: World, statements: Callable[[str], int], part: str) -> None:
    few, many = (statements(f"/runs/{executed(world, tests).id}{part}") for tests in (FEW, MANY))
    assert many <= few + 1  # one more, where the page is not all there is


@pytest.mark.parametrize(
    "path", ["/runs", "/runs?project=shop", "/projects/shop/tests", "/projects/shop/snoozes", "/compare?a=1&b=2"]
)
def test_many_rows_are_looked_at_as_one(world: World, statements: Callable[[str], int], path: str) -> None:
    def more(tests: int) -> None:
        until = world.clock.now() + 86_400
        world.snoozes.add(ADMIN, "shop", tests=[executed(world, tests).uuid, "tests/test_0.py::test_0"], until=until)

    more(1)
    more(1)
    few = statements(path)
    for _ in range(10):
        more(FEW)
    assert statements(path) <= few + 1


def test_many_schedules_are_looked_at_as_one(
    world: World, statements: Callable[[str], int], admin: TestClient, send: Any
) -> None:
    fields = {"cron": "0 6 * * *", "zone": "UTC"}
    send(admin, "/projects/shop/schedules", name="n0", **fields)
    few = statements("/projects/shop/schedules")
    for number in range(1, 6):
        send(admin, "/projects/shop/schedules", name=f"n{number}", **fields)
    assert statements("/projects/shop/schedules") == few
