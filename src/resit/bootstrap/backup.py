"""Backups of a data folder with an embedded database: one archive, written whole or not at all.

It holds ``manifest.json``, ``resit.db``, ``artifacts/KEY``, where they are wanted ``secret.key`` and ``admin-token``,
and at its end ``SHA256SUMS`` over all of them: an archive without it was cut off.
"""

import errno
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO
from uuid import uuid4

from resit import __version__
from resit.bootstrap.alone import alone
from resit.domain.errors import Conflict, InvalidInput, NoRoom, NotFound
from resit.integrations.files import FolderArtifacts, check_key
from resit.storage import snapshot
from resit.storage.connect import connect
from resit.storage.migrate import newest, upgrade

FORMAT = 1
DATABASE = "resit.db"
KEYS = ("secret.key", "admin-token")
REBUILT = ("resit.db-wal", "resit.db-shm", "rates.db", "rates.db-wal", "rates.db-shm", "nats", "url", "worker.json")
"""What a restored folder must not have from an earlier life."""
_SUMS = "SHA256SUMS"
_PIECE = 1024 * 1024
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds. ``made_at`` in seconds since the epoch, sizes in bytes."""

    format: int = FORMAT
    resit: str = __version__
    schema: str
    made_at: float
    files: int
    file_bytes: int
    database_bytes: int
    keys: bool
    missing: int = 0
    """Files that the database calls stored and that were not there."""


def backup(data: Path, artifacts: Path | None, to: Path, *, keys: bool, say: Progress) -> Manifest:
    """Write a backup of the data folder; its server may run meanwhile.

    ``artifacts``: their folder, None when they are elsewhere. Raises :class:`NotFound`, :class:`NoRoom`,
    :class:`Unavailable`, :class:`Conflict` when there is such a file already.
    """
    if not (data / DATABASE).is_file():
        raise NotFound(f"{data} holds no {DATABASE}: there is nothing to back up, or its server uses PostgreSQL")
    if to.exists():
        raise Conflict(f"{to} is there already")
    _forget_older(data)
    scratch = data / f".backup-{uuid4().hex[:8]}"
    part = to.with_name(f".{to.name}.{uuid4().hex[:8]}")
    with _room(to.parent):
        try:
            scratch.mkdir(mode=0o700)
            database = scratch / DATABASE
            snapshot.snapshot(data / DATABASE, database)
            say("the database is copied; now the files")
            linked, missing = _hold(database, artifacts, scratch / "artifacts")
            files = [scratch / "artifacts" / key for key in linked]
            made = Manifest(
                schema=snapshot.version(database),
                made_at=time.time(),
                files=len(files),
                file_bytes=sum(file.stat().st_size for file in files),
                database_bytes=database.stat().st_size,
                keys=keys,
                missing=missing,
            )
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as archive:
                    _fill(archive, made, database, data if keys else None, zip(linked, files, strict=True))
                out.flush()
                os.fsync(out.fileno())
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
            shutil.rmtree(scratch, ignore_errors=True)
    return made


def _forget_older(data: Path) -> None:
    """What a backup that was killed has left behind."""
    for path in data.glob(".backup-*"):
        if path.stat().st_mtime < time.time() - 7 * 86_400:
            shutil.rmtree(path, ignore_errors=True)


def _hold(database: Path, artifacts: Path | None, to: Path) -> tuple[list[str], int]:
    """Second names for the files that the copy refers to, so that nobody takes them away; how many are missing."""
    if artifacts is None:
        return [], 0
    store, held, missing = FolderArtifacts(artifacts), list[str](), 0
    for key in snapshot.keys(database):
        source, target = store.path(key), to / key
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            try:
                os.link(source, target)
            except FileNotFoundError:
                raise
            except OSError:  # another disk, or a kind that has no second names
                shutil.copyfile(source, target)
            held.append(key)
        except FileNotFoundError:
            missing += 1
    return held, missing


def _fill(
    archive: tarfile.TarFile, made: Manifest, database: Path, keys: Path | None, files: Iterator[tuple[str, Path]]
) -> None:
    sums: list[str] = []

    def add(name: str, size: int, content: BinaryIO, mode: int = 0o600) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, mode, int(made.made_at)
        source = _Summed(content)
        archive.addfile(info, source)  # pyright: ignore[reportArgumentType] # it only reads
        sums.append(f"{source.sum.hexdigest()}  {name}\n")

    def add_file(name: str, path: Path) -> None:
        with path.open("rb") as content:
            add(name, os.fstat(content.fileno()).st_size, content)

    text = json.dumps(asdict(made), indent=1).encode()
    add("manifest.json", len(text), io.BytesIO(text))
    add_file(DATABASE, database)
    for name in KEYS if keys else ():
        if keys is not None and (keys / name).is_file():
            add_file(name, keys / name)
    for key, path in files:
        add_file(f"artifacts/{key}", path)
    text = "".join(sums).encode()
    add(_SUMS, len(text), io.BytesIO(text))


class _Summed:
    """Content on its way, with its checksum."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content, self.sum = content, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        piece = self._content.read(size)
        self.sum.update(piece)
        return piece


