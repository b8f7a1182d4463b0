"""A collector, in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Collector:
    """A running receiver of traces."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "spans"
        self._refuse = folder / "spans.refuse"
        script = str(Path(__file__).with_name("receiver.py"))
        self._process = subprocess.Popen([sys.executable, script, str(self.file)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def refuse(self, status: int) -> None:
        """Answer with this status from now on; 0: as usual."""
        if status:
            self._refuse.write_text(str(status))
        else:
            self._refuse.unlink()

    def spans(self) -> list[dict[str, Any]]:
        """What it was sent."""
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """A receiver of traces."""
    made = Collector(tmp_path)
    try:
        yield made
    finally:
        made.close()
