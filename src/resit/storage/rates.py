"""Counters of rate limits, shared by all processes of a server.

In a database of their own that needs no care: a counter that is lost with the machine's power does no harm, and one
that can't be read lets requests through. One connection a process, one thread at a time: SQLite lets one writer in
anyway, and makes those who wait sleep for longer than a count takes.
"""

import logging
import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

from resit.domain.rates import Rate, Standing, standing

log = logging.getLogger(__name__)

BUSY_SECONDS = 0.25
"""How long another process may keep the file to itself before a request goes through uncounted."""
PAUSE_SECONDS = 1.0
"""How long nothing is counted after the file failed, so that not every request waits for it."""
SILENT_SECONDS = 600.0
"""At most one line in the log about it in so many seconds."""
PRUNE_EVERY = 1000
"""Counts after which windows that have passed are forgotten."""

_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=OFF",
    "CREATE TABLE IF NOT EXISTS windows (key TEXT PRIMARY KEY, began REAL, ends REAL, count INTEGER) WITHOUT ROWID",
)
_HIT = """
INSERT INTO windows (key, began, ends, count) VALUES (:key, :now, :ends, 1)
ON CONFLICT (key) DO UPDATE SET
  began = iif(:now >= began AND :now < ends, began, :now),
  count = iif(:now >= began AND :now < ends, count + 1, 1),
  ends = iif(:now >= began AND :now < ends, ends, :ends)
RETURNING count, began
"""
"""One statement, so that nobody comes in between. A window that begins after now: the clock was set back."""


class SqliteRates:
    """See ``resit.ports.Rates``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._pid = 0
        self._counts = 0
        self._paused_until = self._silent_until = 0.0

    def hit(self, key: str, rate: Rate, now: float) -> Standing:
        """Count one request. Where the file is away or broken, the request counts as the first of its window."""
        if not rate.limit:
            return standing(rate, 1, now)
        with self._lock:
            count, began = self._counted(key, rate, now) or (1, now)
        return standing(rate, count, began)

    def close(self) -> None:
        """Let go of the file; the next count opens it again."""
        with self._lock:
            self._close()

    def _counted(self, key: str, rate: Rate, now: float) -> tuple[int, float] | None:
        """Count, a second time over a fresh file when the first one is broken; None when that fails too."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            try:
                return self._count(key, rate, now)
            except sqlite3.Error as error:
                if _busy(error):
                    raise
                self._mend(error)
                return self._count(key, rate, now)
        except (sqlite3.Error, OSError) as error:
            self._pause(error)
            return None

    def _count(self, key: str, rate: Rate, now: float) -> tuple[int, float]:
        db = self._open()
        said = {"key": key, "now": now, "ends": now + rate.window}
        # All rows are fetched: before that the statement, and with it its lock, is not over.
        [(count, began)] = db.execute(_HIT, said).fetchall()
        self._counts += 1
        if self._counts % PRUNE_EVERY == 0:
            db.execute("DELETE FROM windows WHERE ends <= ?", (now,))
        return count, began

    def _open(self) -> sqlite3.Connection:
        """The connection: another one after a fork, and when the file was taken away."""
        if self._db is not None and self._pid == os.getpid() and self._identity() == self._file:
            return self._db
        self._close()
        db = sqlite3.connect(self._path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            for statement in _SETTINGS:
                db.execute(statement).fetchall()
        except sqlite3.Error:
            self._file = self._identity()
            db.close()
            raise
        self._db, self._file, self._pid = db, self._identity(), os.getpid()
        return db

    def _identity(self) -> tuple[int, int]:
        """What tells this file from another one of its name."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _mend(self, error: sqlite3.Error) -> None:
        """Do away with a file that is broken, unless another process did so already."""
        self._close()
        if _broken(error) and self._identity() == self._file:
            self._tell("the counters of rate limits are broken (%s): they begin anew", error)
            for end in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)

    def _pause(self, error: Exception) -> None:
        self._close()
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        self._tell("rate limits are not kept for now: %s does not answer (%s)", self._path.name, error)

    def _tell(self, words: str, *values: object) -> None:
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + SILENT_SECONDS
            log.warning(words, *values)

    def _close(self) -> None:
        if self._db is not None and self._pid == os.getpid():
            with suppress(sqlite3.Error):
                self._db.close()
        self._db = None


def _primary(error: sqlite3.Error) -> int:
    """SQLite's own number of what went wrong."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _busy(error: sqlite3.Error) -> bool:
    return _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _broken(error: sqlite3.Error) -> bool:
    return _primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
