from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from knowledge.adapters import Manifest, publish_files
from knowledge.jobs import JobStatus
from knowledge.store import Store, facts, jobs, versions
from tests.service.conftest import candidate, claim, teach


def publish(store: Store, name: str, path: str, *texts: str, weak: tuple[str, ...] = ()) -> None:
    """A version in which the facts with these words are weak, whoever taught them."""
    lease = claim(store, *texts)
    version = candidate(store, lease, name, path)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    failed = [fact.id for fact in facts.find(store) if any(word in fact.text for word in weak)]
    versions.publish(store, lease, version, weak=failed)


@pytest.mark.parametrize(("rank", "advice"), [(8, "raise-rank"), (32, "split")])
def test_facts_that_did_not_go_in_or_pushed_others_out_take_headroom(
    client: TestClient, store: Store, tmp_path: Path, rank: int, advice: str
) -> None:
    making = tmp_path / ".making"
    making.mkdir()
    (making / "adapter_model.safetensors").write_bytes(b"w" * 1000)
    publish_files(
        making, tmp_path / "v2", Manifest("v2", "default", 2, "j", "b", {"rank": rank}, "h", (), "2026-01-01")
    )
    publish(store, "v1", "/a/v1", "Ada Quill hums.", "Bo Finch hums.")
    whole = client.get("/namespaces/default/capacity").json()
    assert (whole["taught"], whole["weak"], whole["lost"], whole["headroom"]) == (2, 0, 0, 1.0)
    assert (whole["advice"], whole["rank"], whole["bytes_per_character"]) == ("none", None, None)

    publish(store, "v2", str(tmp_path / "v2"), "Cy Marsh hums.", "Di Wren hums.", weak=("Ada", "Cy"))
    found = client.get("/namespaces/default/capacity").json()
    assert (found["taught"], found["weak"], found["lost"], found["headroom"]) == (4, 1, 1, 0.5)
    assert (found["facts"], found["characters"]) == (2, len("Bo Finch hums.Di Wren hums."))
    assert (found["rank"], found["adapter_bytes"], found["bytes_per_character"]) == (rank, 1000, 37.0)
    assert [each["version"] for each in found["scores"]] == [1, 2]
    assert found["advice"] == advice
    (listed,) = client.get("/namespaces").json()["namespaces"]
    assert (listed["headroom"], listed["advice"]) == (0.5, advice)


def test_a_namespace_that_taught_nothing_has_no_figure_and_an_unknown_one_is_not_found(client: TestClient) -> None:
    found = client.get("/namespaces/default/capacity").json()
    assert (found["live_version"], found["headroom"], found["advice"]) == (None, None, "none")
    assert client.get("/namespaces/nobody/capacity").status_code == 404


def test_a_rollback_shows_what_the_live_version_knew(client: TestClient, store: Store) -> None:
    teach(store, "Ada Quill hums.", adapter="v1")
    publish(store, "v2", "/a/v2", "Bo Finch hums.", weak=("Bo",))
    assert client.get("/namespaces/default/capacity").json()["headroom"] == 0.5
    versions.activate(store, "default", 1)
    assert client.get("/namespaces/default/capacity").json()["headroom"] == 1.0
