"""Runs: their ledgers, work, results and files."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table, UniqueConstraint
from sqlalchemy import text as sql

from resit.storage.tables.base import Id, Text, flag, large, metadata, text, time, whole

_UNTOLD = sql("finished_at IS NOT NULL AND told_at IS NULL")
_NOT_PASSED = sql("outcome <> 'passed'")
"""Few rows of a ledger: what is asked for most, and by re-runs. A query has to say these words to get at the index."""
_DELAYED = sql("start_at IS NOT NULL")
"""Few runs are delayed, and only those are looked for by their time."""
# ``gone``: retention takes the run apart, and nobody reads it. ``source_gone``: the number of a source that went.

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
        whole(name)
        for name in (
            "passed", "failed", "flaky", "skipped", "errored", "lost",
            "not_found", "cancelled", "planned", "running", "precluded", "snoozed",
        )
    ),
    text("selection"),
    Column("source_run_id", Id, ForeignKey("runs.id"), index=True),
    text("reason"),
    text("branch"),
    flag("pinned"),
    text("prefer_branch"),
    text("commit_sha"),
    text("build"),
    text("metadata"),
    text("variables"),
    whole("shards"),
    whole("total_shards"),
    text("pool"),
    text("facts"),
    text("problems"),
    text("triggered_by"),
    text("actor"),
    Column("via", Text, nullable=False, server_default="api"),
    Column("notify", Boolean, nullable=False, server_default="1"),
    text("group"),
    whole("priority"),
    whole("max_failures"),
    time("target_time"),
    Column("start_at", Float),
    Column("schedule_id", Id),
    flag("kept"),
    flag("gone"),
    Column("source_gone", Id),
    text("trace"),
    Column("told_at", Float),
    Column("superseded_by", Id),
    text("cancelled_by"),
    text("cancel_reason"),
    Column("test_plan_id", Id),
    text("plan_claim"),
    whole("plan_attempts"),
    whole("seq"),
    time("deadline"),
    time("touched_at"),
    time("created_at"),
    Column("started_at", Float),
    Column("planned_at", Float),
    Column("finished_at", Float),
    Index(None, "project_id", "id"),
    Index(None, "project_id", "created_at"),
    Index(None, "environment_id", "id"),
    Index(None, "created_at"),
    Index(None, "status"),
    Index("ix_runs_untold", "finished_at", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    Index("ix_runs_start_at", "start_at", sqlite_where=_DELAYED, postgresql_where=_DELAYED),
    Index("ix_runs_gone", "id", sqlite_where=sql("gone = 1"), postgresql_where=sql("gone")),
    sqlite_autoincrement=True,
)  # fmt: skip

requests = Table(
    "requests",
    metadata,
    Column("key", Text, primary_key=True),
    text("digest"),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False, index=True),
    time("created_at"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("case_uuid", Text, nullable=False, server_default=""),
    Column("test", Text, nullable=False),
    text("file"),
    text("title"),
    text("variant"),
    text("tags"),
    whole("line"),
    text("unit"),
    flag("apart"),
    whole("batch"),
    Column("outcome", Text),
    flag("running"),
    whole("tries"),
    flag("failed_before"),
    flag("precluded"),
    flag("snoozed"),
    text("reason"),
    time("duration"),
    whole("seq"),
    time("began_at"),
    UniqueConstraint("run_id", "test"),
    Index(None, "run_id", "seq"),
    Index(None, "run_id", "batch"),
    Index(None, "case_uuid", "run_id"),
    Index("ix_ledger_not_passed", "run_id", "outcome", sqlite_where=_NOT_PASSED, postgresql_where=_NOT_PASSED),
    sqlite_with_rowid=False,
)

plan_parts = Table(
    "plan_parts",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("claim", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    text("tests"),
)

batches = Table(
    "batches",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    flag("ended"),
    Column("fence", Text),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("claim", Text, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    whole("batch"),
    whole("number"),
    text("worker"),
    whole("shard"),
    text("state"),
    time("started_at"),
    time("seen_at"),
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
    text("status"),
    flag("final"),
    flag("counted"),
    time("started_at"),
    time("duration"),
    text("details"),
    sqlite_with_rowid=False,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    Column("ordinal", Integer),
    whole("attempt"),
    whole("retry"),
    text("name"),
    text("content_type"),
    large("size"),
    flag("stored"),
    # Sizes and whether it is stored are in it so that sums need nothing else.
    Index(None, "run_id", "id", "stored", "size"),
)

logs = Table(
    "logs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("runs.id"), nullable=False),
    whole("shard"),
    large("offset"),
    time("at"),
    text("text"),
    Index(None, "run_id", "shard", "offset"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("run_id", Id, nullable=False),
    text("pool"),
    whole("number"),
    text("data"),
)

voices = Table(
    "voices",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    whole("taken"),
    flag("gap"),
    time("heard_at"),
    sqlite_with_rowid=False,
)
"""How far the numbered reports of a worker's share of a run have been taken."""

reports = Table(
    "reports",
    metadata,
    Column("run_id", Id, ForeignKey("runs.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    text("state"),
    text("key"),
    large("size"),
    text("words"),
    whole("tries"),
    text("claim"),
    time("created_at"),
    time("touched_at"),
    Column("finished_at", Float),
    Index(None, "state", "touched_at"),
    sqlite_with_rowid=False,
)
"""Files about a whole run that a worker made. What is made from the database when it is asked for is not here."""
