"""A client of this API whose every answer is held against the contract's OpenAPI file."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from httpx import Response
from starlette.testclient import TestClient

from resit.domain.access import Role, Scope
from resit.testing.factories import ADMIN, result
from resit.testing.world import World

CONTRACT = Path(__file__).parents[3] / "contracts" / "ccextractor-openapi.yaml"
V1 = "/api/v1"


@cache
def contract() -> dict[str, Any]:
    """The contract as it is written."""
    return yaml.safe_load(CONTRACT.read_text())


@cache
def operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """The contract's paths as patterns; those without parameters first."""
    paths = sorted(contract()["paths"].items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), item) for path, item in paths]


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        for part in node["$ref"][2:].split("/"):
            node = contract() if part == "components" and "$ref" in node else node
            node = node[part]
    return node


@cache
def validator(schema: str) -> Any:
    """What checks documents against a schema of the contract."""
    return jsonschema_rs.validator_for({**json.loads(schema), "components": contract()["components"]})


def conforms(answer: Response) -> None:
    """The answer is one that the contract knows; paths and methods that it does not know are none of it."""
    path = answer.request.url.path.removeprefix(V1)
    found = next((item for pattern, item in operations() if pattern.fullmatch(path)), None)
    operation = (found or {}).get(answer.request.method.lower())
    if operation is None:
        assert answer.status_code in (404, 405), answer.text
        return
    said = operation["responses"].get(str(answer.status_code)) or operation["responses"]["default"]
    if answer.status_code not in (204, 303):
        content = _resolved(said)["content"]["application/json"]["schema"]
        validator(json.dumps(content)).validate(answer.json())


class Client:
    """Asks as one bearer."""

    def __init__(self, http: TestClient, bearer: str) -> None:
        self.http, self.bearer = http, bearer

    def ask(self, method: str, path: str, **more: Any) -> Response:
        """One request. ``path`` is within the API."""
        headers = {"Authorization": self.bearer, **more.pop("headers", {})}
        answer = self.http.request(method, V1 + path, headers=headers, follow_redirects=False, **more)
        conforms(answer)
        return answer

    def get(self, path: str, expect: int = 200, **query: Any) -> Any:
        """The document at a path."""
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, expect: int = 202, **headers: str) -> Any:
        """What came of a request."""
        words = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.ask("POST", path, json=body, headers=words)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    def walk(self, path: str, limit: int, **query: Any) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        offset: int | None = 0
        while offset is not None:
            document = self.get(path, limit=limit, offset=offset, **query)
            pagination = document["pagination"]
            assert len(document["data"]) <= limit
            assert (pagination["limit"], pagination["offset"]) == (limit, offset)
            assert isinstance(document["meta"], dict)
            found += document["data"]
            offset = pagination["next_offset"]
        assert len(found) == pagination["total"]
        return found


@pytest.fixture
def limits() -> dict[str, int]:
    """The limits of the server."""
    return {"ccextractor_reads": 0, "ccextractor_writes": 0}


@pytest.fixture
def http(world: World, anyone: TestClient, limits: dict[str, int]) -> TestClient:
    """A client without a token, and a project ``shop``."""
    anyone.app.state.services = world.services(**limits)  # type: ignore[attr-defined]
    world.project()
    return anyone


@pytest.fixture
def bearing(http: TestClient) -> Callable[[str], Client]:
    """Clients by what they send as authorization."""
    return lambda bearer: Client(http, bearer)


@pytest.fixture
def cc(world: World, bearing: Callable[[str], Client], token: Callable[..., str]) -> Client:
    """The project's client, without named scopes."""
    return bearing(token(name="ci"))


@pytest.fixture
def admin(bearing: Callable[[str], Client], token: Callable[..., str]) -> Client:
    """The operator's client."""
    return bearing(token(project=None, scopes=["admin"]))


@pytest.fixture
def person(world: World, bearing: Callable[[str], Client]) -> Callable[..., Client]:
    """Clients of people, by role and scopes."""

    def make(role: Role, *scopes: Scope, project: str | None = "shop") -> Client:
        email = f"{role.value}-{len(world.people.all(ADMIN))}@example.org"
        world.people.add(ADMIN, email=email, name="P", role=role.value, password="password 1", project=project)
        secret = world.people.sign_in(
            email, "password 1", token_name="t", scopes=[scope.value for scope in scopes], expires_in_days=1
        )[1]
        return bearing(f"Bearer {secret}")

    return make


TESTS = ("a/one.py::good", "a/one.py::bad", "b/two.py::broken", "b/two.py::left", "b/two.py::shaky")


@pytest.fixture
def red(world: World, http: TestClient) -> int:
    """A run with a test of each kind: 1 good, 2 bad, 3 broken, 4 left out, 5 flaky; its number."""
    run = world.planned(*TESTS)
    bad, broken, left, shaky = TESTS[1:]
    world.carry_out(
        run,
        {
            bad: [result(bad, "failed")],
            broken: [result(broken, "errored")],
            left: [result(left, "skipped")],
            shaky: [result(shaky, "failed", final=False), result(shaky, retry=1)],
        },
    )
    return run.id


@pytest.fixture
def green(world: World, http: TestClient) -> int:
    """A run whose tests pass; its number."""
    return world.carry_out(world.planned(*TESTS)).id
