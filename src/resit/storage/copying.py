"""From one database to another: every row of every table, in one transaction, or nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Table, Text, func, insert, select

from resit.domain.errors import Conflict
from resit.storage import migrate, tables
from resit.storage.connect import transaction
from resit.storage.dialect import AT_ONCE, insert_all, on_postgresql
from resit.storage.link import unhurried

_LEFT = {tables.rate_windows.name, tables.duties.name, tables.control_planes.name, tables.workers.name}
"""What is about the moment, and about processes that have no part in the other database."""


def copied(source: Engine, target: Engine) -> Iterator[int]:
    """Copy everything; yields the rows of each table as it is done. All of it is kept when nothing more is yielded.

    A NUL in a text, which PostgreSQL can't hold, becomes U+FFFD. Raises :class:`Conflict` for a source that is not of
    this version, and for a target that holds something; :class:`Unavailable`.
    """
    at = migrate.current(source)
    migrate.refuse_newer(at)
    if at != migrate.newest():
        words = f"the database to copy is at version {at or 'none'}, not {migrate.newest()}: resit db upgrade first"
        raise Conflict(words)
    migrate.upgrade(target)
    # Of the embedded database, who holds the place of its one writer sees to it that nobody else writes.
    embedded = source.dialect.name == "sqlite"
    with transaction(source, write=embedded) as here, transaction(target, write=True, alone=True) as there:
        for connection in (here, there):
            if on_postgresql(connection):
                unhurried(connection)
        wanted = [table for table in tables.metadata.sorted_tables if table.name not in _LEFT]
        for table in wanted:
            if there.execute(select(table).limit(1)).first():
                raise Conflict(f"the database to copy to is not empty: it has rows in {table.name}")
        for table in wanted:
            yield _copy(here, there, table)
        if on_postgresql(there):
            _number_on(there)


def _copy(here: Connection, there: Connection, table: Table) -> int:
    """Copy a table in the order of its keys, so that a row comes after those that it refers to."""
    texts = [column.name for column in table.columns if isinstance(column.type, Text)]
    number = 0
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=AT_ONCE)
    for rows in here.execute(query).mappings().partitions():
        insert_all(there, insert(table), [_storable(row, texts) for row in rows])
        number += len(rows)
    return number


def _storable(row: Mapping[Any, Any], texts: list[str]) -> dict[str, Any]:
    values = {str(name): value for name, value in row.items()}
    for name in texts:
        if values[name] and "\0" in values[name]:
            values[name] = values[name].replace("\0", "\ufffd")
    return values


def _number_on(there: Connection) -> None:
    """New rows get numbers beyond those that were copied."""
    for table in tables.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        sequence = there.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar()
        last = there.execute(select(func.max(column))).scalar()
        if sequence is not None and last is not None:
            there.execute(select(func.setval(sequence, last)))
