"""Times in SQL, where the databases differ."""

from typing import Any

from sqlalchemy import ColumnElement, Float, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class clock_now(FunctionElement[float]):  # noqa: N801 - a function of SQL
    """The database's clock: seconds since the epoch, at this moment and not at the transaction's begin."""

    type = Float()
    inherit_cache = True


@compiles(clock_now, "sqlite")
def _sqlite_now(element: clock_now, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    del element, compiler, words
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(clock_now, "postgresql")
def _postgresql_now(element: clock_now, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    del element, compiler, words
    return "extract(epoch FROM clock_timestamp())::double precision"


class utc_day(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """The UTC day (YYYY-MM-DD) of a time in seconds since the epoch; parts of seconds are cut off."""

    type = Text()
    inherit_cache = True

    def __init__(self, seconds: ColumnElement[float]) -> None:
        super().__init__(seconds)


@compiles(utc_day, "sqlite")
def _sqlite(element: utc_day, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return f"date(CAST({compiler.process(element.clauses, **words)} AS INTEGER), 'unixepoch')"


@compiles(utc_day, "postgresql")
def _postgresql(element: utc_day, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    seconds = compiler.process(element.clauses, **words)
    return f"to_char(to_timestamp(floor({seconds})) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
