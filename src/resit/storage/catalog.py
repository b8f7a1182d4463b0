"""Stores of projects, environments and tokens."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, func, insert, select, update

from resit.domain.access import Token, TokenKind
from resit.domain.project import Environment, Project
from resit.storage import rows, tables
from resit.storage.dialect import held, hold_word

_BEARER = tables.tokens.c.kind == TokenKind.API.value


class Projects:
    """See ``resit.ports.storage.ProjectStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, project: Project, sealed: str = "") -> Project:
        values = {**rows.project_values(project), "sealed_source": sealed}
        found = self._db.execute(insert(tables.projects).values(values).returning(tables.projects.c.id))
        return replace(project, id=found.scalar_one())

    def sealed_source(self, id: int) -> str:
        table = tables.projects
        return self._db.execute(select(table.c.sealed_source).where(table.c.id == id)).scalar() or ""

    def get(self, id: int) -> Project | None:
        row = self._db.execute(select(tables.projects).where(tables.projects.c.id == id)).mappings().first()
        return rows.project(row) if row else None

    def hold(self, id: int) -> Project | None:
        query = held(self._db, select(tables.projects).where(tables.projects.c.id == id))
        row = self._db.execute(query).mappings().first()
        return rows.project(row) if row else None

    def hold_group(self, id: int, group: str) -> None:
        hold_word(self._db, f"group {id} {group}")

    def by_slug(self, slug: str) -> Project | None:
        row = self._db.execute(select(tables.projects).where(tables.projects.c.slug == slug)).mappings().first()
        return rows.project(row) if row else None

    def by_uuid(self, uuid: str) -> Project | None:
        row = self._db.execute(select(tables.projects).where(tables.projects.c.uuid == uuid)).mappings().first()
        return rows.project(row) if row else None

    def save(self, project: Project) -> None:
        table = tables.projects
        self._db.execute(update(table).where(table.c.id == project.id).values(rows.project_values(project)))

    def save_environment(self, environment: Environment) -> None:
        table = tables.environments
        values = rows.environment_values(environment, "")
        del values["sealed"], values["secret_names"]
        self._db.execute(update(table).where(table.c.id == environment.id).values(values))

    def save_secrets(self, environment: Environment, sealed: str) -> None:
        table = tables.environments
        names = rows.environment_values(environment, sealed)["secret_names"]
        self._db.execute(update(table).where(table.c.id == environment.id).values(secret_names=names, sealed=sealed))

    def environments(self, project_id: int) -> Sequence[Environment]:
        table = tables.environments
        query = select(table).where(table.c.project_id == project_id).order_by(table.c.id)
        return [rows.environment(row) for row in self._db.execute(query).mappings()]

    def add_environment(self, environment: Environment, sealed: str) -> Environment:
        found = self._db.execute(
            insert(tables.environments)
            .values(rows.environment_values(environment, sealed))
            .returning(tables.environments.c.id)
        )
        return replace(environment, id=found.scalar_one())

    def environment(self, id: int) -> Environment | None:
        table = tables.environments
        row = self._db.execute(select(table).where(table.c.id == id)).mappings().first()
        return rows.environment(row) if row else None

    def environment_by_slug(self, project_id: int, slug: str) -> Environment | None:
        table = tables.environments
        row = (
            self._db.execute(select(table).where(table.c.project_id == project_id, table.c.slug == slug))
            .mappings()
            .first()
        )
        return rows.environment(row) if row else None

    def sealed(self, environment_id: int) -> str:
        table = tables.environments
        return self._db.execute(select(table.c.sealed).where(table.c.id == environment_id)).scalar() or ""


class Tokens:
    """See ``resit.ports.storage.TokenStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, token: Token) -> Token:
        found = self._db.execute(insert(tables.tokens).values(rows.token_values(token)).returning(tables.tokens.c.id))
        return replace(token, id=found.scalar_one())

    def by_prefix(self, prefix: str) -> Sequence[Token]:
        found = self._db.execute(select(tables.tokens).where(tables.tokens.c.prefix == prefix)).mappings()
        return [rows.token(row) for row in found]

    def get(self, id: int) -> Token | None:
        row = self._db.execute(select(tables.tokens).where(tables.tokens.c.id == id)).mappings().first()
        return rows.token(row) if row else None

    def all(self, project_id: int | None) -> Sequence[Token]:
        query = select(tables.tokens).where(_BEARER).order_by(tables.tokens.c.id)
        if project_id is not None:
            query = query.where(tables.tokens.c.project_id == project_id)
        return [rows.token(row) for row in self._db.execute(query).mappings()]

    def page(self, user_id: int | None, project_id: int | None, offset: int, limit: int) -> tuple[Sequence[Token], int]:
        table = tables.tokens
        which = [_BEARER] + [
            column == value
            for column, value in ((table.c.user_id, user_id), (table.c.project_id, project_id))
            if value is not None
        ]
        query = select(table).where(*which).order_by(table.c.id).offset(offset).limit(limit)
        total = self._db.execute(select(func.count()).select_from(table).where(*which)).scalar_one()
        return [rows.token(row) for row in self._db.execute(query).mappings()], total

    def named(self, user_id: int, name: str) -> bool:
        table = tables.tokens
        query = select(table.c.id).where(_BEARER, table.c.user_id == user_id, table.c.name == name).limit(1)
        return self._db.execute(query).first() is not None

    def revoke_all(self, user_id: int, now: float) -> None:
        table = tables.tokens
        own = update(table).where(table.c.user_id == user_id, table.c.revoked_at.is_(None))
        self._db.execute(own.values(revoked_at=now))

    def used(self, id: int, now: float) -> None:
        self._db.execute(update(tables.tokens).where(tables.tokens.c.id == id).values(used_at=now))

    def forget(self, before: float) -> None:
        table = tables.tokens
        over = table.c.revoked_at.is_not(None) | (table.c.expires_at < before)
        self._db.execute(delete(table).where(~_BEARER, over))

    def save(self, token: Token) -> None:
        self._db.execute(update(tables.tokens).where(tables.tokens.c.id == token.id).values(rows.token_values(token)))
