"""What differs between the databases, in one place: statements that each of them has in words of its own."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert into ``table`` that can say what becomes of a row that is there already (``on_conflict_do_…``)."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
