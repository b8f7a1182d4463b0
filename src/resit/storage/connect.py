"""Connecting, and the written list of what differs between the databases.

SQLite: WAL (readers never wait for the writer); a commit is on disk when it returns (``synchronous=FULL``), because
ingest tells the broker to forget what it has committed - but where a transaction says that it need not last; foreign
keys on; one writer at a time through ``BEGIN IMMEDIATE``, so a transaction that will write never fails half-way for a
lock.
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from resit.domain.errors import InvalidInput, Unavailable

BUSY_SECONDS = 30


def connect(url: str) -> Engine:
    """An engine for the database at ``url``, set up as described above."""
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
def transaction(engine: Engine, *, write: bool, lasting: bool = True) -> Generator[Connection]:
    """A transaction: leaving the block commits, an exception rolls back.

    A database that is away, locked for too long or without room is :class:`Unavailable`, here and nowhere else. What no
    database can hold or look for (half a character, a number beyond 63 bits) is :class:`InvalidInput`.
    """
    try:
        with _turn(engine, write), engine.connect() as connection:
            connection.execution_options(reads=not write, lasting=lasting)
            with connection.begin():
                yield connection
    except OperationalError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error
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
