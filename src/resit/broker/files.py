"""Files that only their owner reads."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file that only we may read; never half written."""
    fresh = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def remembered(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
    """The secret that a file holds; a new one when there is none."""
    with contextlib.suppress(OSError):
        if secret := path.read_text().strip():
            path.chmod(0o600)
            return secret
    secret = make()
    write_private(path, secret)
    return secret
