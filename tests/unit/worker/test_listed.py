"""The key of a listing: the same while nothing changed that it depends on, another one else."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resit.worker import listed
from resit.worker.workspace import Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of tests."""
    folder = tmp_path / "suite"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "test_a.py").write_text("def test_a(): pass\n")
    (folder / "node_modules").mkdir()
    return folder


def spec(root: Path | str, **variables: str) -> dict[str, Any]:
    source = {"url": str(root), "branch": "", "commit": "", "workdir": "", "setup": ""}
    return {"source": source, "config": "", "variables": {"TRACEPARENT": "00-1", **variables}}


def key(root: Path, **variables: str) -> str:
    return listed.key(spec(root, **variables), Workspace(root, root, ""), "pytest")


def touched(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is written": lambda root: (root / "tests" / "test_a.py").write_text("def test_b(): pass\n"),
    "a file is touched": lambda root: touched(root / "tests" / "test_a.py"),
    "a file is new": lambda root: (root / "tests" / "test_b.py").touch(),
    "a file is gone": lambda root: (root / "tests" / "test_a.py").unlink(),
    "a file has another name": lambda root: (root / "tests" / "test_a.py").rename(root / "tests" / "test_c.py"),
    "a link": lambda root: (root / "link").symlink_to("nowhere"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_source_has_another_key(root: Path, change: str) -> None:
    before = key(root)
    assert before == key(root)
    CHANGES[change](root)
    assert key(root) != before


def test_what_lies_behind_a_link_is_looked_at(root: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.py"
    real.write_text("1")
    (root / "test_real.py").symlink_to(real)
    before = key(root)
    touched(real)
    assert key(root) != before


def test_what_tests_and_tools_leave_behind_is_passed_over(root: Path) -> None:
    before = key(root)
    for name in ("node_modules/a.js", "tests/__pycache__/x.pyc", ".pytest_cache/y", "test-results/z.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    assert key(root) == before


def test_variables_and_settings_count_but_not_those_of_the_run(root: Path) -> None:
    before = key(root)
    assert key(root, TRACEPARENT="00-2") == before
    assert key(root, DEBUG="1") != before
    assert listed.key(spec(root) | {"config": "other.ini"}, Workspace(root, root, ""), "pytest") != before
    assert listed.key(spec(root), Workspace(root, root, ""), "playwright") != before


def test_a_repository_is_known_by_its_commit(root: Path) -> None:
    def of(commit: str) -> str:
        return listed.key(spec("https://git.example/shop"), Workspace(root, root, commit), "pytest")

    before = of("c0ffee")
    touched(root / "tests" / "test_a.py")
    assert of("c0ffee") == before
    assert of("beef") != before


def test_a_folder_that_is_too_large_is_listed_each_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "more").touch()
    monkeypatch.setattr(listed, "MAX_FILES", 1)
    assert key(root) == ""
    monkeypatch.undo()
    assert key(root / "gone") == ""
