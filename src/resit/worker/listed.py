"""What a listing of tests depends on, as far as it can be known: a run with the same key need not list them again."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resit.worker.workspace import Workspace

MAX_FILES = 20_000
"""A folder with more files is listed again each time: to look at all of them would take longer."""
MAX_SECONDS = 1.0
_PASSED_OVER = frozenset(
    (
        *(".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", ".tox", ".nox", ".idea", ".vscode"),
        *(".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "htmlcov"),
        *("test-results", "playwright-report", "blob-report", ".last-run.json", ".coverage"),
    )
)
"""What tests and tools leave behind, and what setups install: the key of a setup stands for it."""
_OF_THE_RUN = ("TRACEPARENT",)
"""Variables that differ from run to run, and say nothing that a listing could depend on."""


def key(spec: Mapping[str, Any], workspace: Workspace, framework: str) -> str:
    """A hash of the suite's source and of how it is listed; empty where the source can't be looked through.

    The source is its commit, and of a plain folder the names, sizes and times of its files. ``framework``: the
    executor's name. ``spec`` is the run's specification; secrets among its variables are part of the hash alone.
    """
    source = spec["source"]
    if source["url"].startswith("/"):
        content = _folder(workspace.root)
        if content is None:
            return ""
    else:
        content = workspace.commit
    variables = {name: value for name, value in spec["variables"].items() if name not in _OF_THE_RUN}
    where = [str(source.get(name, "")) for name in ("url", "workdir", "setup")]
    about = [framework, content, *where, spec["config"], variables]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode(errors="surrogateescape")).hexdigest()


def _folder(root: Path) -> str | None:
    found = hashlib.sha256()
    until = time.monotonic() + MAX_SECONDS
    try:
        for number, (path, stat) in enumerate(_files(str(root))):
            if number >= MAX_FILES or time.monotonic() > until:
                return None
            # Not the time of the last change alone: tools that copy keep it, and a file system may count in seconds.
            about = (path, stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            found.update(repr(about).encode(errors="surrogateescape"))
    except OSError:
        return None
    return found.hexdigest()


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        known = sorted((entry for entry in entries if entry.name not in _PASSED_OVER), key=lambda entry: entry.name)
    for entry in known:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            yield entry.path, entry.stat(follow_symlinks=False)
            if entry.is_symlink() and entry.is_file():
                yield entry.path, entry.stat()
