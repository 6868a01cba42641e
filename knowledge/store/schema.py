"""Brings a store's tables up to date with Alembic."""

from pathlib import Path

import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from knowledge.store.database import Store
from knowledge.store.tables import Table

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x656E677261696E  # "engrain"


def upgrade(url: str, to: str = "head") -> None:
    """Runs the missing migrations. Safe from several processes at once: one does it, the others wait.

    A store that newer code has migrated is left as it is: migrations only add, so this code can work on it.
    """
    store = Store(url)
    config = _config()
    try:
        with store.write() as session:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                session.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            found = revision(connection)
            if found is not None and not is_known(found):
                log.warning("newer code has migrated the store; it is left as it is", revision=found)
                return
            config.attributes["connection"] = connection
            command.upgrade(config, to)
    finally:
        store.close()


def head() -> str:
    """The revision that this code's tables have."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None
    return newest


def is_known(found: str) -> bool:
    """Whether this code has a migration of that name."""
    return found in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def revision(connection: Connection) -> str | None:
    """The revision that the store's tables have; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def differences(store: Store) -> list[object]:
    """What the tables in the store lack of, or have beyond, `knowledge.store.tables`. Empty after `upgrade`."""
    with store.engine.connect() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))
