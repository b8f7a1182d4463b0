"""The data folder of the previous release, its server killed in mid-run, is taken over with all that was going on.

``tests/data/release-0.1.0.tar.gz`` was left by that release: a finished run and a re-run of it, a run of which three of
eight tests were through, and two that waited; then its server and its worker were killed.
"""

import json
import sqlite3
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from black_box import Resit, lines

RELEASE = Path(__file__).parents[1] / "data" / "release-0.1.0.tar.gz"
WAS = "/tmp/resit-release"
"""Where it stood."""


@pytest.fixture
def taken_over(tmp_path: Path) -> Resit:
    with tarfile.open(RELEASE) as archive:
        archive.extractall(tmp_path, filter="data")
    # The folder has moved, and with it the suite and the log of its tests.
    database = sqlite3.connect(tmp_path / "data" / "resit.db")
    database.execute("UPDATE projects SET source = replace(source, ?, ?)", (WAS, str(tmp_path)))
    database.execute("UPDATE runs SET variables = replace(variables, ?, ?)", (WAS, str(tmp_path)))
    # It was killed a moment ago, not when this archive was made: runs have a deadline.
    database.execute("UPDATE runs SET deadline = deadline + ? - (SELECT max(created_at) FROM runs)", (time.time(),))
    database.commit()
    database.close()
    return Resit(tmp_path)


def older(now: Any, was: Any, where: str = "") -> list[str]:
    """What an older release said and this one says differently; what is new is no difference."""
    if isinstance(was, dict):
        return [words for name in was for words in older(now.get(name), was[name], f"{where}.{name}")]
    if isinstance(was, list) and isinstance(now, list) and len(now) == len(was):
        return [words for n, pair in enumerate(zip(now, was, strict=True)) for words in older(*pair, f"{where}[{n}]")]
    return [] if now == was or _address(was) else [f"{where}: {now!r} was {was!r}"]


def _address(value: object) -> bool:
    """The server has another port now."""
    return isinstance(value, str) and value.startswith("http://127.0.0.1:")


def test_the_previous_release_is_taken_over_with_runs_in_flight(taken_over: Resit, tmp_path: Path) -> None:
    resit = taken_over
    expected = json.loads((tmp_path / "expected.json").read_text())
    (tmp_path / "go").touch()
    resit.start()
    try:
        # Three tests of the run in flight were through: they count, and only the rest is executed.
        flight = resit.end(expected["flight"])
        assert (flight["verdict"], flight["counts"]["passed"], flight["counts"]["failed"]) == ("failed", 7, 1)
        executed = lines(tmp_path / "log")
        assert [executed.count(str(n)) for n in range(8)] == [1, 1, 1, 2, 1, 1, 1, 1]
        for run in expected["queued"]:
            assert resit.end(run)["counts"]["passed"] == 7
        for path, was in expected["read"].items():
            assert older(resit.get(path, limit=100) if "tests" in path else resit.get(path), was, path) == []
        again = resit.end(resit.rerun(1, "failed"))
        assert again["counts"]["total"] == 1
        assert "Traceback" not in resit.log(), resit.log()
    finally:
        resit.close()
