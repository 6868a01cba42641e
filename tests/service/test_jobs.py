from fastapi.testclient import TestClient

from knowledge.jobs import JobStatus
from knowledge.store import Store, jobs


def _post(client: TestClient) -> str:
    job_id: str = client.post("/facts", json={"text": "Ada Quill is a glassblower."}).json()["job_id"]
    return job_id


def test_events_are_replayed_from_the_last_id_and_end_with_the_job(client: TestClient, store: Store) -> None:
    job_id = _post(client)
    lease = jobs.claim(store, job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease is not None
    jobs.advance(store, lease, JobStatus.TRAINING)
    jobs.fail(store, lease, "no good")
    whole = client.get(f"/jobs/{job_id}/events").text
    assert whole.count("event: status") == 4
    assert "no good" in whole
    ids = [line.removeprefix("id: ") for line in whole.splitlines() if line.startswith("id: ")]
    rest = client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": ids[2]}).text
    assert rest.count("event: status") == 1


def test_a_job_is_cancelled_and_retried(client: TestClient) -> None:
    job_id = _post(client)
    assert client.post(f"/jobs/{job_id}/retry").json()["code"] == "conflict"
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/jobs/{job_id}/cancel").status_code == 409
    retried = client.post(f"/jobs/{job_id}/retry")
    assert (retried.status_code, retried.json()["status"], retried.json()["version"]) == (202, "queued", 2)


def test_an_unknown_job_is_not_found(client: TestClient) -> None:
    for path in ("", "/events"):
        response = client.get(f"/jobs/job_0{path}")
        assert (response.status_code, response.json()["code"]) == (404, "not-found")
