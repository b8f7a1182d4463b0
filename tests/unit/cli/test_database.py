"""``resit db``: what is missing is made, what is wrong is said; on both databases, and without a server."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from resit.cli.main import call
from resit.cli.settings import Exit
from resit.storage import migrate, tables
from resit.storage.connect import connect, transaction
from resit.testing.postgres import PostgresServer
from resit.testing.world import World

NEWEST = max(path.name[:4] for path in Path(migrate.__file__).with_name("migrations").glob("versions/0*.py"))


class Kept:
    """A database with two runs and three files, and the command about it."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.url, self.capsys = folder, url, capsys
        self.engine: Engine = connect(url or f"sqlite:///{folder / 'resit.db'}")
        migrate.upgrade(self.engine)
        world = World(folder, self.engine)
        world.project()
        self.run = world.carry_out(world.planned("a", "b", "c"))
        self.open = world.planned("d")
        for number in range(3):
            id = f"00000000-0000-4000-8000-00000000000{number}"
            world.work.uploaded(self.run.id, id, 1)
            path = folder / "artifacts" / str(self.run.id) / id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")

    def change(self, *statements: str) -> None:
        with transaction(self.engine, write=True) as db:
            for statement in statements:
                db.execute(text(statement))

    def call(self, *argv: str) -> tuple[int, str]:
        place = ["--data", str(self.folder)]
        code = call(["db", *argv, *place, *(["--database-url", self.url] if self.url else [])])
        said = self.capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kept]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("RESIT_DATABASE_URL", raising=False)
    if request.param == "sqlite":
        made = Kept(tmp_path, "", capsys)
        yield made
        made.engine.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.drop("kept")
    made = Kept(tmp_path, server.create("kept"), capsys)
    # The server of the tests is careless, and says so; its databases need not be.
    server.execute("ALTER DATABASE kept SET synchronous_commit TO on")
    yield made
    made.engine.dispose()
    server.drop("kept")


CARELESS = "what was said to be kept may be lost"


def problems(said: str) -> list[str]:
    """What is wrong, but for what is wrong with any server of the tests."""
    return [line for line in said.splitlines() if CARELESS not in line and "looked at" not in line]


def test_all_is_well(kept: Kept) -> None:
    code, said = kept.call("check")
    if kept.url:
        assert code == Exit.RED
        assert said.count(CARELESS) == 2, "fsync and full_page_writes"
        assert problems(said) == []
        assert "2 runs with 4 tests, 3 files" in said
    else:
        assert (code, said) == (Exit.GREEN, f"All is well: version {NEWEST}, 2 runs with 4 tests, 3 files.\n")


def test_what_does_not_agree(kept: Kept) -> None:
    kept.change(
        "UPDATE runs SET passed = 2, failed = 1 WHERE status = 'finished'",
        "UPDATE runs SET status = 'finished' WHERE status <> 'finished'",
    )
    (kept.folder / "artifacts" / str(kept.run.id) / "00000000-0000-4000-8000-000000000001").unlink()
    code, said = kept.call("check")
    assert code == Exit.RED
    key = f"{kept.run.id}/00000000-0000-4000-8000-000000000001"
    assert problems(said) == [
        f"run {kept.open.id} is finished, and 1 of its tests are not final",
        f"run {kept.run.id}: it says 2 passed, its ledger has 3",
        f"run {kept.run.id}: it says 1 failed, its ledger has 0",
        f"run {kept.run.id}: the file of an artifact ({key}) is missing",
    ]
    code, said = kept.call("check", "--newest", "1")
    assert "1 runs with 1 tests" in said
    assert "passed" not in said


def test_a_schema_that_somebody_has_changed(kept: Kept) -> None:
    kept.change("DROP INDEX ix_runs_status", "ALTER TABLE runs ADD COLUMN mine integer")
    code, said = kept.call("check")
    assert code == Exit.RED
    assert "the schema lacks: index ix_runs_status" in said
    assert "the schema has of somebody else's: column runs mine" in said


def test_an_older_and_a_newer_schema(kept: Kept) -> None:
    kept.change("UPDATE alembic_version SET version_num = '0004'")
    code, said = kept.call("check")
    assert (code, problems(said)) == (
        Exit.RED,
        [f"the schema is at version 0004, this Resit needs {NEWEST}: resit db upgrade"],
    )
    kept.change("UPDATE alembic_version SET version_num = '0099'")
    for command in ("check", "upgrade"):
        code, said = kept.call(command)
        assert code == (Exit.RED if command == "check" else Exit.UNAVAILABLE)
        assert "written by a newer Resit" in said


