"""Backups: what is in them, and what is refused when they are put back."""

import asyncio
import gzip
import io
import json
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from resit.bootstrap.alone import alone
from resit.bootstrap.backup import Manifest, backup, restore
from resit.domain.errors import Conflict, InvalidInput, NotFound
from resit.integrations.files import FolderArtifacts
from resit.storage.connect import connect
from resit.storage.migrate import newest, upgrade
from resit.testing.artifacts import pieces
from resit.testing.world import World

FILES = {"1/a": b"one", "1/b": b"", "2/c": bytes(range(256)) * 999, "resource-1": b"resource"}
COUNT = "SELECT count(*) FROM files"


def silent(words: str) -> None:
    """Nobody listens."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with four files that its database knows, and one that it does not."""
    folder = tmp_path / "data"
    folder.mkdir()
    engine = connect(f"sqlite:///{folder / 'resit.db'}")
    upgrade(engine)
    world = World(folder, engine)
    project = world.project()
    runs = [world.trigger().id for _ in range(2)]
    assert runs == [1, 2]
    for key, content in {**FILES, "9/stray": b"stray"}.items():
        asyncio.run(world.artifacts.put(key, pieces(content), 1_000_000))
        run, _, id = key.rpartition("/")
        if run in ("1", "2"):
            world.work.uploaded(int(run), id, len(content))
    with closing(sqlite3.connect(folder / "resit.db")) as db:
        for status, url in (("uploaded", ""), ("uploaded", "http://x"), ("pending", "")):
            values = (project.id, status, url)
            db.execute("INSERT INTO resources (project_id, status, url) VALUES (?, ?, ?)", values)
        db.commit()
    engine.dispose()
    (folder / "secret.key").write_text("key")
    (folder / "admin-token").write_text("token")
    (folder / "nats").mkdir()
    return folder


def write(data: Path, *, keys: bool = False) -> Path:
    """A backup."""
    to = data.parent / "backup.tar.gz"
    to.unlink(missing_ok=True)
    backup(data, data / "artifacts", to, keys=keys, say=silent)
    return to


def test_there_and_back(data: Path, tmp_path: Path) -> None:
    made = backup(data, data / "artifacts", tmp_path / "b.tar.gz", keys=False, say=silent)
    assert (made.files, made.file_bytes, made.missing, made.schema) == (4, sum(map(len, FILES.values())), 0, newest())
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "data"]
    assert not [path for path in data.iterdir() if path.name.startswith(".")]
    again = restore(tmp_path / "b.tar.gz", tmp_path / "new", force=False, say=silent)
    assert again == made
    store = FolderArtifacts(tmp_path / "new" / "artifacts")
    assert {found.key: store.path(found.key).read_bytes() for found in store.stored()} == FILES
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["artifacts", "lock", "resit.db"]
    with closing(sqlite3.connect(data / "resit.db")) as old, closing(sqlite3.connect(tmp_path / "new/resit.db")) as new:
        assert list(old.iterdump()) == list(new.iterdump())


