"""Alembic's entry: runs the migrations on the connection that ``resit.storage.migrate`` hands over."""

from alembic import context

from resit.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    # SQLite takes schema changes back like any other; Alembic does not assume it
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
