"""Artifacts in a local folder. A file appears under its name only when it is whole."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

from resit.domain.errors import TooLarge

_KEY = re.compile(r"[a-z0-9][a-z0-9/-]{0,200}")


class FolderArtifacts:
    """See ``resit.ports.Artifacts``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key) or "//" in key:
            raise ValueError(f"not a key of ours: {key!r}")
        return self._folder / key

    async def put(self, key: str, content: AsyncIterator[bytes], limit: int) -> int:
        """Store a file whole or not at all; returns its size. Raises :class:`TooLarge`."""
        path = self._path(key)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid4().hex}")
        size = 0
        try:
            with part.open("wb") as file:
                async for piece in content:
                    size += len(piece)
                    if size > limit:
                        raise TooLarge(f"an artifact has at most {limit} bytes")
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(_sync, file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return size

    def remove(self, key: str) -> None:
        """Delete a file; one that is not there is no error."""
        self._path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path | None:
        """Where the file can be read; None when it is not there."""
        found = self._path(key)
        return found if found.is_file() else None


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)
