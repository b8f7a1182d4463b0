"""Balance: how long tests took in each environment, which may run apart from their files, listings to use again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.add_column("ledger", sa.Column("apart", sa.Boolean(), server_default="0", nullable=False))
    op.add_column("runs", sa.Column("target_time", sa.Float(), server_default="0", nullable=False))
    op.create_table(
        "durations",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("environment_id", _ID, nullable=False),
        sa.Column("test", _TEXT, nullable=False),
        *(sa.Column(f"seconds_{age}", sa.Float(), nullable=age > 0) for age in range(5)),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_durations_project_id"),
        sa.ForeignKeyConstraint(["environment_id"], ["environments.id"], name="fk_durations_environment_id"),
        sa.PrimaryKeyConstraint("project_id", "environment_id", "test", name="pk_durations"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "listings",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("listed_in", _ID, nullable=False),
        sa.Column("facts", _TEXT, server_default="", nullable=False),
        sa.Column("tests", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_listings_project_id"),
        sa.PrimaryKeyConstraint("project_id", "key", name="pk_listings"),
    )
