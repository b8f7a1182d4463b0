"""Artifacts in a local folder. A file appears under its name only when it is whole and on the disk.

Not the library's local store: that one does not wait for the disk, and what the database calls stored must still be
there when the power is back.
"""

import asyncio
import errno
import os
import re
import stat
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from resit.domain.errors import NoRoom, NotFound, TooLarge, Unavailable
from resit.ports import StoredFile

PIECE = 256 * 1024
"""Bytes that are read at a time."""
_KEY = re.compile(r"[a-z0-9][a-z0-9/-]{0,200}")
_PREFIX = re.compile(r"([a-z0-9-]+/)*")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def check_key(key: str) -> str:
    """A key of ours. Raises ValueError for what could lead out of the store."""
    if not _KEY.fullmatch(key) or "//" in key or key.endswith("/"):
        raise ValueError(f"not a key of ours: {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    """A prefix of keys, whole names only. Raises ValueError."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"not a prefix of our keys: {prefix!r}")
    return prefix


class FolderArtifacts:
    """See ``resit.ports.Artifacts``. Files whose names begin with a dot are uploads under way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where a file is, or would be."""
        return self.folder / check_key(key)

    async def put(
        self, key: str, content: AsyncIterator[bytes], limit: int, *, name: str = "", content_type: str = ""
    ) -> int:
        """Store a file whole or not at all; returns its size. Nobody opens it by a link, so it keeps no name."""
        del name, content_type
        path = self.path(key)
        part = path.with_name(f".{path.name}.{uuid4().hex}")
        size = 0
        with _said():
            try:
                file = await asyncio.to_thread(_begin, part)
                with file:
                    async for piece in content:
                        size += len(piece)
                        if size > limit:
                            raise TooLarge(f"an artifact has at most {limit} bytes")
                        await asyncio.to_thread(file.write, piece)
                    await asyncio.to_thread(_sync, file)
                await asyncio.to_thread(_appear, part, path)
            finally:
                part.unlink(missing_ok=True)
        return size

    async def find(self, key: str) -> StoredFile | None:
        """The file, without its content; None when it is not there."""
        with _said():
            return await asyncio.to_thread(_look, key, self.path(key))

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``end``, piece by piece."""
        with _said(key):
            file = await asyncio.to_thread(self.path(key).open, "rb")
            with file:
                at = file.seek(start)
                while piece := await asyncio.to_thread(
                    file.read, PIECE if end is None else min(PIECE, max(end - at, 0))
                ):
                    at += len(piece)
                    yield piece

    def reader(self, key: str) -> BinaryIO:
        """The file for reading here and there; the caller closes it."""
        with _said(key):
            return self.path(key).open("rb")

    def stored(self, prefix: str = "", after: str = "") -> Iterator[StoredFile]:
        """What is stored below a prefix (or all), in the order of keys, those after ``after``."""
        return self._below(check_prefix(prefix), after)

    def _below(self, prefix: str, after: str) -> Iterator[StoredFile]:
        try:
            with os.scandir(self.folder / prefix) as found:
                # A folder's name with its slash takes the place that its keys have among the others.
                entries = sorted((f"{entry.name}/" if entry.is_dir() else entry.name, entry) for entry in found)
        except FileNotFoundError:
            return
        for name, entry in entries:
            key = prefix + name
            if name.startswith("."):
                continue
            if name.endswith("/"):
                if key > after[: len(key)] or after.startswith(key):
                    yield from self._below(key, after)
            elif key > after and (found := _look(key, Path(entry.path))):
                yield found

    def remove(self, *keys: str) -> None:
        """Delete files; one that is not there is no error. Folders go with their last file."""
        paths = [self.path(key) for key in keys]
        with _said():
            for path in paths:
                path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths} - {self.folder}:
            with suppress(OSError):
                folder.rmdir()

    async def link(self, key: str, seconds: float) -> str | None:
        """None: nobody but this server reads the folder."""
        del key, seconds

    def tidy(self, before: float) -> int:
        """Delete what uploads that were cut off before a time have left behind; returns the bytes."""
        freed = 0
        for path in self.folder.rglob(".*"):
            with suppress(FileNotFoundError):
                found = path.stat()
                if found.st_mtime < before and path.is_file():
                    path.unlink()
                    freed += found.st_size
        return freed

    def check(self, *, write: bool = False) -> None:
        """Whether the folder is there and takes files."""
        with _said():
            self.folder.mkdir(parents=True, exist_ok=True)
            if write:
                part = self.folder / f".check.{uuid4().hex}"
                try:
                    part.write_bytes(b"Resit")
                finally:
                    part.unlink(missing_ok=True)


def _begin(part: Path) -> BinaryIO:
    # Twice, because the folder may go with its last file at the same moment.
    for _ in range(10):
        part.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return part.open("wb")
    raise Unavailable("the folder of the artifacts is taken away all the time")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _appear(part: Path, path: Path) -> None:
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _look(key: str, path: Path) -> StoredFile | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return StoredFile(key, found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _said(key: str = "") -> Generator[None]:
    """Errors of the disk in words of ours."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError) as error:
        if not key:
            raise Unavailable(f"the folder of the artifacts is gone: {error.strerror}") from error
        raise NotFound("the file is not stored") from error
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom("the disk of the artifacts is full: make room, then try again") from error
        if error.errno in _READ_ONLY:
            raise Unavailable(f"the folder of the artifacts can't be written: {error.strerror}") from error
        if error.errno is None:  # an error of whoever sends the content: it is theirs
            raise
        raise Unavailable(f"the disk of the artifacts does not work: {error.strerror}") from error
