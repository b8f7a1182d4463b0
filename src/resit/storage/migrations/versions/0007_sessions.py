"""An index of what did not pass; sessions of the web page, links to it, when tokens were used, people of providers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.add_column("tokens", sa.Column("kind", _TEXT, server_default="", nullable=False))
    op.add_column("tokens", sa.Column("used_at", sa.Float(), server_default="0", nullable=False))
    few = sa.text("outcome <> 'passed'")
    op.create_index("ix_ledger_not_passed", "ledger", ["run_id", "outcome"], sqlite_where=few, postgresql_where=few)
    op.add_column("users", sa.Column("subject", _TEXT, server_default="", nullable=False))
