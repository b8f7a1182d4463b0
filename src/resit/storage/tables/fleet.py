"""Who takes part: workers, their pools and credentials, control planes."""

from sqlalchemy import Column, Float, Table

from resit.storage.tables.base import Id, Text, flag, metadata, text, time, whole

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    text("pool"),
    whole("slots"),
    text("version"),
    time("seen_at"),
    text("labels"),
    text("holding"),
    flag("draining"),
    Column("credential_id", Id),
    text("host"),
    time("started_at"),
    time("skew"),
)

pools = Table(
    "pools",
    metadata,
    Column("name", Text, primary_key=True),
    text("labels"),
    text("description"),
    time("created_at"),
)

worker_credentials = Table(
    "worker_credentials",
    metadata,
    Column("id", Id, primary_key=True),
    text("name"),
    Column("pool", Text, nullable=False),
    Column("prefix", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False, unique=True),
    text("created_by"),
    time("created_at"),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("seen_at", Float),
)

control_planes = Table(
    "control_planes",
    metadata,
    Column("name", Text, primary_key=True),
    text("url"),
    text("version"),
    text("broker"),
    text("key"),
    time("started_at"),
    time("seen_at"),
)

rate_windows = Table(
    "rate_windows",
    metadata,
    Column("key", Text, primary_key=True),
    time("began"),
    time("ends"),
    whole("count"),
)
"""Counters of rate limits that several control planes share; a server on SQLite keeps them in a file of their own."""

duties = Table(
    "duties",
    metadata,
    Column("name", Text, primary_key=True),
    text("holder"),
    time("until"),
)
"""Which control plane does what only one at a time needs to do, and until when it may without saying so again."""
