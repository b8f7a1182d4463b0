"""Stores of small things that a project owns: one value a row, added, found, saved, taken away."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from resit.domain.access import Role, User
from resit.domain.organization import Organization
from resit.domain.resource import Resource, ResourceStatus
from resit.domain.snooze import Snooze
from resit.domain.test_plan import TestPlan
from resit.domain.webhook import Notice, Webhook, WebhookEvent
from resit.storage import tables
from resit.storage.dialect import held, insert_all, upsert
from resit.storage.rows import AnyRow, dumps, loads

T = TypeVar("T")


def _plain(value: Any) -> dict[str, Any]:
    """Columns of a value without its number: lists as JSON, words of enumerations as text."""
    found: dict[str, Any] = {}
    for name in value.__dataclass_fields__:
        member = getattr(value, name)
        if name != "id":
            found[name] = dumps(list(cast("tuple[str, ...]", member))) if isinstance(member, tuple) else member
    return found


def _value(kind: Callable[..., T], row: AnyRow, **changed: Any) -> T:
    fields = cast("Mapping[str, Any]", getattr(kind, "__dataclass_fields__"))  # noqa: B009 - a class is no instance
    return kind(**{**{name: row[name] for name in fields}, **changed})


def snooze(row: AnyRow) -> Snooze:
    """A snooze."""
    return _value(Snooze, row, tests=tuple(loads(row["tests"], [])))


def test_plan(row: AnyRow) -> TestPlan:
    """A test plan."""
    return _value(TestPlan, row, tests=tuple(loads(row["tests"], [])), tags=tuple(loads(row["tags"], [])))


def resource(row: AnyRow) -> Resource:
    """A resource."""
    return _value(Resource, row, status=ResourceStatus(row["status"]))


def webhook(row: AnyRow) -> Webhook:
    """A webhook."""
    return _value(Webhook, row, events=tuple(WebhookEvent(event) for event in loads(row["events"], [])))


def user(row: AnyRow) -> User:
    """A person."""
    return _value(User, row, role=Role(row["role"]))


class Shelf(Generic[T]):
    """See ``resit.ports.storage.Shelf``."""

    def __init__(self, connection: Connection, table: Table, read: Callable[[AnyRow], T]) -> None:
        self._db, self._table, self._read = connection, table, read

    def add(self, value: T, **more: Any) -> T:
        statement = insert(self._table).values({**_plain(value), **more}).returning(self._table.c.id)
        return cast("T", replace(cast("Any", value), id=self._db.execute(statement).scalar_one()))

    def get(self, id: int) -> T | None:
        query = held(self._db, select(self._table).where(self._table.c.id == id))
        row = self._db.execute(query).mappings().first()
        return self._read(row) if row else None

    def save(self, value: T) -> None:
        id = cast("Any", value).id
        self._db.execute(update(self._table).where(self._table.c.id == id).values(_plain(value)))

    def remove(self, id: int) -> None:
        self._db.execute(delete(self._table).where(self._table.c.id == id))

    def of_project(self, project_id: int) -> Sequence[T]:
        query = select(self._table).where(self._table.c.project_id == project_id).order_by(self._table.c.id)
        return [self._read(row) for row in self._db.execute(query).mappings()]


class Snoozes(Shelf[Snooze]):
    """See ``resit.ports.storage.SnoozeStore``."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, tables.snoozes, snooze)

    def lasting(self, project_id: int, at: float) -> Sequence[Snooze]:
        table = tables.snoozes
        query = select(table).where(table.c.project_id == project_id, table.c.until > at).order_by(table.c.id)
        return [snooze(row) for row in self._db.execute(query).mappings()]


class Webhooks(Shelf[Webhook]):
    """See ``resit.ports.storage.WebhookStore``."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, tables.webhooks, webhook)

    def sealed(self, id: int) -> str:
        table = tables.webhooks
        return self._db.execute(select(table.c.sealed).where(table.c.id == id)).scalar() or ""

    def post(self, *notices: Notice) -> None:
        if notices:
            insert_all(self._db, insert(tables.notices), [_plain(notice) for notice in notices])

    def due(self, now: float, limit: int, besides: Collection[int] = ()) -> Sequence[Notice]:
        table = tables.notices
        oldest = (
            select(func.min(table.c.id))
            .where(table.c.due_at <= now, table.c.webhook_id.not_in(list(besides)))
            .group_by(table.c.webhook_id)
        )
        query = select(table).where(table.c.id.in_(oldest)).order_by(table.c.due_at, table.c.id).limit(limit)
        return [_value(Notice, row, event=WebhookEvent(row["event"])) for row in self._db.execute(query).mappings()]

    def forget_due(self, before: float) -> int:
        return self._db.execute(delete(tables.notices).where(tables.notices.c.due_at < before)).rowcount

    def put_off(self, notice: Notice) -> None:
        table = tables.notices
        values = {"attempts": notice.attempts, "due_at": notice.due_at}
        self._db.execute(update(table).where(table.c.id == notice.id).values(values))

    def done(self, id: int) -> None:
        self._db.execute(delete(tables.notices).where(tables.notices.c.id == id))


class Users(Shelf[User]):
    """See ``resit.ports.storage.UserStore``."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, tables.users, user)

    def by_email(self, email: str) -> User | None:
        row = self._db.execute(select(tables.users).where(tables.users.c.email == email)).mappings().first()
        return user(row) if row else None

    def all(self) -> Sequence[User]:
        return [user(row) for row in self._db.execute(select(tables.users).order_by(tables.users.c.id)).mappings()]

    def password(self, id: int) -> str:
        return self._db.execute(select(tables.users.c.password).where(tables.users.c.id == id)).scalar() or ""

    def set_password(self, id: int, password: str) -> None:
        self._db.execute(update(tables.users).where(tables.users.c.id == id).values(password=password))


class OrganizationRow:
    """See ``resit.ports.storage.OrganizationStore``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self) -> Organization:
        row = self._db.execute(select(tables.organization)).mappings().first()
        return _value(Organization, row) if row else Organization()

    def hold(self) -> Organization:
        row = self._db.execute(held(self._db, select(tables.organization))).mappings().first()
        return _value(Organization, row) if row else Organization()

    def save(self, value: Organization) -> None:
        values = _plain(value)
        statement = upsert(self._db, tables.organization).values(id=1, **values)
        self._db.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
