"""Connecting, and the written list of what differs between the databases.

The same in both: one schema, one tree of migrations, one set of statements; reads see one snapshot from their first
statement to their last; a commit that lasts is on disk when it returns, because ingest tells the broker to forget what
it has committed. What differs (docs/explanation/databases.md says what it means for an operator):

- *Writers.* SQLite: one at a time (``BEGIN IMMEDIATE``; a lock in the process wakes them in turn), so a transaction
  that will write never fails half-way for a lock. PostgreSQL: any number, READ COMMITTED; what a transaction decides on
  it holds (``hold`` of the stores, ``FOR NO KEY UPDATE``); on SQLite that word only reads.
- *The order in which rows are held*: the organization; a concurrency group; runs by number; projects by number; what
  belongs to a project.
  What is handed out skips what others hold. A deadlock that comes about all the same is :class:`Unavailable`.
- *Writing alone* (``write(alone=True)``): on SQLite always; on PostgreSQL an advisory lock, for what people change by
  hand and for names that must stay unique. A name that was taken meanwhile all the same is :class:`AlreadyExists`.
- *Readers*: a snapshot of WAL; REPEATABLE READ READ ONLY, which is never refused to who only reads.
- ``lasting=False``: ``synchronous=NORMAL``; ``synchronous_commit=off``.
- *Many rows at once*: ``executemany``; one JSON value that the server unfolds (``dialect.insert_all``, ``update_all``).
- *Order and case of texts*: binary, and LIKE ignores the case of ASCII letters; the same, because text columns are
  COLLATE "C" whatever the database was made with, and LIKE is ILIKE (``dialect.like``).
- *A NUL in a text*: kept; refused, :class:`InvalidInput`. What workers report has none (domain/wire.py).
- *Numbers*: any up to 63 bits in any column; a column's own range, beyond it :class:`InvalidInput`.
- *Length of what is looked up*: any; an index holds 2.7 kB, more is :class:`InvalidInput`.
- *New numbers*: AUTOINCREMENT where they must never come again; sequences, which leave some out.
- *Sums*: of ints an int; of bigints a Decimal, so cast those. Null comes first in an order; last.
- *SQL of their own*: ``dialect`` and ``times`` have a word for each, which means the same in both.
- *Rate limits*: a file of their own (``rates``); the table ``rate_windows``, for all control planes (``shared_rates``).
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from resit.domain.errors import InvalidInput, Unavailable
from resit.storage.refusals import meaning

BUSY_SECONDS = 30


def connect(url: str) -> Engine:
    """An engine for the database at ``url``, set up as described above; nothing is connected yet.

    Raises :class:`InvalidInput` for a URL that makes no sense. No error and no engine tells the URL's password.
    """
    found = _parsed(url)
    if found.get_backend_name() == "postgresql":
        from resit.storage import postgres

        return postgres.engine(found)
    return _sqlite(found)


def _parsed(url: str) -> URL:
    if url.startswith("postgres://"):
        url = "postgresql" + url.removeprefix("postgres")
    try:
        found = make_url(url)
        # A port that is no number is found out when it is asked for.
        _ = found.port
    except (ArgumentError, ValueError) as error:
        # Its own words might hold the password.
        raise InvalidInput("the database URL can't be read: write postgresql://user:password@host:port/name") from error
    if found.drivername not in ("sqlite", "postgresql", "postgresql+pg8000"):
        raise InvalidInput(f"a database URL begins with postgresql://, not with {found.drivername}://")
    return found


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=24, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction] # registered above
        # The driver's own transaction control would delay BEGIN until the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction] # registered above
        options = connection.get_execution_options()
        if options.get("reads", False):
            connection.exec_driver_sql("BEGIN")
            return
        wanted = "FULL" if options.get("lasting", True) else "NORMAL"
        if connection.info.get("synchronous", "FULL") != wanted:
            connection.info["synchronous"] = wanted
            connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


_WRITING: "WeakKeyDictionary[Engine, Lock]" = WeakKeyDictionary()
"""One writer at a time in this process too: SQLite lets those who come late sleep for up to 100 ms, a lock
wakes them at once. Between processes SQLite's own locks still decide."""


@contextmanager
def transaction(engine: Engine, *, write: bool, lasting: bool = True, alone: bool = False) -> Generator[Connection]:
    """A transaction: leaving the block commits, an exception rolls back.

    A database that is away, locked for too long or without room is :class:`Unavailable`, here and nowhere else. What no
    database can hold or look for (half a character, a number beyond 63 bits) is :class:`InvalidInput`. ``alone``: one
    at a time of those that say so.
    """
    try:
        with _turn(engine, write), engine.connect() as connection:
            connection.execution_options(reads=not write, lasting=lasting, alone=alone)
            with connection.begin():
                yield connection
    except DBAPIError as error:
        refusal = meaning(error)
        if refusal is None:
            raise
        raise refusal from error
    except PoolTimeout as error:
        raise Unavailable("all connections to the database are in use") from error
    except UnicodeEncodeError as error:
        raise InvalidInput("a text holds half a character (a lone surrogate): leave it out") from error
    except OverflowError as error:
        raise InvalidInput("a number is beyond 63 bits: there is no such thing") from error


@contextmanager
def _turn(engine: Engine, write: bool) -> Generator[None]:
    if not write or engine.dialect.name != "sqlite":
        yield
        return
    lock = _WRITING.setdefault(engine, Lock())
    if not lock.acquire(timeout=BUSY_SECONDS):
        raise Unavailable(f"the database was busy for {BUSY_SECONDS} s")
    try:
        yield
    finally:
        lock.release()
