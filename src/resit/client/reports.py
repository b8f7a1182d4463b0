"""Reports of runs over the native API: a part of the client."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

PIECE = 256 * 1024


class ReportCalls:
    """See ``Client.reports``."""

    def __init__(
        self,
        opened: Callable[..., AbstractContextManager[httpx.Response]],
        items: Callable[..., Iterator[dict[str, Any]]],
        call: Callable[..., Any],
    ) -> None:
        self._opened, self._items, self._call = opened, items, call

    def junit(self, run: str, folder: str = "") -> Iterator[str]:
        """The run as a JUnit file, piece by piece. ``folder``: attachments are named as files of it."""
        params = {"attachments": folder} if folder else {}
        with self._opened(f"/runs/{quote(run, safe='')}/junit.xml", params=params) as answer:
            yield from answer.iter_text(PIECE)

    def html(self, run: str) -> dict[str, Any]:
        """How far the HTML report of a run got, and its address."""
        return self._call("GET", f"/runs/{quote(run, safe='')}/report")

    def save_html(self, run: str, to: Path) -> int:
        """Download the HTML report of a run with all its files, as a zip; returns its size in bytes."""
        return self._save(f"/runs/{quote(run, safe='')}/report.zip", to)

    def artifacts(self, run: str) -> Iterator[dict[str, Any]]:
        """The files that results of a run refer to; one with ``stored`` false is not there (yet)."""
        return self._items(f"/runs/{quote(run, safe='')}/artifacts", {})

    def save_artifact(self, id: str, to: Path) -> int:
        """Download a file of a result; returns its size in bytes."""
        return self._save(f"/artifacts/{quote(id, safe='')}", to)

    def _save(self, path: str, to: Path) -> int:
        with self._opened(path) as answer:
            return write_whole(to, answer.iter_bytes(PIECE))


def write_whole(to: Path, pieces: Iterator[bytes]) -> int:
    """Write a file that appears whole or not at all; returns its size. Raises OSError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f".{to.name}.{uuid4().hex[:8]}")
    size = 0
    try:
        with part.open("xb") as file:
            for piece in pieces:
                size += file.write(piece)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return size
