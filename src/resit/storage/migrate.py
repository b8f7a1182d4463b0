"""Bring a database to the newest schema. One tree of migrations for both databases."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from resit.domain.errors import Conflict
from resit.storage.connect import transaction
from resit.storage.tables import metadata

_FOLDER = Path(__file__).parent / "migrations"
_OLDEST_POSTGRESQL = (13,)


def newest() -> str:
    """The name of the newest migration; files are numbered."""
    return max(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py"))[:4]


def current(engine: Engine) -> str:
    """The migration that a database stands at; empty for a database that is new."""
    with transaction(engine, write=False) as connection:
        return _current(connection)


def _current(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def upgrade(engine: Engine, to: str = "head") -> bool:
    """Apply what is missing, in one transaction; True when something was. Cheap when there is nothing to do.

    Several may do it at the same time: one does, the others wait for it. Raises :class:`Conflict` for a database that a
    newer Resit has written, or that can't be one of Resit's; :class:`Unavailable`.
    """
    if not _lacking(current(engine)):
        return False
    # Alembic is slow to import, and most starts need none of it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with transaction(engine, write=True) as connection:
        if connection.dialect.name == "postgresql":
            _prepare(connection)
        if not _lacking(_current(connection)):
            return False
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return True


def refuse_newer(at: str) -> None:
    """Raise :class:`Conflict` for a database that a newer Resit has written."""
    if at > newest():
        raise Conflict(f"the database is at version {at}, this Resit knows {newest()}: it was written by a newer Resit")


def _lacking(at: str) -> bool:
    """Whether a database that stands at ``at`` lacks something."""
    refuse_newer(at)
    return at < newest()


def differences(connection: Connection) -> Sequence[str]:
    """Where the schema of a database is not that of the tables, in words."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[Any] = list(compare_metadata(context, metadata))
    # Changes of one column come as a list.
    return [_in_words(difference[0] if isinstance(difference, list) else difference) for difference in found]


def _in_words(difference: Any) -> str:
    """A step of Alembic that would make the schema what it should be."""
    verb, _, what = str(difference[0]).partition("_")
    named = [part if isinstance(part, str) else getattr(part, "name", None) for part in difference[1:]]
    words = {"add": "lacks", "remove": "has of somebody else's", "modify": "has otherwise"}
    return f"the schema {words.get(verb, verb)}: {what} {' '.join(str(name) for name in named if name)}"


def _prepare(connection: Connection) -> None:
    """Wait for one's turn, and have as much time as it takes. Raises :class:`Conflict` for a server that won't do."""
    from resit.storage.link import unhurried
    from resit.storage.postgres import UPGRADING

    if (connection.dialect.server_version_info or ()) < _OLDEST_POSTGRESQL:
        raise Conflict(f"Resit needs PostgreSQL {_OLDEST_POSTGRESQL[0]} or newer")
    if connection.execute(text("SHOW server_encoding")).scalar_one() != "UTF8":
        raise Conflict(
            "the database is not in UTF8: make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    unhurried(connection)
    connection.execute(text(f"SELECT pg_advisory_xact_lock({UPGRADING})"))
