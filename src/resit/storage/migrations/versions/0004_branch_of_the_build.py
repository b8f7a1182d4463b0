"""A branch of the test repository that is named like the build's, for runs that would rather have it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    op.add_column("runs", sa.Column("prefer_branch", sa.Text(), server_default="", nullable=False))
