"""A client with a key of the project ``shop``, runs with every kind of outcome, and what a refusal looks like."""

from collections.abc import Callable
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient

from resit.domain.ids import case_uuid
from resit.domain.run import Run
from resit.domain.test_plan import TestPlan
from resit.testing.factories import ADMIN, did_not_run, flaky, not_collected, planned, result
from resit.testing.world import World

Refused = Callable[..., str]


@pytest.fixture
def shop(world: World, anyone: TestClient, token: Callable[..., str]) -> TestClient:
    """A client whose key is bound to the project ``shop``."""
    world.project()
    anyone.headers["Authorization"] = token()
    return anyone


@pytest.fixture
def project_uuid(world: World, shop: TestClient) -> str:
    """The UUID of ``shop``."""
    del shop
    with world.store.read() as tx:
        found = tx.projects.by_slug("shop")
    assert found is not None
    return found.uuid


@pytest.fixture
def legacy(project_uuid: str) -> str:
    """The older API's path of ``shop``."""
    return f"/api/projects/{project_uuid}"


@pytest.fixture
def refused() -> Refused:
    """Checks a refusal's status and form; gives back its words."""

    def check(answer: Response, status: int, *words: str) -> str:
        assert answer.status_code == status, answer.text
        document = answer.json()
        older = answer.request.url.path.lstrip("/").startswith("api/projects")
        assert set(document) == ({"message", "statusText"} if older else {"message"})
        assert all(isinstance(words, str) and words for words in document.values())
        message: str = document["message"]
        assert all(word in message for word in words), message
        return message

    return check


@pytest.fixture
def mixed(world: World, shop: TestClient) -> Run:
    """A run with every outcome that a finished run can have but *lost*, one test each; see ``OUTCOMES``."""
    del shop
    run = world.plan(world.trigger(), [planned(f"t.py::{name}") for name in "pfseikgd"])
    said = {
        "t.py::f": [result("t.py::f", "failed")],
        "t.py::s": [result("t.py::s", "skipped", annotations=(("skip", "not today"),))],
        "t.py::e": [result("t.py::e", "errored")],
        "t.py::i": [result("t.py::i", "interrupted")],
        "t.py::k": flaky("t.py::k"),
        "t.py::g": [not_collected("t.py::g")],
        "t.py::d": [did_not_run("t.py::d")],
    }
    return world.carry_out(run, said)


@pytest.fixture
def case_of(project_uuid: str) -> Callable[[str], str]:
    """The UUID of a test case of ``shop``."""
    return lambda name: case_uuid(project_uuid, name)


@pytest.fixture
def plan_of(world: World, shop: TestClient) -> Callable[..., TestPlan]:
    """Makes test plans of ``shop``."""
    del shop

    def make(name: str = "Smoke", **members: Any) -> TestPlan:
        return world.test_plans.add(ADMIN, "shop", name=name, **members)

    return make
