"""One at a time in a data folder."""

import errno
import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(data: Path) -> Generator[None]:
    """No second server in this data folder, nor who would change it under one; the kernel lets go of the lock however
    this one ends. Raises OSError."""
    with (data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OSError(errno.EBUSY, "another Resit serves from this data folder") from None
        yield
