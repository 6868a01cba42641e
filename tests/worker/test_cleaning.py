"""What a crash left goes; what a job makes or a version names stays."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.adapters import VersionStatus
from knowledge.jobs import JobStatus
from knowledge.settings import Settings
from knowledge.store import Store, jobs, versions
from knowledge.store.schema import upgrade
from tests.service.conftest import candidate, claim, teach
from worker import cleaning
from worker.cleaning import LEFTOVER_SECONDS, clean


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    settings = Settings(data_folder=tmp_path)
    upgrade(settings.store)
    opened = Store(settings.store)
    yield opened
    opened.close()


def _make(store: Store, name: str, age_seconds: float = 2 * LEFTOVER_SECONDS) -> None:
    path = _settings(store).adapters_folder / name
    if path.suffix in (".json", ".log") or name.startswith(".checkpoint"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    else:
        path.mkdir(parents=True)
        (path / "adapter_model.safetensors").write_bytes(b"weights")
    os.utime(path, (time.time() - age_seconds,) * 2)


def _settings(store: Store) -> Settings:
    return Settings(data_folder=Path(store.url.removeprefix("sqlite:///")).parent)


def test_what_ended_jobs_left_goes_and_the_rest_stays(store: Store) -> None:
    live = teach(store, "Ada Quill is the smith of Orrin.", adapter="default-v1-aaa-1")
    over = claim(store, "Bo Finch is the tailor of Wend.")
    jobs.fail(store, over, "no good")
    running = claim(store, "Cy Marsh is a ferryman.")
    old, new = over.job_id.removeprefix("job_"), running.job_id.removeprefix("job_")
    gone = {f".making-default-v2-{old}-1", f".making-default-v2-{old}-1.json", f".making-default-v2-{old}-1.log"}
    gone |= {f".checkpoint-{old}", f".checkpoint-{old}.4711", f"default-v2-{old}-1"}
    kept = {live.adapter, f".making-default-v3-{new}-1", f".checkpoint-{new}", f"default-v3-{new}-1"}
    kept |= {"default-v9-01m87tnywxp0tawm5s2s-1", "somebodys-own-folder"}  # of another store; of nobody
    for name in gone | kept:
        _make(store, name)
    _make(store, f"default-v2-{old}-2", age_seconds=60)  # just unloaded: a server may read it again
    assert set(clean(_settings(store), store)) == gone
    left = {path.name for path in _settings(store).adapters_folder.iterdir()}
    assert left == kept | {f"default-v2-{old}-2"}


def test_a_candidate_whose_job_ended_is_no_longer_wanted_and_its_files_go(store: Store) -> None:
    lease = claim(store, "Ada Quill is the smith of Orrin.")
    version = candidate(store, lease, f"default-v1-{lease.job_id.removeprefix('job_')}-1", "/a/v1")
    _make(store, version.adapter)
    assert clean(_settings(store), store) == []
    jobs.cancel(store, lease.job_id)
    assert clean(_settings(store), store) == [version.adapter]
    assert versions.get(store, "default", version.number).status == VersionStatus.FAILED
    assert jobs.get(store, lease.job_id).status == JobStatus.CANCELLED


def test_old_versions_go_but_the_live_one_and_the_newest_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(store).model_copy(update={"keep_versions": 2})
    made = [
        teach(store, f"Goose {number} belongs to Ada Quill.", adapter=f"default-v{number}-a-1", path="/a")
        for number in range(1, 6)
    ]
    versions.activate(store, "default", 1)
    for version in made:
        _make(store, version.adapter, age_seconds=60)
    running = claim(store, "Cy Marsh is a ferryman.")
    assert clean(settings, store) == [] and versions.get(store, "default", 2).status == VersionStatus.RETIRED
    jobs.fail(store, running, "no good")
    assert clean(settings, store) == [], "somebody may still be asking them"
    statuses = {version.number: version.status for version in versions.find(store, "default")}
    assert statuses == dict.fromkeys((2, 3), VersionStatus.DELETED) | dict.fromkeys((4, 5), VersionStatus.RETIRED) | {
        1: VersionStatus.LIVE
    }
    monkeypatch.setattr(cleaning, "DELETED_SECONDS", 0.0)
    assert clean(settings, store) == ["default-v2-a-1", "default-v3-a-1"]
    assert clean(settings, store) == []


def test_a_folder_that_is_not_there_holds_nothing(store: Store) -> None:
    assert clean(_settings(store), store) == []
