"""Limits, headers and origins: what every answer carries, and when one is asked to come back later."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from command.apart import free_ports
from command.parts import broker_binary
from command.readiness import broker_answers
from knowledge.keys import Scope
from knowledge.settings import Settings
from knowledge.store import Store, facts
from service.app import create_app
from service.problems import ProblemError
from service.rates import Rates
from tests.service.conftest import _open_parts, visitor
from tests.service.test_keys import bearer, code, make

Changed = Callable[..., TestClient]


@pytest.fixture
def changed(settings: Settings, store: Store) -> Iterator[Changed]:
    """The service with changed settings."""
    opened = []

    def start(**changes: Any) -> TestClient:
        client = visitor(create_app(settings.model_copy(update=changes), _open_parts))
        opened.append(client)
        return client.__enter__()

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real server: its URL and its process."""
    (port,) = free_ports(1)
    words = [str(broker_binary()), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    while not asyncio.run(broker_answers(url)):
        time.sleep(0.02)
    yield url, process
    process.kill()
    process.wait()


def test_a_key_that_asks_too_often_is_told_when_to_come_back_and_others_are_not(changed: Changed, store: Store) -> None:
    client = changed(requests_per_minute=3)
    eager, calm = bearer(make(store)), bearer(make(store))
    assert [client.get("/facts", headers=eager).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/facts", headers=eager)
    assert refused.json()["code"] == "too-many-requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert client.get("/v1/models", headers=eager).json()["error"]["code"] == "too_many_requests"
    assert client.get("/facts", headers=calm).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_0_is_no_limit_and_a_machine_without_keys_has_none(changed: Changed, store: Store) -> None:
    assert {changed(requests_per_minute=1).get("/facts").status_code for _ in range(5)} == {200}
    secret = bearer(make(store))
    client = changed(requests_per_minute=0)
    assert {client.get("/facts", headers=secret).status_code for _ in range(5)} == {200}


async def _admitted(limiter: Rates, asked: int) -> int:
    count = 0
    for _ in range(asked):
        with contextlib.suppress(ProblemError):
            await limiter.count("key_1")
            count += 1
    return count


@pytest.mark.enable_socket
def test_processes_that_share_redis_count_together_and_each_for_itself_while_it_is_away(
    settings: Settings, redis: tuple[str, subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, process = redis
    shared = settings.model_copy(update={"broker_url": url, "requests_per_minute": 10})

    async def story() -> list[int]:
        one, two = Rates(shared), Rates(shared)
        together = [await _admitted(one, 7), await _admitted(two, 7)]
        process.kill()
        process.wait()
        started = time.monotonic()
        alone = [await _admitted(one, 12), await _admitted(two, 12)]
        assert time.monotonic() - started < 3
        await one.close()
        await two.close()
        return together + alone

    assert asyncio.run(story()) == [7, 3, 10, 10]


def test_more_facts_than_may_wait_are_refused_and_not_kept(changed: Changed, store: Store) -> None:
    client = changed(max_waiting_facts=2)
    many = {"documents": [{"text": f"Goose {number} belongs to Ada Quill."} for number in range(3)]}
    refused = client.post("/facts", json=many)
    assert code(refused) == (429, "queue-full")
    assert refused.headers["retry-after"] == "60"
    assert facts.find(store) == []
    two = {"documents": many["documents"][:2]}
    assert client.post("/facts", json=two).status_code == 202
    assert client.post("/facts", json=two).status_code == 200
    assert code(client.post("/facts", json={"text": "Ilka Venn hums."})) == (429, "queue-full")
    assert client.post("/facts", json={"text": "Ilka Venn hums.", "namespace": "other"}).status_code == 202


@pytest.mark.parametrize(
    ("path", "status"),
    [("/facts", 200), ("/healthz", 200), ("/facts/fact_x", 404), ("/nothing", 404), ("/docs", 200), ("/jobs", 500)],
)
def test_every_answer_carries_the_security_headers(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    if status == 500:
        monkeypatch.setattr("service.routes.jobs.store.find", lambda *_, **__: 1 / 0)
    response = client.get(path)
    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") == (path != "/docs") and "frame-ancestors 'none'" in policy


def test_refusals_carry_them_too(client: TestClient, store: Store) -> None:
    assert client.post("/facts", content=b"x" * 20_000).headers["x-frame-options"] == "DENY"
    make(store, Scope.READ)
    assert client.get("/facts", headers={"Authorization": "Bearer x"}).headers["x-frame-options"] == "DENY"


PREFLIGHT = {"Origin": "https://desk.example", "Access-Control-Request-Method": "POST"}


def test_no_page_may_call_the_api_unless_its_origin_is_named(changed: Changed, store: Store) -> None:
    secret = bearer(make(store))
    closed = changed()
    assert "access-control-allow-origin" not in closed.get("/facts", headers=secret | PREFLIGHT).headers
    assert closed.options("/facts", headers=PREFLIGHT).status_code == 405
    named = changed(cors_origins="https://desk.example, https://other.example/")
    allowed = named.options("/facts", headers=PREFLIGHT | {"Access-Control-Request-Headers": "authorization"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    assert "access-control-allow-credentials" not in allowed.headers
    answer = named.get("/facts", headers=secret | {"Origin": "https://desk.example"})
    assert answer.headers["access-control-allow-origin"] == "https://desk.example"
    refused = named.get("/facts", headers=secret | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in refused.headers


def test_many_who_ask_whether_it_is_ready_share_one_look(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr("service.routes.health.versions.namespaces", lambda store: looks.append(store))
    for _ in range(5):
        assert client.get("/readyz").json()["checks"]["store"] == "ok"
    assert len(looks) < 5
