"""Several machines: pools, credentials of workers, control planes, duties; schedules, limits, retention, reports."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _large(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _time(name: str, default: str = "0") -> sa.Column[float]:
    return sa.Column(name, sa.Float(), server_default=default, nullable=False)


def _flag(name: str, default: str = "0") -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default=default, nullable=False)


def upgrade() -> None:
    """Apply."""
    _fleet()
    _of_runs()
    op.create_table(
        "schedules",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("environment_id", _ID, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        _text("cron"),
        sa.Column("zone", sa.Text(), server_default="UTC", nullable=False),
        _text("request"),
        sa.Column("overlap", sa.Text(), server_default="wait", nullable=False),
        _flag("active", "1"),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("last_at", sa.Float(), nullable=True),
        sa.Column("last_run_id", _ID, nullable=True),
        _whole("missed"),
        _text("problem"),
        _text("note"),
        _text("created_by"),
        _time("created_at"),
        _time("updated_at"),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name="fk_schedules_environment_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_schedules_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.UniqueConstraint("project_id", "name", name="uq_schedules_project_id_name"),
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"])
    for column in (
        _time("stall_limit", "600"),
        _time("batch_limit"),
        _whole("priority"),
        _whole("max_failures"),
        _time("keep_days"),
        _whole("keep_runs"),
        _large("keep_bytes"),
        _flag("html_report", "1"),
    ):
        op.add_column("projects", column)
    for column in (
        _whole("priority"),
        _whole("max_failures"),
        sa.Column("start_at", sa.Float(), nullable=True),
        sa.Column("schedule_id", _ID, nullable=True),
        _flag("kept"),
        _text("trace"),
        sa.Column("told_at", sa.Float(), nullable=True),
        _flag("gone"),
        sa.Column("source_gone", _ID, nullable=True),
    ):
        op.add_column("runs", column)
    # Nobody waits to be told of what ended before.
    op.execute("UPDATE runs SET told_at = finished_at WHERE finished_at IS NOT NULL")
    untold = sa.text("finished_at IS NOT NULL AND told_at IS NULL")
    op.create_index("ix_runs_untold", "runs", ["finished_at"], sqlite_where=untold, postgresql_where=untold)
    op.create_index("ix_runs_gone", "runs", ["id"], sqlite_where=sa.text("gone = 1"), postgresql_where=sa.text("gone"))
    op.create_index("ix_requests_run_id", "requests", ["run_id"])
    op.drop_index("ix_artifacts_run_id_id", "artifacts")
    op.create_index("ix_artifacts_run_id_id_stored_size", "artifacts", ["run_id", "id", "stored", "size"])
    delayed = sa.text("start_at IS NOT NULL")
    op.create_index("ix_runs_start_at", "runs", ["start_at"], sqlite_where=delayed, postgresql_where=delayed)
    for column in (
        _text("labels"),
        _text("holding"),
        _flag("draining"),
        sa.Column("credential_id", _ID, nullable=True),
        _text("host"),
        _time("started_at"),
        _time("skew"),
    ):
        op.add_column("workers", column)
    op.add_column("ledger", _time("began_at"))
    _order_of_texts()


def _order_of_texts() -> None:
    """On PostgreSQL: texts are in the order of their characters' numbers, whatever language the database has.

    It comes last, for all tables that there are by then. Later migrations say it of their own columns.
    """
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    columns = sa.text(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
        " ORDER BY table_name, ordinal_position"
    )
    changes: dict[str, list[str]] = {}
    for table, column in connection.execute(columns):
        changes.setdefault(table, []).append(f'ALTER COLUMN "{column}" TYPE text COLLATE "C"')
    for table, parts in changes.items():
        op.execute(f'ALTER TABLE "{table}" {", ".join(parts)}')


def _fleet() -> None:
    op.create_table(
        "control_planes",
        sa.Column("name", sa.Text(), nullable=False),
        _text("url"),
        _text("version"),
        _text("broker"),
        _text("key"),
        _time("started_at"),
        _time("seen_at"),
        sa.PrimaryKeyConstraint("name", name="pk_control_planes"),
    )
    op.create_table(
        "duties",
        sa.Column("name", sa.Text(), nullable=False),
        _text("holder"),
        _time("until"),
        sa.PrimaryKeyConstraint("name", name="pk_duties"),
    )
    op.create_table(
        "pools",
        sa.Column("name", sa.Text(), nullable=False),
        _text("labels"),
        _text("description"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("name", name="pk_pools"),
    )
    op.create_table(
        "rate_windows",
        sa.Column("key", sa.Text(), nullable=False),
        _time("began"),
        _time("ends"),
        _whole("count"),
        sa.PrimaryKeyConstraint("key", name="pk_rate_windows"),
    )
    op.create_table(
        "worker_credentials",
        sa.Column("id", _ID, nullable=False),
        _text("name"),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        _text("created_by"),
        _time("created_at"),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.Column("seen_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_worker_credentials"),
        sa.UniqueConstraint("digest", name="uq_worker_credentials_digest"),
    )
    op.create_index("ix_worker_credentials_prefix", "worker_credentials", ["prefix"])


def _of_runs() -> None:
    op.create_table(
        "reports",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        _text("state"),
        _text("key"),
        _large("size"),
        _text("words"),
        _whole("tries"),
        _text("claim"),
        _time("created_at"),
        _time("touched_at"),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_reports_run_id"),
        sa.PrimaryKeyConstraint("run_id", "kind", name="pk_reports"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reports_state_touched_at", "reports", ["state", "touched_at"])
    op.create_table(
        "voices",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _whole("taken"),
        _flag("gap"),
        _time("heard_at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_voices_run_id"),
        sa.PrimaryKeyConstraint("run_id", "name", name="pk_voices"),
        sqlite_with_rowid=False,
    )
