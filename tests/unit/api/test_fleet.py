"""Pools, workers and their credentials over HTTP; what the rights of a worker open, and what they don't."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from resit import __version__
from resit.domain.fleet import WorkersAddress
from resit.testing.factories import uuid_of
from resit.testing.world import World

V1 = "/resit/v1"
ADDRESS = WorkersAddress(brokers=("tls://ci:4222",), server="https://ci", ca="PEM")


def is_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The document of a refusal."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


@pytest.fixture
def listening(world: World) -> World:
    """A world whose server listens for workers."""
    world.fleet.address = ADDRESS
    return world


def test_a_credential_has_all_that_a_worker_needs_and_tells_its_secret_once(api: TestClient, listening: World) -> None:
    made = api.post(f"{V1}/worker-credentials", json={"pool": "default", "name": "rack", "expires_in_days": 2})
    assert made.status_code == 201
    document = made.json()
    assert {name: document[name] for name in ("id", "name", "pool", "brokers", "server", "ca", "revoked_at")} == {
        "id": 1,
        "name": "rack",
        "pool": "default",
        "brokers": ["tls://ci:4222"],
        "server": "https://ci",
        "ca": "PEM",
        "revoked_at": None,
    }
    assert listening.fleet.admit(document["secret"])
    listed = api.get(f"{V1}/worker-credentials")
    assert document["secret"] not in listed.text
    assert [item["id"] for item in listed.json()["items"]] == [1]
    told = listening.signals.told
    for _ in range(2):
        assert api.delete(f"{V1}/worker-credentials/1").status_code == 204
    assert listening.signals.told == told + 2
    assert api.get(f"{V1}/worker-credentials").json()["items"][0]["revoked_at"]
    assert listening.fleet.admit(document["secret"]) is None


def test_a_server_that_nobody_reaches_says_how_to_change_that(api: TestClient) -> None:
    said = is_problem(api.post(f"{V1}/worker-credentials", json={"pool": "default"}), 409, "conflict")
    assert "resit serve --workers-listen HOST:PORT" in said["detail"]


def test_pools(api: TestClient, world: World) -> None:
    made = api.post(f"{V1}/pools", json={"name": "linux", "labels": {"os": "linux"}, "description": "d"})
    assert (made.status_code, made.json()["labels"]) == (201, {"os": "linux"})
    is_problem(api.post(f"{V1}/pools", json={"name": "linux"}), 409, "already_exists")
    changed = api.patch(f"{V1}/pools/linux", json={"labels": {"os": None, "arch": "arm64"}}).json()
    assert (changed["labels"], changed["description"]) == ({"arch": "arm64"}, "d")
    world.work.alive("linux", {"worker": "w1", "slots": 3})
    found = api.get(f"{V1}/pools").json()["items"]
    assert [(pool["name"], pool["workers"], pool["slots"]) for pool in found] == [("default", 0, 0), ("linux", 1, 3)]
    environment = api.post(f"{V1}/projects/shop/environments", json={"slug": "x", "pool": "arch=arm64"})
    assert environment.json()["pool"] == "arch=arm64"
    is_problem(api.patch(f"{V1}/pools/nowhere", json={}), 404, "not_found")
    assert api.delete(f"{V1}/pools/linux").status_code == 204
    changed = api.patch(f"{V1}/projects/shop/environments/x", json={"pool": "default"})
    assert changed.json()["pool"] == "default"


def test_workers(api: TestClient, world: World) -> None:
    run = world.planned("a")
    about: dict[str, Any] = {"slots": 2, "holding": [[run.id, 1, 2, 5]], "up": 60}
    world.work.alive("default", {"worker": "w1", "version": __version__, **about})
    world.clock.turn(31)
    world.work.alive("default", {"worker": "w2", "version": "0.0.9", "draining": True, **about})
    old, new = api.get(f"{V1}/workers").json()["items"]
    assert [(w["name"], w["alive"], w["same_version"], w["draining"]) for w in (old, new)] == [
        ("w1", False, True, False),
        ("w2", True, False, True),
    ]
    (held,) = new["holding"]
    assert (held["run"], held["shard"], held["batch"], new["used"], new["slots"]) == (run.id, 1, 2, 1, 2)
    assert held["since"] < new["seen_at"]


@pytest.mark.parametrize("path", ["/v1/trigger", "/api/test-runs", "/v1/run", "/api/v1/runs"])
def test_nor_of_the_other_apis(anyone: TestClient, listening: World, path: str) -> None:
    listening.project()
    right = {"Authorization": f"Bearer {listening.work.upload_token(listening.planned('a'), 'w1')}"}
    assert {anyone.request(method, path, json={}, headers=right).status_code for method in ("GET", "POST", "PUT")} <= {
        401,
        403,
        404,
        405,
    }


def test_an_upload_token_is_for_its_run_alone(anyone: TestClient, world: World, token: Callable[..., str]) -> None:
    world.project()
    mine, theirs = world.planned("a"), world.planned("a")
    id, other = uuid_of("mine"), uuid_of("theirs")
    world.work.uploaded(theirs.id, other, 3)

    def put(artifact: str, secret: str) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return anyone.put(f"{V1}/uploads/{artifact}", content=b"x", headers=headers)

    right = world.work.upload_token(mine, "w1")
    assert put(id, right).status_code == 204
    is_problem(put(other, right), 404, "not_found")
    is_problem(put(id, token(scopes=["admin"]).removeprefix("Bearer ")), 401, "unauthenticated")
    folder = world.folder / "artifacts"
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == [f"{mine.id}/{id}"]
    world.carry_out(mine)
    world.clock.turn(3601)
    is_problem(put(id, right), 409, "conflict")
