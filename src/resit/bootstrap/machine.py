"""What can be seen of an installation on its machine, for ``resit doctor``: programs, files, the room on the disk."""

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator

from cryptography import x509

from resit.broker.server import ServerFailed, find_server
from resit.config import Settings
from resit.domain import doctor
from resit.domain.doctor import Database, Finding, Machine
from resit.storage.connect import connect
from resit.storage.migrate import newest
from resit.storage.symptoms import SqlSymptoms

SECONDS = 10.0
"""How long a program may take to tell its version."""


def machine(settings: Settings) -> Machine:
    """What there is, on this machine, for a server with these settings."""
    data = settings.data
    there = data.exists()
    place = next(folder for folder in (data, *data.absolute().parents) if folder.exists())
    key = settings.secret_key or data / "secret.key"
    return Machine(
        programs={
            "python": platform.python_version(),
            "git": _version("git", "--version"),
            "node": _version("node", "--version"),
        },
        broker=None if settings.nats_url else _broker(),
        data=str(data),
        data_mode=data.stat().st_mode & 0o777 if there else None,
        data_writable=os.access(place, os.W_OK | os.X_OK),
        disk_free=shutil.disk_usage(place).free,
        key_mode=key.stat().st_mode & 0o777 if key.exists() else None,
        certificates=dict(_certificates(settings)),
    )


def look_here(settings: Settings) -> list[Finding]:
    """What is wrong where no server runs: with this machine, and with the database, which reads itself through."""
    now = time.time()
    return [*doctor.of_machine(machine(settings), now), *doctor.of_database(_database(settings))]


def _database(settings: Settings) -> Database:
    if not settings.database and not (settings.data / "resit.db").exists():
        return Database(kind="SQLite", newest=newest())
    engine = connect(settings.database_url)
    try:
        return SqlSymptoms(engine).database(integrity=True)
    finally:
        engine.dispose()


def _broker() -> str:
    try:
        return _version(find_server(), "--version")
    except ServerFailed:
        return ""


def _version(program: str, *words: str) -> str:
    """The first word of what a program says that begins with a digit, a ``v`` in front left out."""
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = (word.removeprefix("v") for word in done.stdout.split())
    return next((word for word in found if word[:1].isdigit()), "")


def _certificates(settings: Settings) -> Iterator[tuple[str, float]]:
    """When the server's certificate expires: the operator's, or one of our own making."""
    named = [settings.tls_cert] if settings.tls_cert else sorted((settings.data / "tls").glob("*.pem"))
    for path in named:
        try:
            chain = x509.load_pem_x509_certificates(path.read_bytes())
            # The first one to expire breaks it.
            yield str(path), min(found.not_valid_after_utc for found in chain).timestamp()
        except (OSError, ValueError):
            # A file with a key, or one that is not ours to read.
            continue
