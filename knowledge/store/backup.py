"""Everything that a deployment cannot make again, in one file: the store's rows and the adapters that they name.

A tar archive: `tables/NAME.jsonl`, a row a line; `adapters/NAME/…` as published, each with its manifest; and last
`backup.json` with the sums of the tables, so that a file which was cut off is seen to be. Rows are plain JSON: a backup
of SQLite can be restored to PostgreSQL, and the other way.
"""

import base64
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import JSON, Connection, Table, column, delete, func, insert, select, table, text
from sqlalchemy.types import TypeEngine

from knowledge.adapters import VersionStatus, verify_manifest
from knowledge.errors import Conflict, CorruptAdapter, CorruptBackup
from knowledge.store.database import Store, now
from knowledge.store.schema import head, is_known, revision, upgrade
from knowledge.store.tables import Table as Tables
from knowledge.store.tables import UtcDateTime, VersionRow, WorkerRow
from knowledge.store.versions import is_home

FORMAT = 1
CONTENTS = "backup.json"
_AT_ONCE = 500
_NEEDED = (VersionStatus.LIVE.value, VersionStatus.RETIRED.value)
_TELLING = ("namespaces", "jobs", "facts")
"""Tables that are in every revision, and empty only in an empty store; a first key may be there, which goes."""

_LEFT_OUT = {WorkerRow.__tablename__}  # who was alive when


@dataclass(frozen=True)
class Contents:
    """What a backup holds: rows and SHA-256 by table, adapters by name, and the store's revision they fit."""

    format: int
    revision: str
    created_at: str
    rows: dict[str, int]
    sums: dict[str, str]
    adapters: tuple[str, ...]


