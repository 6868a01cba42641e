"""PostgreSQL and Redis for the tests, where `TEST_POSTGRES_URL` and `TEST_REDIS_URL` name servers (as CI does)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

from knowledge.store.schema import upgrade

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "")
STORES = ["sqlite", "postgresql"] if POSTGRES_URL else ["sqlite"]


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped at the end."""
    server = create_engine(make_url(POSTGRES_URL), isolation_level="AUTOCOMMIT")
    name = f"test_{uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


@contextmanager
def empty_store(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a store with its tables and nothing in them."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/store.sqlite3"
        upgrade(url)
        yield url
        return
    with database() as url:
        upgrade(url)
        yield url
