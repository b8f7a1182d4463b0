"""What all tables are made of. Times are seconds since the epoch (UTC); JSON is text that we wrote."""

import sqlalchemy
from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column that is INTEGER to the letter."""

Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
"""Texts are compared and put in order by their characters' numbers, as SQLite does it, whatever language a PostgreSQL
database was made for: a page by key needs the same order everywhere, and no index breaks with a new libc."""


def text(name: str) -> Column[str]:
    """A text, empty where nothing is said."""
    return Column(name, Text, nullable=False, server_default="")


def whole(name: str) -> Column[int]:
    """A whole number, 0 where nothing is said."""
    return Column(name, Integer, nullable=False, server_default="0")


def large(name: str) -> Column[int]:
    """A number of bytes, 0 where nothing is said."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def time(name: str) -> Column[float]:
    """A time or a number of seconds, 0 where nothing is said."""
    return Column(name, Float, nullable=False, server_default="0")


def flag(name: str) -> Column[bool]:
    """Yes or no; no where nothing is said."""
    return Column(name, Boolean, nullable=False, server_default="0")
