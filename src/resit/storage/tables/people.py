"""The organization, people and their tokens."""

from sqlalchemy import Column, Float, ForeignKey, Integer, Table

from resit.storage.tables.base import Id, Text, flag, metadata, text, time

organization = Table(
    "organization",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("monthly_runs", Integer),
    flag("suspended"),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    text("name"),
    text("role"),
    Column("project_id", Id, ForeignKey("projects.id")),
    flag("disabled"),
    text("password"),
    time("created_at"),
    text("subject"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    text("name"),
    Column("prefix", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id")),
    text("scopes"),
    time("created_at"),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("user_id", Id, index=True),
    text("kind"),
    time("used_at"),
)