def test_keys_come_only_where_they_are_wanted(data: Path, tmp_path: Path) -> None:
    for keys in (False, True):
        with tarfile.open(write(data, keys=keys)) as archive:
            assert ("secret.key" in archive.getnames()) == ("admin-token" in archive.getnames()) == keys
    restore(tmp_path / "backup.tar.gz", tmp_path / "new", force=False, say=silent)
    assert (tmp_path / "new" / "secret.key").read_text() == "key"
    assert (tmp_path / "new" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_files_that_are_gone_are_counted(data: Path) -> None:
    (data / "artifacts" / "1" / "a").unlink()
    made = backup(data, data / "artifacts", data.parent / "b", keys=False, say=silent)
    assert (made.files, made.missing) == (3, 1)


def test_artifacts_elsewhere_are_left_out(data: Path) -> None:
    assert backup(data, None, data.parent / "b", keys=False, say=silent).files == 0


def test_one_moment_while_others_write(data: Path, tmp_path: Path) -> None:
    """Two tables are always written together: a copy never has one without the other."""
    stop = threading.Event()
    began = threading.Event()

    def busy() -> None:
        with closing(sqlite3.connect(data / "resit.db", timeout=30, isolation_level=None)) as db:
            number = 0
            while not stop.is_set():
                number += 1
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT INTO files (project_id, path) VALUES (1, ?)", (f"f{number}",))
                db.execute("INSERT INTO pools (name) VALUES (?)", (f"p{number}",))
                db.execute("COMMIT")
                if number == 50:
                    began.set()

    writer = threading.Thread(target=busy)
    writer.start()
    try:
        assert began.wait(30)
        for _ in range(3):
            restore(write(data), tmp_path / "new", force=True, say=silent)
            with closing(sqlite3.connect(tmp_path / "new" / "resit.db")) as db:
                files, pools = db.execute(f"{COUNT} UNION ALL SELECT count(*) FROM pools").fetchall()  # noqa: S608
            assert files == pools > (0,)
    finally:
        stop.set()
        writer.join()


# ---------------------------------------------------------------- refusals


def test_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing to back up, or its server uses PostgreSQL"):
        backup(tmp_path, None, tmp_path / "b", keys=False, say=silent)


def test_no_file_is_written_over(data: Path) -> None:
    to = write(data)
    with pytest.raises(Conflict, match="is there already"):
        backup(data, None, to, keys=False, say=silent)


def test_a_folder_in_use_is_left_alone(data: Path, tmp_path: Path) -> None:
    to = write(data)
    with pytest.raises(Conflict, match="is not empty"):
        restore(to, data, force=False, say=silent)
    with alone(data), pytest.raises(Conflict, match="a server runs in"):
        restore(to, data, force=True, say=silent)
    assert (data / "artifacts" / "9" / "stray").exists()


def test_force_puts_the_backup_in_place_of_all(data: Path) -> None:
    to = write(data)
    with closing(sqlite3.connect(data / "resit.db")) as db:
        db.execute("INSERT INTO files (project_id, path) VALUES (1, 'later')")
        db.commit()
    restore(to, data, force=True, say=silent)
    assert not (data / "artifacts" / "9").exists()
    assert not (data / "nats").exists()
    assert (data / "secret.key").read_text() == "key"
    with closing(sqlite3.connect(data / "resit.db")) as db:
        assert db.execute(COUNT).fetchone() == (0,)


Change = Callable[[list[tuple[str, bytes]]], None]


def changed(archive: Path, change: Change) -> Path:
    """The same archive, with other parts."""
    with tarfile.open(archive) as old:
        parts = [(info.name, old.extractfile(info).read()) for info in old]  # type: ignore[union-attr]
    change(parts)
    with tarfile.open(archive, "w:gz") as new:
        for name, content in parts:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    return archive


def _flip(parts: list[tuple[str, bytes]]) -> None:
    number = next(n for n, (name, _) in enumerate(parts) if name == "artifacts/2/c")
    parts[number] = (parts[number][0], b"x" + parts[number][1][1:])


def _drop(parts: list[tuple[str, bytes]]) -> None:
    parts[:] = [part for part in parts if part[0] != "artifacts/1/a"]


def _newer(parts: list[tuple[str, bytes]]) -> None:
    said = json.loads(parts[0][1]) | {"schema": "9999", "resit": "99.0"}
    _resum(parts, 0, json.dumps(said).encode())


def _garbage(parts: list[tuple[str, bytes]]) -> None:
    _resum(parts, 1, b"SQLite format 3\0" + b"x" * 5000)


def _resum(parts: list[tuple[str, bytes]], number: int, content: bytes) -> None:
    from hashlib import sha256

    old, new = (sha256(text).hexdigest().encode() for text in (parts[number][1], content))
    parts[number] = (parts[number][0], content)
    parts[-1] = (parts[-1][0], parts[-1][1].replace(old, new))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (_flip, Conflict, "damaged: artifacts/2/c is not what it was"),
        (_drop, Conflict, "damaged: artifacts/1/a is not what it was"),
        (lambda parts: parts.pop(), Conflict, "cut off: its end"),
        (lambda parts: parts.insert(1, ("../evil", b"")), InvalidInput, "it holds '../evil'"),
        (lambda parts: parts.insert(1, ("artifacts/../../evil", b"")), InvalidInput, "it holds"),
        (lambda parts: parts.insert(1, ("/etc/passwd", b"")), InvalidInput, "it holds"),
        (lambda parts: parts.append(("resit.db", b"")), InvalidInput, "it holds"),
        (_newer, Conflict, "from Resit 99.0, which is newer"),
        (_garbage, Conflict, "database of the backup can't be used"),
    ],
)
def test_what_is_not_whole_is_not_restored(
    data: Path, tmp_path: Path, change: Change, kind: type[Exception], words: str
) -> None:
    archive = changed(write(data, keys=True), change)
    with pytest.raises(kind, match=words):
        restore(archive, tmp_path / "new", force=False, say=silent)
    assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_what_was_cut_off_is_not_restored(data: Path, tmp_path: Path, keep: float) -> None:
    archive = write(data)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(Conflict, match=r"damaged or was cut off|cut off: its end"):
        restore(archive, tmp_path / "new", force=False, say=silent)
    assert list((tmp_path / "new").iterdir()) == []


def test_what_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"hello" * 1000))
    with pytest.raises(Conflict, match="damaged"):
        restore(tmp_path / "a", tmp_path / "new", force=False, say=silent)
    with pytest.raises(NotFound, match="no file"):
        restore(tmp_path / "nothing", tmp_path / "new", force=False, say=silent)


def test_links_in_an_archive_lead_nowhere(data: Path, tmp_path: Path) -> None:
    archive = tmp_path / "links"
    with tarfile.open(archive, "w:gz") as made:
        info = tarfile.TarInfo("artifacts/1/a")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(info)
    with pytest.raises(InvalidInput, match="holds 'artifacts/1/a'"):
        restore(archive, tmp_path / "new", force=False, say=silent)


def test_an_older_schema_is_brought_up(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    engine = connect(f"sqlite:///{old / 'resit.db'}")
    upgrade(engine, "0004")
    engine.dispose()
    made: Manifest = backup(old, old / "artifacts", tmp_path / "b", keys=False, say=silent)
    assert made.schema == "0004"
    restore(tmp_path / "b", tmp_path / "new", force=False, say=silent)
    engine = connect(f"sqlite:///{tmp_path / 'new' / 'resit.db'}")
    try:
        assert not upgrade(engine)
    finally:
        engine.dispose()
