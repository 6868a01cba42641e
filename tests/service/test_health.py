import re

from fastapi.testclient import TestClient


def test_the_process_is_healthy_while_its_parts_are_not_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    checks = ready.json()["checks"]
    assert ready.status_code == 503
    assert checks["store"] == "ok"
    assert all(checks[part] != "ok" for part in ("broker", "worker", "inference"))


def test_metrics_count_facts_by_status_and_requests_by_route(client: TestClient) -> None:
    client.post("/facts", json={"text": "Ada Quill is a glassblower."})
    client.get("/facts/fact_0")
    text = client.get("/metrics").text
    assert 'engrain_facts{status="pending"} 1.0' in text
    assert 'engrain_jobs{status="queued"} 1.0' in text
    assert re.search(
        r'engrain_request_seconds_count\{method="GET",route="/facts/\{fact_id\}",status="404"\} [1-9]', text
    )


def test_the_documentation_page_and_the_contract_are_served(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/facts", "/ask", "/jobs/{job_id}/events", "/namespaces/{namespace}/versions"} <= set(paths)
