"""What the doctor asks a database."""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DatabaseError

from resit.domain.doctor import Database, WebhookFact
from resit.domain.errors import ResitError
from resit.storage import tables
from resit.storage.connect import transaction
from resit.storage.migrate import current, newest
from resit.storage.times import clock_now

MOST_FAULTS = 5


class SqlSymptoms:
    """See ``resit.ports.telemetry.Symptoms``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def database(self, *, integrity: bool) -> Database:
        """How the database is."""
        kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[self._engine.dialect.name]
        try:
            with transaction(self._engine, write=False) as db:
                version = _version(db)
                before = time.time()
                theirs = db.execute(select(clock_now())).scalar_one()
                skew = theirs - (before + time.time()) / 2
                faults = _faults(db) if integrity and kind == "SQLite" else None
            # SQLite has our clock.
            return Database(
                kind=kind,
                version=version,
                at=current(self._engine),
                newest=newest(),
                integrity=faults,
                skew=skew if kind == "PostgreSQL" else None,
            )
        except (ResitError, DatabaseError) as error:
            return Database(kind=kind, away=str(error).partition("\n")[0])

    def environments(self, limit: int) -> Sequence[tuple[str, str]]:
        """Environments that are in use, as ``project/environment``, with the pool that each says."""
        projects, environments = tables.projects, tables.environments
        query = (
            select(projects.c.slug, environments.c.slug, environments.c.pool)
            .join_from(environments, projects, environments.c.project_id == projects.c.id)
            .where(environments.c.disabled.is_(False))
            .order_by(projects.c.slug, environments.c.slug)
            .limit(limit)
        )
        with transaction(self._engine, write=False) as db:
            return [(f"{row[0]}/{row[1]}", row[2]) for row in db.execute(query)]

    def failing_webhooks(self, limit: int) -> Sequence[WebhookFact]:
        """Webhooks whose first notice was tried in vain."""
        notices, webhooks, projects = tables.notices, tables.webhooks, tables.projects
        query = (
            select(webhooks.c.id, projects.c.slug, func.count(), func.max(notices.c.attempts))
            .join_from(notices, webhooks, notices.c.webhook_id == webhooks.c.id)
            .join(projects, webhooks.c.project_id == projects.c.id)
            .group_by(webhooks.c.id, projects.c.slug)
            .having(func.max(notices.c.attempts) > 0)
            .order_by(webhooks.c.id)
            .limit(limit)
        )
        with transaction(self._engine, write=False) as db:
            return [WebhookFact(*row) for row in db.execute(query)]

    def unbounded_projects(self) -> int:
        """Projects that keep their runs for ever."""
        table = tables.projects
        query = select(func.count()).select_from(table)
        query = query.where(table.c.keep_days == 0, table.c.keep_runs == 0, table.c.keep_bytes == 0)
        with transaction(self._engine, write=False) as db:
            return db.execute(query).scalar_one()


def _version(db: Connection) -> str:
    if db.dialect.name == "sqlite":
        return db.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    return db.exec_driver_sql("SHOW server_version").scalar_one().partition(" ")[0]


def _faults(db: Connection) -> str:
    """What SQLite finds wrong with its own file; empty when nothing."""
    found = [row[0] for row in db.exec_driver_sql(f"PRAGMA quick_check({MOST_FAULTS})")]
    return "" if found == ["ok"] else "; ".join(found)
