"""The page over the core, and browsers of people with different rights."""

import re
import warnings
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI

from resit.api.app import create_app
from resit.domain.access import Role
from resit.testing.factories import ADMIN
from resit.testing.world import World, database
from resit.web.app import PATHS, create_web
from resit.web.door import COOKIE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[FastAPI, FastAPI]:
    """The application and the page in it, made once for all tests."""
    engine = database(tmp_path_factory.mktemp("unused"))
    services = World(tmp_path_factory.getbasetemp(), engine).services()
    page = create_web(services)
    app = create_app(services, None, page, PATHS)
    engine.dispose()
    return app, page


@pytest.fixture
def stranger(world: World, built: tuple[FastAPI, FastAPI]) -> Iterator[TestClient]:
    """A browser that has not signed in, and a project ``shop``."""
    app, page = built
    app.state.services = page.state.services = world.services()
    world.project()
    with TestClient(app, base_url="http://resit.test", raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def signed_in(world: World, stranger: TestClient) -> Callable[..., TestClient]:
    """Signs the browser in as somebody with a role."""

    def sign_in(role: Role = Role.ADMIN, project: str | None = None) -> TestClient:
        email = f"{role.value}-{project or 'all'}@example.org"
        world.people.add(ADMIN, email=email, name="Ann", role=role.value, password=PASSWORD, project=project)
        stranger.cookies.clear()
        stranger.cookies.set(COOKIE, world.sessions.by_password(email, PASSWORD), domain="resit.test")
        return stranger

    return sign_in


@pytest.fixture
def admin(signed_in: Callable[..., TestClient]) -> TestClient:
    """An administrator's browser."""
    return signed_in()


def word(client: TestClient) -> str:
    """What each form of the page carries."""
    found = re.search(r'data-form="(\w+)"', client.get("/runs").text)
    assert found
    return found[1]


@pytest.fixture
def send() -> Callable[..., object]:
    """Sends a form of the page."""

    def post(client: TestClient, path: str, **fields: object) -> object:
        return client.post(path, data={"form": word(client), **fields})

    return post
