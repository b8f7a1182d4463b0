"""All tables, once, for both databases. Times are seconds since the epoch (UTC); JSON is text that we wrote."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column that is INTEGER to the letter."""


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _int(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _time(name: str) -> Column[float]:
    return Column(name, Float, nullable=False, server_default="0")


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="0")


projects = Table(
    "projects",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("slug", Text, nullable=False, unique=True),
    _text("name"),
    _text("source"),
    _text("sealed_source"),
    _text("executor"),
    _text("branch"),
    _text("workdir"),
    _text("setup"),
    _text("config"),
    _int("shards"),
    Column("time_limit", Float, nullable=False, server_default="7200"),
    _int("max_runs"),
    _text("repository"),
    Column("listed_in", Id),
    _time("created_at"),
)

environments = Table(
    "environments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("slug", Text, nullable=False),
    _text("name"),
    _text("variables"),
    _text("secret_names"),
    _text("sealed"),
    _text("match"),
    _text("ignore"),
    _text("pool"),
    Column("platform", Text, nullable=False, server_default="linux"),
    _flag("disabled"),
    _text("schedule"),
    _time("created_at"),
    _time("updated_at"),
    UniqueConstraint("project_id", "slug"),
)

organization = Table(
    "organization",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("monthly_runs", Integer),
    _flag("suspended"),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    _text("name"),
    _text("role"),
    Column("project_id", Id, ForeignKey("projects.id")),
    _flag("disabled"),
    _text("password"),
    _time("created_at"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    _text("name"),
    Column("prefix", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id")),
    _text("scopes"),
    _time("created_at"),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("user_id", Id, index=True),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("environment_id", Id, ForeignKey("environments.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("verdict", Text),
    *(
        _int(name)
        for name in (
            "passed", "failed", "flaky", "skipped", "errored", "lost",
            "not_found", "cancelled", "planned", "running", "precluded", "snoozed",
        )
    ),
    _text("selection"),
    Column("source_run_id", Id, ForeignKey("runs.id"), index=True),
    _text("reason"),
    _text("branch"),
    _flag("pinned"),
    _text("prefer_branch"),
    _text("commit_sha"),
    _text("build"),
    _text("metadata"),
    _text("variables"),
    _int("shards"),
    _int("total_shards"),
    _text("pool"),
    _text("facts"),
    _text("problems"),
    _text("triggered_by"),
    _text("actor"),
    Column("via", Text, nullable=False, server_default="api"),
    Column("notify", Boolean, nullable=False, server_default="1"),
    _text("group"),
    Column("superseded_by", Id),
    _text("cancelled_by"),
    _text("cancel_reason"),
    Column("test_plan_id", Id),
    _text("plan_claim"),
    _int("plan_attempts"),
    _int("seq"),
    _time("deadline"),
    _time("touched_at"),
    _time("created_at"),
    Column("started_at", Float),
    Column("planned_at", Float),
    Column("finished_at", Float),
    Index(None, "project_id", "id"),
    Index(None, "project_id", "created_at"),
    Index(None, "environment_id", "id"),
    Index(None, "created_at"),
    Index(None, "status"),
    sqlite_autoincrement=True,
)  # fmt: skip

requests = Table(
    "requests",
    metadata,
    Column("key", Text, primary_key=True),
    _text("digest"),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    _time("created_at"),
)

test_cases = Table(
    "test_cases",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("test", Text, nullable=False),
    _text("file"),
    _text("title"),
    _text("variant"),
    _text("tags"),
    _int("line"),
    Column("expected", Float),
    Column("last_outcome", Text),
    Column("last_run_id", Id),
    _text("key"),
    _text("first_commit"),
    _text("last_commit"),
    Column("listed_in", Id),
    Column("own_tags", Text),
    _flag("draft"),
    _text("goal"),
    _time("created_at"),
    _time("updated_at"),
    UniqueConstraint("project_id", "test"),
    Index(None, "project_id", "key"),
    Index(None, "project_id", "file"),
)

files = Table(
    "files",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("path", Text, nullable=False),
    _time("created_at"),
    UniqueConstraint("project_id", "path"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("case_uuid", Text, nullable=False, server_default=""),
    Column("test", Text, nullable=False),
    _text("file"),
    _text("title"),
    _text("variant"),
    _text("tags"),
    _int("line"),
    _text("unit"),
    _int("batch"),
    Column("outcome", Text),
    _flag("running"),
    _int("tries"),
    _flag("failed_before"),
    _flag("precluded"),
    _flag("snoozed"),
    _text("reason"),
    _time("duration"),
    _int("seq"),
    UniqueConstraint("run_id", "test"),
    Index(None, "run_id", "seq"),
    Index(None, "run_id", "batch"),
    Index(None, "case_uuid", "run_id"),
    sqlite_with_rowid=False,
)

plan_parts = Table(
    "plan_parts",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("claim", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    _text("tests"),
)

batches = Table(
    "batches",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _flag("ended"),
    Column("fence", Text),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("claim", Text, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    _int("batch"),
    _int("number"),
    _text("worker"),
    _int("shard"),
    _text("state"),
    _time("started_at"),
    _time("seen_at"),
    Index(None, "run_id", "batch"),
    Index(None, "state", "seen_at"),
)

results = Table(
    "results",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("retry", Integer, primary_key=True),
    _text("status"),
    _flag("final"),
    _flag("counted"),
    _time("started_at"),
    _time("duration"),
    _text("details"),
    sqlite_with_rowid=False,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    Column("ordinal", Integer),
    _int("attempt"),
    _int("retry"),
    _text("name"),
    _text("content_type"),
    Column("size", BigInteger, nullable=False, server_default="0"),
    _flag("stored"),
    Index(None, "run_id", "id"),
)

logs = Table(
    "logs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    _int("shard"),
    Column("offset", BigInteger, nullable=False, server_default="0"),
    _time("at"),
    _text("text"),
    Index(None, "run_id", "shard", "offset"),
)

snoozes = Table(
    "snoozes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    _text("tests"),
    _time("until"),
    _text("description"),
    _text("created_by"),
    Column("from_run_id", Id),
    Column("environment_id", Id, ForeignKey("environments.id")),
    _time("created_at"),
    _time("updated_at"),
    Index(None, "project_id", "until"),
)

test_plans = Table(
    "test_plans",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    _text("tests"),
    _text("tags"),
    Column("environment_id", Id, ForeignKey("environments.id")),
    _flag("default"),
    _time("created_at"),
    UniqueConstraint("project_id", "name"),
)

resources = Table(
    "resources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    _text("name"),
    _text("url"),
    _text("description"),
    _text("mime_type"),
    Column("size", BigInteger),
    _text("status"),
    _text("created_by"),
    _time("created_at"),
    _time("updated_at"),
    Index(None, "project_id", "id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    _text("url"),
    _text("events"),
    _flag("active"),
    _text("sealed"),
    _time("created_at"),
    Index(None, "project_id", "id"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("webhook_id", Id, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    _text("event"),
    _text("payload"),
    _int("attempts"),
    _time("due_at"),
    Index(None, "due_at"),
    Index(None, "webhook_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("run_id", Id, nullable=False),
    _text("pool"),
    _int("number"),
    _text("data"),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    _text("pool"),
    _int("slots"),
    _text("version"),
    _time("seen_at"),
)
