"""A collector, in a process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resit.testing.collector import Collector


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """A receiver of traces."""
    made = Collector(tmp_path)
    try:
        yield made
    finally:
        made.close()
