"""Fast tests: chance is fixed by default, and no clock decides. ``HYPOTHESIS_PROFILE=search`` looks further."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from resit.testing.world import World, database, empty

pytest.register_assert_rewrite(
    *(f"resit.testing.{name}stores" for name in ("", "people_", "queue_", "shelf_")),
)
settings.register_profile("resit", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("search", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "resit"))


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database for all tests of this process; ``world`` begins with an empty one."""
    made = database(tmp_path_factory.mktemp("database"))
    yield made
    made.dispose()


@pytest.fixture
def world(tmp_path: Path, engine: Engine) -> World:
    """The core over an empty database."""
    empty(engine)
    return World(tmp_path, engine)
