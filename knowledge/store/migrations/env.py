"""Alembic runs the migrations on the connection, and in the transaction, that `schema.upgrade` opened."""

from alembic import context

from knowledge.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
context.run_migrations()
