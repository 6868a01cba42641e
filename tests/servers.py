"""PostgreSQL and Redis for the tests, where `TEST_POSTGRES_URL` and `TEST_REDIS_URL` name servers (as CI does)."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

from knowledge.store import Store
from knowledge.store.schema import upgrade

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "")
STORES = ["sqlite", "postgresql"] if POSTGRES_URL else ["sqlite"]


@contextmanager
def database(template: str = "template0") -> Iterator[str]:
    """The URL of a PostgreSQL database, empty or a copy of a template, dropped at the end."""
    server = create_engine(make_url(POSTGRES_URL), isolation_level="AUTOCOMMIT")
    name = f"test_{uuid4().hex}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


@contextmanager
def empty_store(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a store with its tables and nothing in them: a copy, since to migrate one takes a second."""
    if kind == "sqlite":
        shutil.copy(_migrated_file(), folder / "store.sqlite3")
        yield f"sqlite:///{folder}/store.sqlite3"
        return
    with database(_migrated_database()) as url:
        yield url


@cache
def _migrated_file() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="engrain-test-")
    atexit.register(folder.cleanup)
    url = f"sqlite:///{folder.name}/store.sqlite3"
    upgrade(url)
    Store(url).close()  # takes the write-ahead log into the file
    return Path(folder.name) / "store.sqlite3"


@cache
def _migrated_database() -> str:
    """Its name. Nobody is connected to it, or it could not be copied."""
    stack = ExitStack()
    atexit.register(stack.close)
    url = stack.enter_context(database())
    upgrade(url)
    return make_url(url).database or ""
