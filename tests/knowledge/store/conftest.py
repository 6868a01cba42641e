"""The store's tests run on SQLite, and on PostgreSQL too where TEST_POSTGRES_URL names a server (as CI does)."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from knowledge.store import Store
from knowledge.store.schema import upgrade

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL")


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES_URL else ["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store with its tables."""
    if request.param == "sqlite":
        opened = _open(f"sqlite:///{tmp_path}/store.sqlite3")
        yield opened
        opened.close()
        return
    server = create_engine(make_url(POSTGRES_URL or ""), isolation_level="AUTOCOMMIT")
    name = f"test_{uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    opened = _open(server.url.set(database=name).render_as_string(hide_password=False))
    try:
        yield opened
    finally:
        opened.close()
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def _open(url: str) -> Store:
    upgrade(url)
    return Store(url)
