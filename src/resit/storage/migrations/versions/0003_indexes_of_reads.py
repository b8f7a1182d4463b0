"""For what the vendors' APIs read: the tests of a file, the newest run of an environment, times of log lines."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    op.create_index(op.f("ix_test_cases_project_id_file"), "test_cases", ["project_id", "file"])
    op.create_index(op.f("ix_runs_environment_id_id"), "runs", ["environment_id", "id"])
    op.add_column("logs", sa.Column("at", sa.Float(), server_default="0", nullable=False))
