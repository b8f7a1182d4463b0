"""What differs between the databases, in one place: words of SQL that mean the same in both.

``storage/connect.py`` has the list of all differences, ``times`` the words for times.
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    cast,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from resit.storage.refusals import meaning
from resit.storage.rows import dumps

AT_ONCE = 10_000
"""Rows that travel in one statement: a few megabytes."""
FEW = 16
"""Rows for which a statement that is known costs less than one that is put together anew."""


def on_postgresql(connection: Connection) -> bool:
    """True on PostgreSQL."""
    return connection.dialect.name == "postgresql"


# ------------------------------------------------------------ many rows


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert into ``table`` that can say what becomes of a row that is there already (``on_conflict_do_…``)."""
    return postgresql.insert(table) if on_postgresql(connection) else sqlite.insert(table)


def insert_all(connection: Connection, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute an insert (or :func:`upsert`) for many rows, which all name the same columns, in few journeys.

    No two rows may be about the same thing: PostgreSQL refuses to change a row twice in one statement.
    """
    if not rows:
        return
    if not on_postgresql(connection):
        _each(connection, statement, rows)
        return
    table: Any = statement.table
    names = tuple(rows[0])
    given = _given(table, names)
    whole = statement.from_select(names, select(*(given.c[name] for name in names)))
    for some in _pieces(rows):
        connection.execute(whole, {"given": some})


def update_all(connection: Connection, table: Table, key: Collection[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Change many rows, each found by its columns of ``key``, in few journeys. All name the same columns."""
    if not rows:
        return
    names = tuple(rows[0])
    if not on_postgresql(connection):
        said = [{f"key_{name}" if name in key else name: row[name] for name in names} for row in rows]
        _each(connection, _update_each(table, names, tuple(key)), said)
        return
    for some in _pieces(rows):
        connection.execute(_update_given(table, names, tuple(key)), {"given": some})


def _each(connection: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement for each row, whose values are what the driver takes (all our columns hold plain values).

    The driver gets the rows as they are: SQLAlchemy prepares each of them anew, which costs more than SQLite's work.
    """
    if len(rows) < FEW:
        connection.execute(statement, rows)
        return
    compiled: Any = statement.compile(dialect=connection.dialect, column_keys=list(rows[0]))
    values = itemgetter(*compiled.positiontup)
    connection.exec_driver_sql(str(compiled), [values(row) for row in rows])


# Made once: to make them anew costs as much as to execute them.


@cache
def _update_each(table: Table, names: tuple[str, ...], key: tuple[str, ...]) -> Update:
    found = and_(*(table.c[name] == bindparam(f"key_{name}") for name in key))
    return update(table).where(found).values({name: bindparam(name) for name in names if name not in key})


@cache
def _update_given(table: Table, names: tuple[str, ...], key: tuple[str, ...]) -> Update:
    given = _given(table, names)
    found = and_(*(table.c[name] == given.c[name] for name in key))
    return update(table).where(found).values({name: given.c[name] for name in names if name not in key})


@cache
def _given(table: Table, names: tuple[str, ...]) -> Any:
    """Rows that come as JSON, with the columns of a table."""
    columns = [column(name, table.c[name].type) for name in names]
    found = func.json_to_recordset(cast(bindparam("given", type_=Text), JSON))
    return found.table_valued(*columns).render_derived(name="given", with_types=True)


def _pieces(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for start in range(0, len(rows), AT_ONCE):
        yield dumps(rows[start : start + AT_ONCE])


@contextmanager
def trying(connection: Connection) -> Generator[None]:
    """What is refused in the block raises what it means, and is taken back alone: the transaction goes on."""
    if not on_postgresql(connection):
        yield
        return
    try:
        with connection.begin_nested():
            yield
    except DBAPIError as error:
        refusal = meaning(error)
        if refusal is None:
            raise
        raise refusal from error


# ------------------------------------------------------------ who is next


def held(connection: Connection, query: Select[Any]) -> Select[Any]:
    """The query; in a transaction that writes, nobody else changes what it finds until the transaction ends."""
    if connection.get_execution_options().get("reads", False):
        return query
    # No key is changed: rows that refer to what is found are written by others all the same.
    return query.with_for_update(key_share=True)


def hold_word(connection: Connection, word: str) -> None:
    """Until the transaction ends, who holds the same word waits: for what may not be in any row yet."""
    if on_postgresql(connection):
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(word, 0))))


# ------------------------------------------------------------ lists of values


def listed(connection: Connection, values: Collection[str]) -> Any:
    """Texts as a relation with the column ``value``, however many they are; each once."""
    each = list(dict.fromkeys(values))
    if on_postgresql(connection):
        # As JSON: the driver writes an array letter by letter.
        found = func.json_array_elements_text(cast(bindparam("listed", dumps(each), Text, unique=True), JSON))
        return found.table_valued(column("value", Text), name="listed").render_derived()
    return func.json_each(dumps(each)).table_valued("value")


def among(connection: Connection, column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """The column holds one of the values. However many they are, it is the same statement on PostgreSQL, which keeps
    what it knows."""
    if on_postgresql(connection):
        plain: Any = Text() if isinstance(column.type, Text) else column.type
        return column == func.any(bindparam(None, list(values), postgresql.ARRAY(plain), unique=True))
    return column.in_(list(values))


# ------------------------------------------------------------ texts


class _Word(FunctionElement[Any]):
    """A word with a spelling for each database."""

    inherit_cache = True


class like(_Word):  # noqa: N801 - a word of SQL
    """A text fits a pattern, whatever the case of its letters of ASCII; a backslash stands before what means itself."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, text: ColumnElement[Any], pattern: str) -> None:
        super().__init__(text, bindparam("pattern", pattern, Text, unique=True))


class before_slash(_Word):  # noqa: N801
    """A text up to its first slash; empty for one without."""

    type = Text()
    inherit_cache = True

    def __init__(self, text: ColumnElement[Any]) -> None:
        super().__init__(text)


class member(_Word):  # noqa: N801
    """A member of a JSON object that is kept as text; null where there is none, or the text is empty."""

    type = Text()
    inherit_cache = True

    def __init__(self, text: ColumnElement[Any], name: str) -> None:
        super().__init__(func.nullif(text, ""), bindparam("member", name, Text, unique=True))


class setting(_Word):  # noqa: N801
    """A number of the setting of a result, whose details are kept as text; null where it is not said."""

    type = Integer()
    inherit_cache = True

    def __init__(self, text: ColumnElement[Any], name: str) -> None:
        super().__init__(func.nullif(text, ""), bindparam("setting", name, Text, unique=True))


def _parts(element: _Word, compiler: SQLCompiler, words: dict[str, Any]) -> list[str]:
    return [compiler.process(part, **words) for part in element.clauses]


@compiles(like, "sqlite")
def _(element: like, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    text, pattern = _parts(element, compiler, words)
    return f"({text} LIKE {pattern} ESCAPE '\\')"


@compiles(like, "postgresql")
def _(element: like, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    text, pattern = _parts(element, compiler, words)
    return f"({text} ILIKE {pattern} ESCAPE '\\')"


@compiles(before_slash, "sqlite")
def _(element: before_slash, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    (text,) = _parts(element, compiler, words)
    return f"substr({text}, 1, instr({text}, '/') - 1)"


@compiles(before_slash, "postgresql")
def _(element: before_slash, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    (text,) = _parts(element, compiler, words)
    return f"left({text}, greatest(strpos({text}, '/') - 1, 0))"


@compiles(member, "sqlite")
def _(element: member, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    text, name = _parts(element, compiler, words)
    return f"json_extract({text}, '$.' || {name})"


@compiles(member, "postgresql")
def _(element: member, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    text, name = _parts(element, compiler, words)
    return f"(CAST({text} AS JSON) ->> {name})"


@compiles(setting, "sqlite")
def _(element: setting, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    text, name = _parts(element, compiler, words)
    return f"json_extract({text}, '$.setting.' || {name})"


@compiles(setting, "postgresql")
def _(element: setting, compiler: SQLCompiler, **words: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    # Not as JSON: what a test wrote may hold a NUL, for which PostgreSQL refuses all of it. A text inside of it has no
    # quote without a backslash before it: it is never taken for the member.
    text, name = _parts(element, compiler, words)
    found = f"""substring({text} from '"setting": *\\{{[^}}]*"' || {name} || '": *([0-9]+)')"""
    return f"CAST({found} AS INTEGER)"
