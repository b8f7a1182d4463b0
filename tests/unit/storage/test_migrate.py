"""Migrations make the schema of the tables, once, and never touch what a newer Resit has written."""

import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from resit.domain.errors import Conflict, Unavailable
from resit.storage import migrate, tables
from resit.storage.connect import connect, transaction


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
