"""`/namespaces/…/versions` from outside."""

from fastapi.testclient import TestClient

from knowledge.store import Store, facts, jobs, versions
from tests.service.conftest import FACTS, teach


def test_a_version_and_a_diff_have_facts_scores_and_job(client: TestClient, store: Store) -> None:
    teach(store, FACTS[0], adapter="default-v1")
    teach(store, FACTS[1], adapter="default-v2")
    known = [fact.id for fact in facts.find(store)]
    detail = client.get("/namespaces/default/versions/2").json()
    assert (detail["version"], detail["status"], detail["facts"]) == (2, "live", known)
    assert (detail["job_id"], detail["parent"], detail["deleted_at"]) == (jobs.find(store)[0].id, None, None)
    assert (detail["scores"], detail["harmed"]) == ([], [])
    assert client.get("/namespaces/default/versions/1/diff/2").json() == {
        "namespace": "default", "before": 1, "after": 2, "added": known[1:], "removed": [], "rescored": [], "harmed": []
    }  # fmt: skip
    for path in ("/namespaces/default/versions/3", "/namespaces/default/versions/1/diff/3"):
        assert client.get(path).status_code == 404


def test_a_version_that_is_kept_no_longer_is_listed_with_its_scores_and_offered_to_nobody(
    client: TestClient, store: Store
) -> None:
    teach(store, FACTS[0], adapter="default-v1")
    teach(store, FACTS[1], adapter="default-v2")
    assert [version.number for version in versions.delete_old(store, keep=0)] == [1]
    found = client.get("/namespaces/default/versions").json()
    assert [version["status"] for version in found["versions"]] == ["live", "deleted"]
    assert client.get("/namespaces/default/versions/1").json()["deleted_at"] is not None
    assert "default@1" not in client.get("/v1/models").text
    refused = client.post("/ask", json={"question": "Who?", "version": 1})
    assert (refused.status_code, refused.json()["code"]) == (410, "version-deleted")
