"""The application over the core, and who may call it."""

import warnings
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI

from resit.api.app import create_app
from resit.testing.factories import ADMIN
from resit.testing.world import World, database

with warnings.catch_warnings():
    # Starlette would like httpx2 under its test client; ours is httpx, which the client and uploads are built on.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application, made once for all tests: only the services behind it change."""
    engine = database(tmp_path_factory.mktemp("unused"))
    app = create_app(World(tmp_path_factory.getbasetemp(), engine).services())
    engine.dispose()
    return app


@pytest.fixture
def anyone(world: World, built: FastAPI) -> Iterator[TestClient]:
    """A client without a token."""
    built.state.services = world.services(max_artifact=1000)
    # faults of ours are seen as their answer, like a caller sees them
    with TestClient(built, base_url="http://resit.test", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def api(world: World, anyone: TestClient, token: Callable[..., str]) -> TestClient:
    """An admin's client, and a project ``shop``."""
    world.project()
    anyone.headers["Authorization"] = token(project=None, scopes=["admin"])
    return anyone


@pytest.fixture
def token(world: World) -> Callable[..., str]:
    """Makes tokens; gives the header's value."""

    def make(**asked: object) -> str:
        return "Bearer " + world.access.create_token(ADMIN, **{"project": "shop", **asked})[1]  # type: ignore[arg-type]

    return make
