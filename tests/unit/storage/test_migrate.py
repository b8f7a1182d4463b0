"""Migrations make the schema of the tables, once, and never touch what a newer Resit has written."""

import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from resit.domain.errors import Conflict, Unavailable
from resit.domain.ids import case_key
from resit.domain.run import Via
from resit.domain.status import Verdict
from resit.storage import migrate, tables
from resit.storage.connect import connect, transaction
from resit.storage.reads import SqlReads
from resit.storage.unit_of_work import SqlStore


def test_migrations_equal_the_tables(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/resit.db")
    assert migrate.current(engine) == ""
    assert migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.newest()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    made = schema(engine)
    del made["alembic_version"]
    other = connect(f"sqlite:///{tmp_path}/other.db")
    tables.metadata.create_all(other)
    assert made == schema(other)


def schema(engine: Engine) -> dict[str, object]:
    """Columns with their defaults, and what SQLite says of each table besides them."""
    found: dict[str, object] = {}
    with engine.connect() as connection:
        for name, sql in connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")):
            columns = connection.execute(text(f'PRAGMA table_info("{name}")'))
            defaults = {(column[1], str(column[4]).strip("()")) for column in columns}
            found[name] = defaults, "WITHOUT ROWID" in sql, "AUTOINCREMENT" in sql
    engine.dispose()
    return found


def test_a_second_upgrade_is_cheap(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/resit.db")
    migrate.upgrade(engine)
    begun = time.process_time()
    assert not any(migrate.upgrade(engine) for _ in range(10))
    assert time.process_time() - begun < 0.5
    engine.dispose()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/resit.db")
    migrate.upgrade(engine)
    with transaction(engine, write=True) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer Resit"):
        migrate.upgrade(engine)
    assert migrate.current(engine) == "9999"
    engine.dispose()


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/nowhere/resit.db")
    with pytest.raises(Unavailable), transaction(engine, write=False):
        pass
    engine.dispose()


def test_an_exception_rolls_everything_back(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/resit.db")
    migrate.upgrade(engine)

    def half() -> None:
        with transaction(engine, write=True) as connection:
            connection.execute(text("INSERT INTO workers (name) VALUES ('w')"))
            raise LookupError

    with pytest.raises(LookupError):
        half()
    with transaction(engine, write=False) as connection:
        assert connection.execute(text("SELECT count(*) FROM workers")).scalar() == 0
    engine.dispose()


OLDER = """
INSERT INTO projects (id, uuid, slug, source, executor)
  VALUES (1, '00000000-0000-4000-8000-000000000001', 'shop', '/', 'pytest');
INSERT INTO environments (id, uuid, project_id, slug, pool) VALUES (1, 'e', 1, 'default', 'default');
INSERT INTO runs (id, uuid, project_id, environment_id, status, verdict, passed)
  VALUES (7, '00000000-0000-4000-8000-000000000007', 1, 1, 'finished', 'passed', 1);
INSERT INTO test_cases (id, uuid, project_id, test, file, last_run_id) VALUES (3, 'c', 1, 'a.py::b', 'a.py', 7);
"""


def test_a_database_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/resit.db")
    migrate.upgrade(engine, "0001")
    with transaction(engine, write=True) as connection:
        for statement in OLDER.strip().split(";\n"):
            connection.execute(text(statement))
    assert migrate.current(engine) == "0001"
    assert migrate.upgrade(engine)
    store, reads = SqlStore(engine), SqlReads(engine)
    with store.read() as tx:
        run = tx.runs.get(7)
        (case,) = tx.cases.named(1, ["a.py::b"])
    assert run is not None
    assert (run.verdict, run.counts.passed, run.counts.snoozed, run.via) == (Verdict.PASSED, 1, 0, Via.API)
    assert case.key == case_key(case.planned)
    assert [case.active for case in reads.test_cases(1, "", 0, 10).items] == [False]
    assert [file.path for file in reads.files_slice(1, "", 0, 10).items] == ["a.py"]
    engine.dispose()
