"""Copies of an SQLite database that is in use, and what its rows refer to."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from resit.domain.errors import Conflict, NoRoom, Unavailable
from resit.ports import artifact_key

_STORED = (
    "SELECT run_id, id FROM artifacts WHERE stored",
    "SELECT NULL, 'resource-' || id FROM resources WHERE status = 'uploaded' AND url = ''",
)
_REPORTS = "SELECT NULL, key FROM reports WHERE key <> ''"
"""Of a table that early versions don't have."""


def snapshot(source: Path, to: Path) -> None:
    """Copy the database at ``source`` as it stands at one moment; those who write in it go on.

    In one step, because a copy in several begins anew whenever somebody writes. Raises :class:`Unavailable`,
    :class:`NoRoom`.
    """
    try:
        with closing(_open(source)) as live, closing(sqlite3.connect(to)) as copy:
            live.backup(copy, pages=-1)
            # One file, without the companions of a database in use.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        if "full" in str(error):
            raise NoRoom(f"no room for a copy of the database in {to.parent}") from error
        raise Unavailable(f"the database can't be copied: {error}") from error


def check(database: Path) -> None:
    """Raises :class:`Conflict` for what is no whole database of Resit's."""
    try:
        with closing(_open(database)) as copy:
            [(said,)] = copy.execute("PRAGMA quick_check(1)").fetchall()
            copy.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        raise Conflict(f"the database of the backup can't be used: {error}") from error
    if said != "ok":
        raise Conflict(f"the database of the backup is damaged: {said}")


def version(database: Path) -> str:
    """The migration that a database stands at."""
    with closing(_open(database)) as copy:
        return str(copy.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def keys(database: Path) -> Iterator[str]:
    """The keys of the files that a database calls stored."""
    with closing(_open(database)) as copy:
        known = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for query in (*_STORED, *((_REPORTS,) if "reports" in known else ())):
            for run, id in copy.execute(query):
                yield str(id) if run is None else artifact_key(run, id)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
    connection.execute("PRAGMA busy_timeout = 30000")
    return connection
