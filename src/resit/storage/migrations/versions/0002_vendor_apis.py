"""What the vendors' APIs need of the core: people, snoozes, test plans, resources, webhooks, numbers of files."""

import hashlib
import re

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "organization",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("monthly_runs", sa.Integer(), nullable=True),
        sa.Column("suspended", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
    )
    op.create_table(
        "files",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_files_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_files")),
        sa.UniqueConstraint("project_id", "path", name=op.f("uq_files_project_id_path")),
    )
    op.create_table(
        "resources",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("mime_type", sa.Text(), server_default="", nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_resources_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
    )
    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_resources_project_id_id"), ["project_id", "id"], unique=False)

    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("disabled", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("password", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_users_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("events", sa.Text(), server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("sealed", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_webhooks_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    with op.batch_alter_table("webhooks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_webhooks_project_id_id"), ["project_id", "id"], unique=False)

    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("webhook_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event", sa.Text(), server_default="", nullable=False),
        sa.Column("payload", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_notices_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notices_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_notices_webhook_id"), ["webhook_id"], unique=False)

    op.create_table(
        "snoozes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tests", sa.Text(), server_default="", nullable=False),
        sa.Column("until", sa.Float(), server_default="0", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("from_run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("environment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name=op.f("fk_snoozes_environment_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_snoozes_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snoozes")),
    )
    with op.batch_alter_table("snoozes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_snoozes_project_id_until"), ["project_id", "until"], unique=False)

    op.create_table(
        "test_plans",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("project_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tests", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", sa.Text(), server_default="", nullable=False),
        sa.Column("environment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("default", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name=op.f("fk_test_plans_environment_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_test_plans_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_test_plans")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_test_plans_project_id_name")),
    )
    with op.batch_alter_table("environments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("platform", sa.Text(), server_default="linux", nullable=False))
        batch_op.add_column(sa.Column("disabled", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("schedule", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("updated_at", sa.Float(), server_default="0", nullable=False))

    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.add_column(sa.Column("snoozed", sa.Boolean(), server_default="0", nullable=False))
        batch_op.create_index(batch_op.f("ix_ledger_case_uuid_run_id"), ["case_uuid", "run_id"], unique=False)

    with op.batch_alter_table("projects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("max_runs", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("repository", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("listed_in", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("snoozed", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("actor", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("via", sa.Text(), server_default="api", nullable=False))
        batch_op.add_column(sa.Column("notify", sa.Boolean(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("group", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("superseded_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(sa.Column("cancelled_by", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("cancel_reason", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("test_plan_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(sa.Column("planned_at", sa.Float(), nullable=True))
        batch_op.create_index(batch_op.f("ix_runs_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_project_id_created_at"), ["project_id", "created_at"], unique=False)

    with op.batch_alter_table("test_cases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("first_commit", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("last_commit", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("listed_in", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
        batch_op.add_column(sa.Column("own_tags", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("draft", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("goal", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("updated_at", sa.Float(), server_default="0", nullable=False))
        batch_op.create_index(batch_op.f("ix_test_cases_project_id_key"), ["project_id", "key"], unique=False)

    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True))
        batch_op.create_index(batch_op.f("ix_tokens_user_id"), ["user_id"], unique=False)

    # Test cases from before there were listings: known, and part of no listing until the next one.
    op.execute("UPDATE test_cases SET listed_in = COALESCE(last_run_id, 0), updated_at = created_at")
    _name_cases()
    op.execute("INSERT INTO files (project_id, path) SELECT DISTINCT project_id, file FROM test_cases")


def _name_cases() -> None:
    """The keys of the test cases that are there, by the rule of ``domain.ids.case_key`` as it stood then."""

    def sha1(text: str) -> str:
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:20]

    def key(test: str, file: str, variant: str) -> str:
        if re.fullmatch(r"[0-9a-f]{20}-[0-9a-f]{20}", test):
            return test
        return f"{sha1(file)}-{sha1(f'[project={variant}]{test}')}"

    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT id, test, file, variant FROM test_cases")).all()
    values = [{"id": row[0], "key": key(row[1], row[2], row[3])} for row in found]
    if values:
        connection.execute(sa.text("UPDATE test_cases SET key = :key WHERE id = :id"), values)