def test_upgrade(kept: Kept, tmp_path: Path) -> None:
    assert kept.call("upgrade") == (
        Exit.GREEN,
        f"The database is at version {NEWEST}, the newest; nothing was to be done.\n",
    )
    if kept.url:
        return
    assert call(["db", "upgrade", "--data", str(tmp_path / "new" / "folder")]) == Exit.GREEN
    assert kept.capsys.readouterr().out == f"The database is at version {NEWEST} now; it was empty.\n"


def test_an_empty_database_has_no_schema(postgres: PostgresServer, capsys: pytest.CaptureFixture[str]) -> None:
    postgres.drop("nothing-yet")
    url = postgres.create("nothing-yet")
    assert call(["db", "check", "--database-url", url]) == Exit.RED
    assert "there is no schema: resit db upgrade makes it" in capsys.readouterr().out
    assert call(["db", "upgrade", "--database-url", url]) == Exit.GREEN
    assert "it was empty" in capsys.readouterr().out


def test_everything_moves(kept: Kept, postgres: PostgresServer, tmp_path: Path) -> None:
    """To the other kind of database and on from there: what is read is the same, and new numbers follow."""
    kept.change("INSERT INTO tokens (prefix, digest, name) VALUES ('p', 'd', 'ümläut \U0001f600')")
    if not kept.url:
        with transaction(kept.engine, write=True) as db:
            db.execute(text("UPDATE runs SET reason = :odd"), {"odd": "a\0b"})
    postgres.drop("moved")
    other = postgres.create("moved") if not kept.url else f"sqlite:///{tmp_path / 'moved.db'}"
    code, said = kept.call("copy", "--to", other)
    assert (code, said.partition(" rows ")[0]) == (Exit.GREEN, f"Copied {sum(rows(kept.engine).values())}"), said
    engine = connect(other)
    assert rows(engine) == rows(kept.engine)
    before, after = World(tmp_path, kept.engine), World(tmp_path, engine)
    for run in (kept.run, kept.open):
        assert after.dump(after.run(run.id)) == before.dump(before.run(run.id)).replace("a\\x00b", "a\ufffdb")
    assert after.carry_out(after.run(kept.open.id)).counts.passed == 1
    assert after.trigger().id == kept.open.id + 1
    code, said = kept.call("copy", "--to", other)
    assert code == Exit.UNAVAILABLE
    assert "not empty: it has rows in " in said
    engine.dispose()


def rows(engine: Engine) -> dict[str, int]:
    with transaction(engine, write=False) as db:
        return {
            table.name: len(db.execute(select(table)).all())
            for table in tables.metadata.sorted_tables
            if table.name not in ("workers", "duties", "control_planes", "rate_windows")
        }


def test_what_is_not_of_this_version_is_not_copied(kept: Kept, tmp_path: Path) -> None:
    kept.change("UPDATE alembic_version SET version_num = '0004'")
    code, said = kept.call("copy", "--to", f"sqlite:///{tmp_path / 'old.db'}")
    assert code == Exit.UNAVAILABLE
    assert f"at version 0004, not {NEWEST}: resit db upgrade first" in said


def test_a_damaged_file(kept: Kept) -> None:
    if kept.url:
        pytest.skip("PostgreSQL looks after its own pages")
    kept.engine.dispose()
    path = kept.folder / "resit.db"
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_runs_status'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 40)
    code, said = kept.call("check")
    assert code in (Exit.RED, Exit.UNAVAILABLE)
    assert "damaged" in said or "malformed" in said


@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_a_database_that_can_not_be_had(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIT_DATABASE_URL", "postgresql://me:sesame@127.0.0.1:1/x")
    assert call(["db", command]) == Exit.UNAVAILABLE
    said = capsys.readouterr().err
    assert "postgresql://me@127.0.0.1:1/x" in said
    assert "sesame" not in said
    monkeypatch.setenv("RESIT_DATABASE_URL", "oracle://me:sesame@db/x")
    assert call(["db", command]) == Exit.USAGE
    assert "sesame" not in capsys.readouterr().err
    monkeypatch.delenv("RESIT_DATABASE_URL")
    if command == "check":
        assert call(["db", command, "--data", str(tmp_path)]) == Exit.NOT_FOUND
        assert call(["db", command, "--newest", "0"]) == Exit.USAGE
