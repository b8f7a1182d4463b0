"""Projects and what they own."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, LargeBinary, Table, UniqueConstraint

from resit.domain.timing import KEPT
from resit.storage.tables.base import Id, Text, flag, large, metadata, text, time, whole

projects = Table(
    "projects",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("slug", Text, nullable=False, unique=True),
    text("name"),
    text("source"),
    text("sealed_source"),
    text("executor"),
    text("branch"),
    text("workdir"),
    text("setup"),
    text("config"),
    whole("shards"),
    Column("time_limit", Float, nullable=False, server_default="7200"),
    whole("max_runs"),
    Column("stall_limit", Float, nullable=False, server_default="600"),
    time("batch_limit"),
    whole("priority"),
    whole("max_failures"),
    time("keep_days"),
    whole("keep_runs"),
    large("keep_bytes"),
    Column("html_report", Boolean, nullable=False, server_default="1"),
    text("repository"),
    Column("listed_in", Id),
    time("created_at"),
)

environments = Table(
    "environments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("slug", Text, nullable=False),
    text("name"),
    text("variables"),
    text("secret_names"),
    text("sealed"),
    text("match"),
    text("ignore"),
    text("pool"),
    Column("platform", Text, nullable=False, server_default="linux"),
    flag("disabled"),
    text("schedule"),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("project_id", "slug"),
)

test_cases = Table(
    "test_cases",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("test", Text, nullable=False),
    text("file"),
    text("title"),
    text("variant"),
    text("tags"),
    whole("line"),
    Column("expected", Float),
    Column("last_outcome", Text),
    Column("last_run_id", Id),
    text("key"),
    text("first_commit"),
    text("last_commit"),
    Column("listed_in", Id),
    Column("own_tags", Text),
    flag("draft"),
    text("goal"),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("project_id", "test"),
    Index(None, "project_id", "key"),
    Index(None, "project_id", "file"),
)

durations = Table(
    "durations",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
    Column("environment_id", Id, ForeignKey("environments.id"), primary_key=True),
    Column("test", Text, primary_key=True),
    *(Column(f"seconds_{age}", Float, nullable=age > 0) for age in range(KEPT)),
    sqlite_with_rowid=False,
)
"""How long tests took in their last runs, the newest first."""

listings = Table(
    "listings",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("listed_in", Id, nullable=False),
    text("facts"),
    Column("tests", LargeBinary, nullable=False),
    time("created_at"),
)
"""What workers listed, by all that it depends on (worker/listed.py)."""

files = Table(
    "files",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("path", Text, nullable=False),
    time("created_at"),
    UniqueConstraint("project_id", "path"),
)

snoozes = Table(
    "snoozes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    text("tests"),
    time("until"),
    text("description"),
    text("created_by"),
    Column("from_run_id", Id),
    Column("environment_id", Id, ForeignKey("environments.id")),
    time("created_at"),
    time("updated_at"),
    Index(None, "project_id", "until"),
)

test_plans = Table(
    "test_plans",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    text("tests"),
    text("tags"),
    Column("environment_id", Id, ForeignKey("environments.id")),
    flag("default"),
    time("created_at"),
    UniqueConstraint("project_id", "name"),
)

resources = Table(
    "resources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    text("name"),
    text("url"),
    text("description"),
    text("mime_type"),
    Column("size", BigInteger),
    text("status"),
    text("created_by"),
    time("created_at"),
    time("updated_at"),
    Index(None, "project_id", "id"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    text("url"),
    text("events"),
    flag("active"),
    text("sealed"),
    time("created_at"),
    Index(None, "project_id", "id"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("webhook_id", Id, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    text("event"),
    text("payload"),
    whole("attempts"),
    time("due_at"),
    Index(None, "due_at"),
    Index(None, "webhook_id"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("environment_id", Id, ForeignKey("environments.id")),
    Column("name", Text, nullable=False),
    text("cron"),
    Column("zone", Text, nullable=False, server_default="UTC"),
    text("request"),
    Column("overlap", Text, nullable=False, server_default="wait"),
    Column("active", Boolean, nullable=False, server_default="1"),
    Column("next_at", Float),
    Column("last_at", Float),
    Column("last_run_id", Id),
    whole("missed"),
    text("problem"),
    text("note"),
    text("created_by"),
    time("created_at"),
    time("updated_at"),
    UniqueConstraint("project_id", "name"),
    Index(None, "next_at"),
)