def write(store: Store, adapters: Path, file: Path) -> Contents:
    """Writes a backup; the deployment may run meanwhile. `file` appears whole or not at all, for its owner alone.

    The rows are those of one moment; the adapters that they name are immutable, and each is checked. Raises `Conflict`
    when the file exists or the store is not up to date, `CorruptAdapter` when a version that can be asked has no files.
    """
    if file.exists():
        raise Conflict(f"{file} exists already.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with _whole(file) as stream, tarfile.open(fileobj=stream, mode="w") as archive, _snapshot(store) as connection:
        if (found := revision(connection)) != head():
            raise Conflict(f"The store is at revision {found}, not {head()}: start the service once, then back up.")
        rows, sums = {}, {}
        for each in _tables():
            rows[each.name], sums[each.name] = _add_rows(archive, connection, each)
        names = _add_adapters(archive, connection, adapters)
        contents = Contents(FORMAT, found, now().isoformat(), rows, sums, names)
        _add(archive, CONTENTS, io.BytesIO(json.dumps(asdict(contents), indent=1).encode()))
    return contents


def restore(file: Path, url: str, adapters: Path) -> Contents:
    """Fills an empty store and the folder of adapters from a backup, then brings the tables up to date.

    Raises `CorruptBackup` when the file is not whole, `Conflict` when the store holds something already or the backup
    comes from newer code; nothing was changed then but for adapters, which lie there unused.
    """
    with tarfile.open(file) if tarfile.is_tarfile(file) else _refuse(file) as archive:
        contents = _contents(archive)
        _check_sums(archive, contents)
        store = Store(url)
        try:
            upgrade(url, contents.revision)
            _check_empty(store)
            _take_adapters(archive, contents, adapters)
            with store.write() as session:
                for each in reversed(_tables()):
                    if each.name in contents.rows:
                        session.execute(delete(table(each.name)))
                for each in _tables():
                    if each.name in contents.rows:
                        _fill(session.connection(), each, _rows(archive, each.name), adapters)
            store.analyze()
        finally:
            store.close()
        upgrade(url)
    return contents


def _tables() -> list[Table]:
    return [each for each in Tables.metadata.sorted_tables if each.name not in _LEFT_OUT]


@contextmanager
def _snapshot(store: Store) -> Iterator[Connection]:
    """A connection that sees one moment, whatever is written meanwhile."""
    engine = store.engine
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    part = file.with_name(f".{file.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


def _add_rows(archive: tarfile.TarFile, connection: Connection, of: Table) -> tuple[int, str]:
    number, digest = 0, hashlib.sha256()
    with tempfile.TemporaryFile() as lines:
        query = select(of).order_by(*of.primary_key.columns).execution_options(yield_per=_AT_ONCE)
        for row in connection.execute(query):
            line = json.dumps({name: _plain(value) for name, value in row._mapping.items()}).encode() + b"\n"
            digest.update(line)
            lines.write(line)
            number += 1
        _add(archive, f"tables/{of.name}.jsonl", lines)
    return number, digest.hexdigest()


def _add_adapters(archive: tarfile.TarFile, connection: Connection, adapters: Path) -> tuple[str, ...]:
    """Those that can be asked. A retired version's files may have been deleted on purpose; a live one's may not."""
    speaks = (VersionRow.status == VersionStatus.LIVE.value) | is_home(
        lambda version: version.status == VersionStatus.LIVE.value
    )
    needed = VersionRow.status.in_(_NEEDED) | is_home(lambda version: version.status.in_(_NEEDED))
    names = []
    for name, must_be_there in connection.execute(
        select(VersionRow.adapter, speaks).where(needed).order_by(VersionRow.adapter)
    ):
        if must_be_there or (adapters / name).exists():
            verify_manifest(adapters / name)
            archive.add(adapters / name, f"adapters/{name}")
            names.append(name)
    return tuple(names)


def _add(archive: tarfile.TarFile, name: str, stream: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    archive.addfile(member, stream)


def _refuse(file: Path) -> tarfile.TarFile:
    raise CorruptBackup(f"{file} is not there, or is no backup.")


def _contents(archive: tarfile.TarFile) -> Contents:
    try:
        data = json.load(_open(archive, CONTENTS))
        contents = Contents(**{**data, "adapters": tuple(data["adapters"])})
    except (KeyError, ValueError, TypeError, tarfile.TarError) as error:
        raise CorruptBackup("The backup does not say what it holds: it was cut off.") from error
    if contents.format != FORMAT or not is_known(contents.revision):
        raise Conflict(f"The backup is of newer code (revision {contents.revision}; this code knows {head()}).")
    return contents


def _check_sums(archive: tarfile.TarFile, contents: Contents) -> None:
    for name, wanted in contents.sums.items():
        digest = hashlib.sha256()
        for line in _open(archive, f"tables/{name}.jsonl"):
            digest.update(line)
        if digest.hexdigest() != wanted:
            raise CorruptBackup(f"The rows of {name} differ from what was written.")


def _check_empty(store: Store) -> None:
    with store.read() as session:
        if any(session.scalar(select(func.count()).select_from(table(name))) for name in _TELLING):
            raise Conflict("The store holds something already. A backup is restored to an empty one.")


def _take_adapters(archive: tarfile.TarFile, contents: Contents, adapters: Path) -> None:
    """Each under its name once it is whole; one that lies there already is checked and kept."""
    adapters.mkdir(parents=True, exist_ok=True)
    for name in contents.adapters:
        if (adapters / name).exists():
            verify_manifest(adapters / name)
            continue
        with tempfile.TemporaryDirectory(prefix=".making-restored-", dir=adapters) as temporary:
            within = [each for each in archive.getmembers() if each.name.startswith(f"adapters/{name}/")]
            archive.extractall(temporary, within, filter="data")
            made = Path(temporary, "adapters", name)
            try:
                verify_manifest(made)
            except CorruptAdapter as error:
                raise CorruptBackup(str(error)) from error
            made.rename(adapters / name)


def _rows(archive: tarfile.TarFile, name: str) -> Iterator[dict[str, Any]]:
    for line in _open(archive, f"tables/{name}.jsonl"):
        yield json.loads(line)


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


def _fill(connection: Connection, of: Table, rows: Iterable[Mapping[str, Any]], adapters: Path) -> None:
    """Inserts the columns that the rows have: its revision's. Paths lead to where the adapters are now."""
    batch: list[dict[str, Any]] = []
    for row in rows:
        given = {name: _typed(of.c[name].type, value) for name, value in row.items()}
        if of.name == "versions":
            given["path"] = str(adapters / given["adapter"])
        batch.append(given)
        if len(batch) == _AT_ONCE:
            _insert(connection, of, batch)
            batch = []
    if batch:
        _insert(connection, of, batch)
    if connection.dialect.name == "postgresql" and of.autoincrement_column is not None:
        _go_on_counting(connection, of)


def _insert(connection: Connection, of: Table, batch: list[dict[str, Any]]) -> None:
    into = table(of.name, *(column(name, of.c[name].type) for name in batch[0]))
    connection.execute(insert(into), batch)


def _go_on_counting(connection: Connection, of: Table) -> None:
    """PostgreSQL's sequences do not see numbers that were given."""
    counted = of.autoincrement_column
    assert counted is not None
    last = connection.scalar(select(func.max(counted)))
    if last is not None:
        sequence = connection.scalar(select(func.pg_get_serial_sequence(of.name, counted.name)))
        connection.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _typed(of: TypeEngine[Any], value: Any) -> Any:
    if value is None or isinstance(of, JSON):
        return value
    if isinstance(of, UtcDateTime):
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if of.python_type is bytes else value
