"""Servers and suites for the tests of this folder."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from black_box import Resit, Suites, free_port


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
