"""Fifty requests at once with one Idempotency-Key, to two real API processes over one store."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from command.apart import free_ports
from knowledge.errors import KeyInUse
from knowledge.facts import Document
from knowledge.store import Store, facts, idempotency, jobs
from service.repeats import Repeats
from tests.knowledge.store.conftest import *  # noqa: F403  (a store of either kind)

HEADERS = {"Idempotency-Key": "5b1c7a52-once"}
BODY = {"documents": [{"text": f"Orrin has {n} bridges over the Wend.", "key": f"bridges-{n}"} for n in range(5)]}


@pytest.fixture
def urls(store: Store, tmp_path: Path) -> Iterator[list[str]]:
    """Two API processes on the store. No broker answers: the relay would send the job later."""
    ports = free_ports(2)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAIN_")}
    shared = {"ENGRAIN_STORE_URL": store.url, "ENGRAIN_BROKER_PORT": "1", "ENGRAIN_INFERENCE_PORT": "1"}
    with contextlib.ExitStack() as stack:
        for port in ports:
            own = {"ENGRAIN_PORT": str(port), "ENGRAIN_DATA_FOLDER": str(tmp_path)}
            process = stack.enter_context(
                subprocess.Popen([sys.executable, "-m", "service"], env={**inherited, **shared, **own})
            )
            stack.callback(process.terminate)
        found = [f"http://127.0.0.1:{port}" for port in ports]
        for url in found:
            _wait_for(url)
        yield found


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{url}/healthz", trust_env=False)
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} did not start")


@pytest.mark.enable_socket
def test_fifty_parallel_posts_with_one_key_are_one_job_and_fifty_equal_answers(store: Store, urls: list[str]) -> None:
    def post(number: int) -> httpx.Response:
        return httpx.post(f"{urls[number % 2]}/facts", json=BODY, headers=HEADERS, trust_env=False, timeout=60)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({(answer.text, answer.headers["Location"]) for answer in answers}) == 1
    assert len(jobs.find(store)) == 1
    assert sorted(fact.text for fact in facts.find(store)) == [each["text"] for each in BODY["documents"]]
    other = httpx.post(f"{urls[0]}/facts", json={"text": "Bo."}, headers=HEADERS, trust_env=False, timeout=60)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def test_a_repeat_waits_for_the_request_that_still_runs_and_is_told_when_it_takes_too_long() -> None:
    async def story() -> list[str]:
        repeats, heard = Repeats(), list[str]()

        async def first() -> None:
            async with repeats.alone("k"):
                await asyncio.sleep(0.2)
                heard.append("first")

        async def second(wait_seconds: float) -> None:
            try:
                async with repeats.alone("k", wait_seconds):
                    heard.append("second")
            except KeyInUse:
                heard.append("refused")

        async with asyncio.TaskGroup() as group:
            group.create_task(first())
            await asyncio.sleep(0)
            group.create_task(second(0.05))
            group.create_task(second(5))
            async with repeats.alone("another"):
                heard.append("another")
        assert not repeats._running
        return heard

    assert asyncio.run(story()) == ["another", "refused", "first", "second"]


def test_a_key_that_another_process_holds_is_refused_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.url.startswith("sqlite"):
        pytest.skip("SQLite lets one transaction write at a time: the second one waits for the store itself")
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 1)
    with store.write() as session:
        idempotency.claim(session, "default", "k", "hash")
        with pytest.raises(KeyInUse):
            facts.post(store, "default", [Document("Ada is a smith.")], idempotency_key="k")
    assert facts.find(store) == []
