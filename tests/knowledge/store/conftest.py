"""The store's tests run on SQLite, and on PostgreSQL too where TEST_POSTGRES_URL names a server (as CI does)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.store import Store
from tests.servers import STORES, empty_store


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store with its tables."""
    with empty_store(request.param, tmp_path) as url:
        opened = Store(url)
        yield opened
        opened.close()
