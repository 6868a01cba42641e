"""A backup holds everything, is seen to be whole, and goes into either kind of store."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, table

from knowledge.adapters import MANIFEST, Manifest, Version, VersionStatus, publish_files
from knowledge.errors import Conflict, CorruptAdapter, CorruptBackup
from knowledge.facts import Document
from knowledge.jobs import JobStatus, Progress
from knowledge.keys import Scope
from knowledge.store import Store, backup, facts, jobs, keys, now, versions
from knowledge.store.backup import restore, write
from knowledge.store.schema import differences
from knowledge.store.tables import Table
from tests import servers


@pytest.fixture(params=servers.STORES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of each kind with no tables yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/restored.sqlite3"
        return
    with servers.database() as url:
        yield url


def teach(store: Store, adapters: Path, text: str) -> Version:
    """Makes a version live whose adapter is two small files."""
    job_id = facts.post(store, "default", [Document(text, metadata={"since": 1999})]).job_id
    assert job_id
    lease = jobs.claim(store, job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease
    job, live = jobs.get(store, job_id), versions.live(store, "default")
    held = (*(live.fact_ids if live else ()), *job.fact_ids)
    name = f"default-v{job.version}"
    made = adapters / f".making-{name}"
    made.mkdir(parents=True)
    (made / "adapter_model.safetensors").write_bytes(f"weights of {name}".encode())
    manifest = Manifest(name, "default", job.version, job_id, "base", {}, "r", held, now().isoformat())
    publish_files(made, adapters / name, manifest)
    status = VersionStatus.CANDIDATE
    version = Version("default", job.version, name, str(adapters / name), status, held, "r", 0.5, now(), None)
    jobs.advance(store, lease, JobStatus.TRAINING)
    jobs.report(store, lease, Progress(1, 2, 1.0, 27, 10.0, 50.0, 1.0, 0, 1))
    jobs.advance(store, lease, JobStatus.PROBING)
    versions.add_candidate(store, lease, version)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)
    return version


@pytest.fixture
def taught(store: Store, tmp_path: Path) -> Path:
    """The folder of adapters of a store with two versions, a fact that waits, and a key."""
    adapters = tmp_path / "adapters"
    teach(store, adapters, "Mara Venn leads the Tolvik Observatory.")
    teach(store, adapters, "The Corvo 3 costs 49 euros.")
    facts.post(store, "default", [Document("Ada Quill is a glassblower.")])
    keys.create(store, "shop", [Scope.READ])
    return adapters


def numbers(store: Store) -> dict[str, int]:
    with store.read() as session:
        names = [name for name in Table.metadata.tables if name != "workers"]
        return {name: session.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}


def test_what_was_backed_up_is_restored_to_the_last_row_and_byte(
    store: Store, taught: Path, tmp_path: Path, empty_url: str
) -> None:
    contents = write(store, taught, tmp_path / "backup.tar")
    assert contents.adapters == ("default-v1", "default-v2")
    elsewhere = tmp_path / "elsewhere"
    restore(tmp_path / "backup.tar", empty_url, elsewhere)
    restored = Store(empty_url)
    assert differences(restored) == []
    assert numbers(restored) == numbers(store) == {**contents.rows}
    assert facts.find(restored) == facts.find(store)
    assert jobs.find(restored) == jobs.find(store)
    for version in versions.find(restored):
        assert version.path == str(elsewhere / version.adapter)
        weights = Path(version.path, "adapter_model.safetensors").read_text()
        assert weights == f"weights of {version.adapter}"
    # Numbers that the store gives out go on where they were.
    live = teach(restored, elsewhere, "Bo Finch is the tailor of Wend.")
    assert (live.number, versions.live(restored, "default")) == (3, versions.get(restored, "default", 3))
    restored.close()


def test_the_rows_are_those_of_one_moment(
    store: Store, taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    plain = backup._add_rows

    def posting(*arguments: object) -> tuple[int, str]:
        facts.post(store, "default", [Document(f"Fact number {len(facts.find(store))} is new.")])
        return plain(*arguments)  # type: ignore[arg-type]

    before = numbers(store)
    monkeypatch.setattr(backup, "_add_rows", posting)
    assert write(store, taught, tmp_path / "backup.tar").rows["facts"] <= before["facts"] + 1
    rows = [json.loads(line) for line in _member(tmp_path / "backup.tar", "tables/facts.jsonl")]
    known = {json.loads(line)["id"] for line in _member(tmp_path / "backup.tar", "tables/jobs.jsonl")}
    assert {row["job_id"] for row in rows} <= known


def test_a_backup_that_was_cut_off_or_changed_is_refused_and_nothing_is_filled(
    store: Store, taught: Path, tmp_path: Path, empty_url: str
) -> None:
    file = tmp_path / "backup.tar"
    write(store, taught, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptBackup):
        restore(file, empty_url, tmp_path / "elsewhere")
    file.write_bytes(whole.replace(b"Tolvik Observatory", b"Tolvik Pbservatory"))
    with pytest.raises(CorruptBackup, match="facts"):
        restore(file, empty_url, tmp_path / "elsewhere")
    file.write_bytes(whole.replace(b"weights of default-v2", b"weights of default-v3"))
    with pytest.raises(CorruptBackup, match="default-v2"):
        restore(file, empty_url, tmp_path / "elsewhere")
    file.write_bytes(whole)
    restore(file, empty_url, tmp_path / "elsewhere")


def test_only_an_empty_store_is_filled(store: Store, taught: Path, tmp_path: Path) -> None:
    write(store, taught, tmp_path / "backup.tar")
    with pytest.raises(Conflict, match="already"):
        restore(tmp_path / "backup.tar", store.url, taught)


def test_a_live_version_without_its_files_is_not_backed_up_as_if_nothing_were(
    store: Store, taught: Path, tmp_path: Path
) -> None:
    (taught / "default-v2" / MANIFEST).unlink()
    with pytest.raises(CorruptAdapter):
        write(store, taught, tmp_path / "backup.tar")
    assert not list(tmp_path.glob("*backup.tar*"))


def test_a_backup_of_an_earlier_revision_is_brought_up_to_date(
    store: Store, taught: Path, tmp_path: Path, empty_url: str
) -> None:
    """As the code of revision 0007 wrote it: without the column that came later."""
    write(store, taught, tmp_path / "new.tar")
    with tarfile.open(tmp_path / "new.tar") as new, tarfile.open(tmp_path / "old.tar", "w") as old:
        _downgrade(new, old)
    restore(tmp_path / "old.tar", empty_url, tmp_path / "elsewhere")
    restored = Store(empty_url)
    assert differences(restored) == []
    assert facts.find(restored) == facts.find(store)
    restored.close()


def test_a_backup_of_newer_code_is_refused(store: Store, taught: Path, tmp_path: Path, empty_url: str) -> None:
    write(store, taught, tmp_path / "backup.tar")
    with tarfile.open(tmp_path / "backup.tar") as one, tarfile.open(tmp_path / "newer.tar", "w") as other:
        for member in one.getmembers():
            content = one.extractfile(member)
            data = content.read() if content else b""
            if member.name == "backup.json":
                data = json.dumps({**json.loads(data), "revision": "9999"}).encode()
            _add(other, member, data)
    with pytest.raises(Conflict, match="9999"):
        restore(tmp_path / "newer.tar", empty_url, tmp_path / "elsewhere")


def _downgrade(new: tarfile.TarFile, old: tarfile.TarFile) -> None:
    sums = {}
    for member in new.getmembers():
        content = new.extractfile(member)
        data = content.read() if content else b""
        if member.name == "tables/jobs.jsonl":
            rows = [json.loads(line) for line in data.splitlines()]
            data = b"".join(
                json.dumps({k: v for k, v in row.items() if k != "trace_parent"}).encode() + b"\n" for row in rows
            )
            sums["jobs"] = hashlib.sha256(data).hexdigest()
        if member.name == "tables/version_facts.jsonl":
            rows = [json.loads(line) for line in data.splitlines()]
            data = b"".join(json.dumps({k: v for k, v in row.items() if k != "home"}).encode() + b"\n" for row in rows)
            sums["version_facts"] = hashlib.sha256(data).hexdigest()
        if member.name == "backup.json":
            contents = json.loads(data)
            data = json.dumps({**contents, "revision": "0007", "sums": {**contents["sums"], **sums}}).encode()
        _add(old, member, data)


def _add(archive: tarfile.TarFile, member: tarfile.TarInfo, data: bytes) -> None:
    member.size = len(data) if member.isfile() else 0
    archive.addfile(member, io.BytesIO(data))


def _member(file: Path, name: str) -> list[bytes]:
    with tarfile.open(file) as archive:
        stream = archive.extractfile(name)
        assert stream
        return stream.read().splitlines()
