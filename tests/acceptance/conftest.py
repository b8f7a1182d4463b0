"""Servers and suites for the tests of this folder. ``RESIT_TEST_DATABASE=postgresql`` gives the servers PostgreSQL."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from black_box import Resit, Suites, free_port

from resit.testing.postgres import PostgresServer

# Each process of a suite pays for every plugin of its environment: 3 s in ours, 0.3 s in this one.
BARE = Path(__file__).parents[2] / ".venv-suites" / "bin"
os.environ["PATH"] = f"{BARE}:{os.environ['PATH']}"


@pytest.fixture(scope="session", autouse=True)
def _databases() -> Iterator[None]:
    """A database for every server, where it is not to be in its data folder."""
    if os.environ.get("RESIT_TEST_DATABASE") != "postgresql":
        yield
        return
    with PostgresServer(careful=True) as server:
        numbers = count(1)
        Resit.new_database = staticmethod(lambda: server.create(f"resit{next(numbers)}"))
        yield


@pytest.fixture(scope="session")
def resit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resit]:
    """The server that most tests share."""
    server = Resit(tmp_path_factory.mktemp("shared"))
    try:
        server.start()
        yield server
        assert "Traceback" not in server.log(), server.log()
    finally:
        server.close()


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Resit]]:
    """Servers that a test has for itself, because it kills them."""
    made: list[Resit] = []

    def make(**options: Any) -> Resit:
        made.append(Resit(tmp_path_factory.mktemp("own"), **options))
        made[-1].start()
        return made[-1]

    try:
        yield make
    finally:
        for server in made:
            server.close()


@pytest.fixture
def suite(tmp_path: Path) -> Suites:
    """Folders of tests."""
    return Suites(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file to which tests append."""
    return tmp_path / "log"


@pytest.fixture
def port() -> int:
    """A free port."""
    return free_port()
