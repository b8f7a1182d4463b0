"""A client with a key of the project ``shop``, as the vendor's clients have one, and what a refusal looks like."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient

from resit.testing.factories import planned, result
from resit.testing.world import World

Refused = Callable[..., str]


@pytest.fixture
def shop(world: World, anyone: TestClient, token: Callable[..., str]) -> TestClient:
    """A client whose key is bound to the project ``shop``."""
    world.project()
    anyone.headers["Authorization"] = token()
    return anyone


@pytest.fixture
def refused() -> Refused:
    """Checks a refusal's status and form; gives back its words."""

    def check(answer: Response, status: int, *words: str) -> str:
        assert answer.status_code == status, answer.text
        document = answer.json()
        assert set(document) == {"data", "error"}
        assert document["data"] is None
        assert set(document["error"]) == {"message"}
        message: str = document["error"]["message"]
        assert message
        assert all(word in message for word in words), message
        return message

    return check


@pytest.fixture
def red(world: World, shop: TestClient) -> Any:
    """A run that ended with one failure among three tests, by key: ``red.key("a")``."""
    del shop
    tests = [planned(f"tests/cart.spec.ts::{name}") for name in ("a", "b", "c")]
    run = world.plan(world.trigger(), tests)
    return world.carry_out(run, {tests[0].id: [result(tests[0].id, "failed")]})
