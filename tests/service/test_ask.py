import pytest
from fastapi.testclient import TestClient


def test_a_model_that_is_down_is_a_503_that_says_when_to_come_back(client: TestClient) -> None:
    response = client.post("/ask", json={"question": "Who is Ada?"})
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0


def test_a_version_that_is_still_to_come_says_not_yet(client: TestClient) -> None:
    client.post("/facts", json={"text": "Ada Quill is a glassblower."})
    response = client.post("/ask", json={"question": "Who is Ada?", "min_version": 1, "wait_seconds": 0.3})
    assert (response.status_code, response.json()["code"]) == (409, "not-live-yet")


def test_a_version_whose_job_ended_badly_will_not_come(client: TestClient) -> None:
    job_id = client.post("/facts", json={"text": "Ada Quill is a glassblower."}).json()["job_id"]
    client.post(f"/jobs/{job_id}/cancel")
    response = client.post("/ask", json={"question": "Who is Ada?", "min_version": 1, "wait_seconds": 60})
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert job_id in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "   "},
        {"question": "Who?", "version": 1, "min_version": 1},
        {"question": "Who?", "max_tokens": 0},
        {"question": "Who?", "wait_seconds": -1},
        {"question": "Who?", "namespace": "No Such/Name"},
        {"question": "Who?", "unknown": 1},
    ],
)
def test_a_request_that_does_not_fit_is_refused(client: TestClient, body: dict[str, object]) -> None:
    response = client.post("/ask", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")


def test_a_question_that_is_too_long_is_refused(client: TestClient) -> None:
    response = client.post("/ask", json={"question": "why " * 1000})
    assert (response.status_code, response.json()["code"]) == (413, "question-too-long")


def test_an_unknown_namespace_and_version_are_not_found(client: TestClient) -> None:
    for fields in ({"namespace": "nobody"}, {"version": 3}):
        response = client.post("/ask", json={"question": "Who?", **fields})
        assert (response.status_code, response.json()["code"]) == (404, "not-found")
