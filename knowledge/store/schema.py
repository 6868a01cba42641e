"""Brings a store's tables up to date with Alembic."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from knowledge.store.database import Store
from knowledge.store.tables import Table

MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x656E677261696E  # "engrain"


def upgrade(url: str) -> None:
    """Runs the missing migrations. Safe from several processes at once: one does it, the others wait."""
    store = Store(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with store.write() as session:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                session.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        store.close()


def differences(store: Store) -> list[object]:
    """What the tables in the store lack of, or have beyond, `knowledge.store.tables`. Empty after `upgrade`."""
    with store.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))
