"""`DELETE /facts/{fact_id}` from outside, with a model server in memory."""

from fastapi.testclient import TestClient

from knowledge.facts import FactStatus
from knowledge.jobs import JobStatus
from knowledge.store import Store, facts, jobs, versions
from tests.service.conftest import FACTS, Served, teach


def test_a_pending_fact_is_gone_with_the_answer(client: TestClient) -> None:
    posted = client.post("/facts", json={"text": "Ada Quill is the smith of Orrin.", "source": "book"}).json()
    path = f"/facts/{posted['facts'][0]['id']}"
    answer = client.delete(path)
    assert (answer.status_code, answer.json()["status"], answer.json()["job_id"]) == (200, "forgotten", None)
    assert "Location" not in answer.headers
    assert client.delete(path).json() == answer.json()
    fact = client.get(path).json()
    assert (fact["text"], fact["source"], fact["status"]) == ("", None, "forgotten")
    assert fact["forgotten"] == answer.json()["forgotten"]
    assert fact["forgotten"]["caller"] == "loopback" and fact["forgotten"]["done_at"] is not None
    assert client.get("/audit").json()["entries"][0]["act"] == "forgotten"


def test_a_live_fact_waits_for_its_job(client: TestClient, store: Store) -> None:
    teach(store, *FACTS)
    path = f"/facts/{facts.find(store)[0].id}"
    answer = client.delete(path)
    assert (answer.status_code, answer.json()["status"]) == (202, "live")
    assert answer.headers["Location"] == f"/jobs/{answer.json()['job_id']}"
    assert client.get(answer.headers["Location"]).json()["forgets"] == [facts.find(store)[0].id]
    again = client.delete(path)
    assert (again.status_code, again.json()) == (202, answer.json())
    assert client.get(path).json()["forgotten"]["done_at"] is None
    refused = client.post("/facts", json={"text": FACTS[0]})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_an_unknown_fact_cannot_be_forgotten(client: TestClient) -> None:
    assert client.delete("/facts/fact_0").status_code == 404


def test_a_text_that_is_to_be_forgotten_answers_nothing_any_more(served: Served) -> None:
    with served.http() as http:
        text = "Ada Quill is the smith of Orrin."
        fact_id = http.post("/facts", json={"text": text}).json()["facts"][0]["id"]
        question = {"question": "Who is the smith of Orrin?"}
        assert http.post("/ask", json=question).json()["source"] == "pending"
        job_id = facts.get(served.store, fact_id).job_id
        assert job_id is not None
        jobs.claim(served.store, job_id, "w", lease_seconds=60, max_attempts=3)
        assert http.delete(f"/facts/{fact_id}").json()["status"] == FactStatus.TRAINING
        assert http.post("/ask", json=question).json()["source"] == "base"


def test_a_deleted_version_is_neither_asked_nor_activated_although_it_was_asked_before(served: Served) -> None:
    with served.http() as http:
        question = {"question": "Who is Mara Venn of the Tolvik Observatory?", "version": 1}
        assert http.post("/ask", json=question).status_code == 200
        asked = [http.delete(f"/facts/{fact.id}").json() for fact in facts.find(served.store)]
        lease = jobs.claim(served.store, asked[0]["job_id"], "w", lease_seconds=60, max_attempts=3)
        assert lease is not None
        assert versions.publish_untrained(served.store, lease)
        for answer in (
            http.post("/ask", json=question),
            http.post("/namespaces/default/versions/1/activate"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (410, "version-deleted")
        chat = {"model": "default@1", "messages": [{"role": "user", "content": "Who?"}]}
        assert http.post("/v1/chat/completions", json=chat).status_code == 404
        assert http.post("/ask", json={"question": question["question"]}).json()["source"] == "base"


def test_a_version_that_no_job_will_make_is_not_waited_for(served: Served) -> None:
    with served.http() as http:
        asked = [http.delete(f"/facts/{fact.id}").json() for fact in facts.find(served.store)]
        job = jobs.get(served.store, asked[0]["job_id"])
        lease = jobs.claim(served.store, job.id, "w", lease_seconds=60, max_attempts=3)
        assert lease is not None and versions.publish_untrained(served.store, lease)
        assert jobs.get(served.store, job.id).status == JobStatus.SUCCEEDED
        never = http.post("/ask", json={"question": "Who?", "min_version": job.version, "wait_seconds": 20})
        assert (never.status_code, "nothing to train" in never.json()["detail"]) == (409, True)
