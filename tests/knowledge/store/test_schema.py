import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from knowledge.store import Store
from knowledge.store.schema import MIGRATIONS, differences, revision, upgrade
from tests import servers


def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    assert differences(store) == []


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    upgrade(store.url)
    assert differences(store) == []


def test_a_store_of_newer_code_is_left_as_it_is(store: Store) -> None:
    with store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    upgrade(store.url)
    with store.engine.connect() as connection:
        assert revision(connection) == "9999"


@pytest.mark.parametrize("kind", servers.STORES)
def test_several_processes_migrate_at_once_and_one_does_it(kind: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/new.sqlite3" if kind == "sqlite" else stack.enter_context(servers.database())
        command = [sys.executable, "-m", "knowledge.store", "upgrade"]
        environment = {**os.environ, "ENGRAIN_STORE_URL": url, "ENGRAIN_DATA_FOLDER": str(tmp_path)}
        started = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(4)]
        ended = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
        assert ended == [(b"", 0)] * 4
        store = Store(url)
        assert differences(store) == []
        store.close()


@pytest.mark.parametrize("file", sorted((MIGRATIONS / "versions").glob("0*.py"))[3:], ids=lambda file: file.stem)
def test_a_migration_only_adds_so_that_the_code_before_it_goes_on_working(file: Path) -> None:
    """Old code writes rows without the new columns: each has a default, or may be empty. Nothing that it reads goes."""
    source = file.read_text()
    assert not re.search(r"op\.(drop_column|drop_table|rename_table|alter_column)", source)
    for column in re.findall(r"add_column\(\s*\"\w+\",\s*sa\.Column\((.*)\)\)", source):
        assert "nullable=True" in column or "server_default=" in column, column