def restore(archive: Path, data: Path, *, force: bool, say: Progress) -> Manifest:
    """Make a data folder from a backup, with the newest schema. Nothing of it is there until all of it was checked.

    ``force``: in place of what is there, whose ``secret.key`` stays when the backup has none. Raises :class:`NotFound`,
    :class:`Conflict` (not empty, in use, damaged, or of a newer Resit), :class:`InvalidInput`, :class:`NoRoom`.
    """
    if not archive.is_file():
        raise NotFound(f"there is no file {archive}")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(data.iterdir()) and not force:
        raise Conflict(f"{data} is not empty: name another folder, or --force to put the backup in its place")
    scratch = data / f".restore-{uuid4().hex[:8]}"
    with _room(data), _alone(data):
        try:
            scratch.mkdir(mode=0o700)
            made = _take(archive, scratch)
            say("the backup is whole; now its database")
            snapshot.check(scratch / DATABASE)
            engine = connect(f"sqlite:///{scratch / DATABASE}")
            try:
                upgrade(engine)
            finally:
                engine.dispose()
            _put(scratch, data)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if not (data / DATABASE).exists():
                (data / "lock").unlink(missing_ok=True)
    return made


@contextmanager
def _alone(data: Path) -> Generator[None]:
    try:
        with alone(data):
            yield
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Conflict(f"a server runs in {data}: stop it first") from error
        raise


def _take(archive: Path, to: Path) -> Manifest:
    """Unpack and compare all checksums."""
    sums: dict[str, str] = {}
    said: str | None = None
    try:
        with tarfile.open(archive, "r|gz") as found:
            for info in found:
                content = found.extractfile(info) if info.isreg() else None
                if content is None or said is not None:
                    raise InvalidInput(f"{archive} is no backup of Resit: it holds {info.name[:200]!r}")
                if info.name == _SUMS:
                    said = content.read().decode("ascii", "replace")
                    continue
                sums[info.name] = _unpack(content, to / _place(info.name, archive))
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Conflict(f"{archive} is damaged or was cut off: {error}") from error
    if said is None:
        raise Conflict(f"{archive} was cut off: its end, with the checksums, is missing")
    wanted = {name: sum for sum, _, name in (line.partition("  ") for line in said.splitlines())}
    for name in sorted(wanted.keys() | sums.keys()):
        if wanted.get(name) != sums.get(name):
            raise Conflict(f"{archive} is damaged: {name} is not what it was")
    return _manifest(to / "manifest.json", archive)


def _place(name: str, archive: Path) -> str:
    """Where a part of an archive belongs. Raises :class:`InvalidInput` for what is none."""
    folder, _, key = name.partition("/")
    if name in ("manifest.json", DATABASE, *KEYS):
        return name
    with suppress(ValueError):
        if folder == "artifacts":
            return f"artifacts/{check_key(key)}"
    raise InvalidInput(f"{archive} is no backup of Resit: it holds {name[:200]!r}")


def _unpack(content: IO[bytes], to: Path) -> str:
    to.parent.mkdir(parents=True, exist_ok=True)
    found = _Summed(content)
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while piece := found.read(_PIECE):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return found.sum.hexdigest()


def _manifest(path: Path, archive: Path) -> Manifest:
    try:
        said: dict[str, Any] = json.loads(path.read_text())
        made = Manifest(**{name: said[name] for name in Manifest.__slots__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{archive} is no backup of Resit: its manifest can't be read") from error
    path.unlink()
    if made.format > FORMAT or made.schema > newest():
        raise Conflict(f"the backup is from Resit {made.resit}, which is newer than this one ({__version__})")
    return made


def _put(scratch: Path, data: Path) -> None:
    """Move the parts to their places. The database comes last: without it, a server would begin an empty one."""
    for name in (DATABASE, *REBUILT, "artifacts"):
        old = data / name
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    for path in sorted(scratch.iterdir(), key=lambda path: path.name == DATABASE):
        if path.name in (*KEYS, "artifacts", DATABASE):
            path.replace(data / path.name)


@contextmanager
def _room(folder: Path) -> Generator[None]:
    """A disk that is full, in words of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoRoom(f"there is no room for it in {folder}") from error
        raise
