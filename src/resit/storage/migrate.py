"""Bring a database to the newest schema. One tree of migrations for both databases."""

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from resit.domain.errors import Conflict

_FOLDER = Path(__file__).parent / "migrations"


def newest() -> str:
    """The name of the newest migration; files are numbered."""
    return max(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py"))[:4]


def current(engine: Engine) -> str:
    """The migration that a database stands at; empty for a database that is new."""
    if not inspect(engine).has_table("alembic_version"):
        return ""
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def upgrade(engine: Engine, to: str = "head") -> bool:
    """Apply what is missing; True when something was. Cheap when there is nothing to do.

    Raises :class:`Conflict` for a database that a newer Resit has written.
    """
    at = current(engine)
    if at == newest():
        return False
    if at > newest():
        raise Conflict(f"the database is at version {at}, this Resit knows {newest()}: it was written by a newer Resit")
    # Alembic is slow to import, and most starts need none of it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return True
