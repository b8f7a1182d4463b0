"""Locks between lanes and worker processes of one machine; the kernel frees them however their holder ends."""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

_LOOK_SECONDS = 0.05


class FileLock:
    """An exclusive lock that is held; made by :func:`try_lock`."""

    def __init__(self, fd: int, path: Path) -> None:
        self.fd = fd
        self.path = path

    def free(self, *, forget: bool = False) -> None:
        """Let it go; with ``forget`` the file goes too, because what it guards is gone."""
        if forget:
            self.path.unlink(missing_ok=True)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def try_lock(path: Path) -> FileLock | None:
    """Lock ``path`` (made when it is missing), or None when somebody holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == path.stat().st_ino:
                return FileLock(fd, path)
        except FileNotFoundError:
            pass  # forgotten by its last holder between the two: make it again
        except BlockingIOError:
            os.close(fd)
            return None
        os.close(fd)


@contextlib.asynccontextmanager
async def locked(path: Path, limit: float, on_wait: Callable[[], None]) -> AsyncGenerator[FileLock]:
    """Hold the lock ``path``; ``on_wait`` is called once if that takes a while.

    Raises TimeoutError when somebody else holds it for ``limit`` seconds.
    """
    end = time.monotonic() + limit
    told = False
    while not (lock := try_lock(path)):
        if time.monotonic() >= end:
            raise TimeoutError(f"{path.name} is in use")
        if not told:
            told = True
            on_wait()
        await asyncio.sleep(_LOOK_SECONDS)
    try:
        yield lock
    finally:
        lock.free()
