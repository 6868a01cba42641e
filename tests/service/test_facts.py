import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from knowledge.settings import Settings
from knowledge.store import Store
from knowledge.store.schema import upgrade
from knowledge.store.tables import FactRow
from service import upkeep
from service.app import create_app
from tests.service.conftest import _open_parts, visitor


def test_a_post_is_kept_although_the_broker_is_down(client: TestClient) -> None:
    response = client.post("/facts", json={"text": "Ada Quill is a glassblower."})
    posted = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/jobs/{posted['job_id']}"
    assert (posted["namespace"], posted["version"]) == ("default", 1)
    assert client.get("/facts").json()["facts"][0]["id"] == posted["facts"][0]["id"]
    assert client.get(response.headers["Location"]).json()["status"] == "queued"


@pytest.mark.parametrize(
    ("content_type", "body", "texts"),
    [
        ("text/plain", "Ada is a smith.\n\nBo is a tailor.", ["Ada is a smith.", "Bo is a tailor."]),
        ("text/markdown; charset=utf-8", "# Ada\n\nAda is a **smith**.", ["# Ada", "Ada is a **smith**."]),
        ("application/jsonl", '{"text": "Ada is a smith."}\n\n{"text": "Bo."}\n', ["Ada is a smith.", "Bo."]),
        ("application/json", '{"documents": [{"text": "Ada is a smith."}]}', ["Ada is a smith."]),
    ],
)  # fmt: skip
def test_every_accepted_form_of_body_becomes_facts(
    client: TestClient, content_type: str, body: str, texts: list[str]
) -> None:
    response = client.post("/facts", content=body.encode(), headers={"Content-Type": content_type})
    assert response.status_code == 202, response.text
    assert [fact["text"] for fact in client.get("/facts").json()["facts"]] == texts


def test_a_file_is_taken_with_its_name_as_source(client: TestClient) -> None:
    response = client.post("/facts?namespace=files", files={"file": ("ada.txt", b"Ada is a smith.", "text/plain")})
    assert response.status_code == 202
    fact = client.get("/facts", params={"namespace": "files"}).json()["facts"][0]
    assert (fact["text"], fact["source"]) == ("Ada is a smith.", "ada.txt")


def test_known_text_is_answered_with_200_or_its_waiting_job(client: TestClient) -> None:
    first = client.post("/facts", json={"text": "Ada is a smith."}).json()
    again = client.post("/facts", json={"text": "Ada is a smith."})
    assert again.status_code == 200
    assert again.json()["job_id"] == first["job_id"]
    assert again.json()["facts"][0]["duplicate_of"] == first["facts"][0]["id"]


def test_a_repeat_with_an_idempotency_key_gets_the_same_answer(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k-1"}
    answers = [client.post("/facts", json={"text": "Ada is a smith."}, headers=headers) for _ in range(3)]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    other = client.post("/facts", json={"text": "Bo is a tailor."}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("body", "status", "code", "detail"),
    [
        ({"text": "x" * 20_000}, 413, "body-too-large", "10000 bytes"),
        ({"documents": [{"text": f"Fact {n}."} for n in range(6)]}, 413, "too-many-documents", "6 documents"),
        ({"text": "A.", "colour": "red"}, 422, "invalid-request", "colour"),
        ({"documents": [{"text": 1}]}, 422, "invalid-request", "documents.0.text"),
        ({"text": "A.", "probes": [{"question": "Q?"}]}, 422, "invalid-request", "probes.0.answer"),
    ],
)
def test_the_problem_says_what_is_wrong_and_where(
    client: TestClient, body: Any, status: int, code: str, detail: str
) -> None:
    response = client.post("/facts", json=body)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert detail in response.json()["detail"]
    assert client.get("/facts").json()["facts"] == []


def test_a_body_without_a_declared_length_is_counted_as_it_comes(client: TestClient) -> None:
    response = client.post("/facts", content=(b"x" * 1000 for _ in range(20)), headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["code"]) == (413, "body-too-large")


def test_pages_are_walked_with_next(client: TestClient) -> None:
    client.post("/facts", json={"documents": [{"text": f"Fact {n} is true."} for n in range(5)]})
    first = client.get("/facts", params={"limit": 3}).json()
    second = client.get("/facts", params={"limit": 3, "after": first["next"]}).json()
    assert [fact["text"] for fact in first["facts"] + second["facts"]] == [f"Fact {n} is true." for n in range(5)]
    assert second["next"] is None


def test_a_fact_shows_its_probes_and_history(client: TestClient) -> None:
    posted = client.post("/facts", json={"text": "Ada Quill is the smith of Orrin."}).json()
    fact = client.get(f"/facts/{posted['facts'][0]['id']}").json()
    assert {probe["direction"] for probe in fact["probes"]} == {"forward", "backward"}
    assert [event["status"] for event in fact["history"]] == ["pending"]
    assert fact["scores"] == {"forward": None, "backward": None}


def test_a_contradiction_is_a_problem_with_both_texts_until_the_request_says_what_to_do(client: TestClient) -> None:
    known, new = "The mayor of Wend is Ada Quill.", "The mayor of Wend is Bo Finch."
    fact_id = client.post("/facts", json={"text": known}).json()["facts"][0]["id"]
    response = client.post("/facts", json={"text": new})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "contradiction")
    assert known in problem["detail"] and new in problem["detail"] and "on_conflict" in problem["detail"]
    assert problem["conflicts"] == [
        {
            "text": new,
            "answer": "Bo Finch",
            "question": "mayor of wend",
            "known_id": fact_id,
            "known_text": known,
            "known_answer": "Ada Quill",
        }
    ]
    both = {"documents": [{"text": new}], "on_conflict": "keep_both"}
    assert client.post("/facts", json=both).status_code == 202
    third, plain = "The mayor of Wend is Cy Marsh.", {"Content-Type": "text/plain"}
    assert client.post("/facts", content=third, headers=plain).status_code == 409
    assert client.post("/facts?on_conflict=supersede", content=third, headers=plain).status_code == 202
    statuses = [fact["status"] for fact in client.get("/facts").json()["facts"]]
    assert statuses == ["superseded", "superseded", "pending"]


def test_what_has_expired_already_is_refused(client: TestClient) -> None:
    response = client.post("/facts", json={"text": "Ada is a smith.", "expires_at": "2020-01-01T00:00:00Z"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid-fact")


def test_an_expired_fact_is_forgotten_without_anybody_asking(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "EXPIRY_SECONDS", 0.05)
    upgrade(settings.store)
    with visitor(create_app(settings, _open_parts)) as client:
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        fact_id = client.post("/facts", json={"text": "Ada is a smith.", "expires_at": later}).json()["facts"][0]["id"]
        assert client.get(f"/facts/{fact_id}").json()["status"] == "pending"
        store = Store(settings.store)
        with store.write() as session:  # an hour passes
            session.get_one(FactRow, fact_id).expires_at = datetime.now(UTC) - timedelta(seconds=1)
        store.close()
        deadline = time.monotonic() + 30
        while client.get(f"/facts/{fact_id}").json()["status"] == "pending" and time.monotonic() < deadline:
            time.sleep(0.05)
        fact = client.get(f"/facts/{fact_id}").json()
    assert (fact["status"], fact["forgotten"]["caller"]) == ("forgotten", "engrain")
