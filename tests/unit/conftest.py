"""Fast tests: chance is fixed by default, and no clock decides. ``HYPOTHESIS_PROFILE=search`` looks further.

Tests that use a database use SQLite, those of ``storage`` and some of ``services`` PostgreSQL as well;
``RESIT_TEST_DATABASE=postgresql`` has all of them use PostgreSQL alone. The tests bring its server.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from resit.testing.postgres import PostgresServer
from resit.testing.world import World, database, empty, postgresql

pytest.register_assert_rewrite(*(f"resit.testing.{name}stores" for name in ("", "people_", "queue_", "shelf_")))
settings.register_profile("resit", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "resit"))

DATABASE = os.environ.get("RESIT_TEST_DATABASE", "sqlite")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of modules that say ``BOTH_DATABASES`` run on both."""
    if "engine" in metafunc.fixturenames and getattr(metafunc.module, "BOTH_DATABASES", False):
        both = ["sqlite", "postgresql"] if DATABASE == "sqlite" else [DATABASE]
        metafunc.parametrize("engine", both, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that are about SQLite alone know no other database."""
    for item in items:
        name = (
            item.callspec.params.get("engine", DATABASE)
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else DATABASE
        )
        if name != "sqlite" and item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="about SQLite alone"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session; it begins when the first test wants it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def databases() -> Iterator[dict[str, Engine]]:
    """The databases that were made for this session, by name."""
    found: dict[str, Engine] = {}
    yield found
    for engine in found.values():
        engine.dispose()


@pytest.fixture(scope="session")
def engine(
    request: pytest.FixtureRequest, databases: dict[str, Engine], tmp_path_factory: pytest.TempPathFactory
) -> Engine:
    """A database for all tests of this process; ``world`` begins with an empty one."""
    name: str = getattr(request, "param", DATABASE)
    if name not in databases:
        if name == "postgresql":
            databases[name] = postgresql(request.getfixturevalue("postgres"), "resit")
        else:
            databases[name] = database(tmp_path_factory.mktemp("database"))
    return databases[name]


@pytest.fixture
def world(tmp_path: Path, engine: Engine) -> World:
    """The core over an empty database."""
    empty(engine)
    return World(tmp_path, engine)
