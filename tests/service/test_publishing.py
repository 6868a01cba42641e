"""Twenty publishes under constant questions: nobody notices but by the version that an answer names."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from inference import adapters
from inference.adapters import Replicas
from knowledge.adapters import Manifest, publish_files
from knowledge.jobs import JobStatus
from knowledge.store import jobs, versions
from service import app
from tests.inference.fake_vllm import transport
from tests.service.conftest import Served, candidate, claim

PUBLISHES = 20
QUESTION = "Who is Mara Venn of the Tolvik Observatory?"


async def publish(served: Served, number: int, folder: Path) -> None:
    """What the worker does for a version after its training: candidate, loaded and checked everywhere, then live."""
    lease = claim(served.store, f"Comet {number} was found by Ida Frost.")
    name = f"default-v{number}"
    making = folder / f".making-{name}"
    making.mkdir()
    (making / "adapter_model.safetensors").write_bytes(name.encode())
    publish_files(making, folder / name, Manifest(name, "default", number, "j", "b", {}, "h", (), "2026-01-01"))
    version = candidate(served.store, lease, name, str(folder / name))
    async with Replicas(("http://vllm:1",), transport({"http://vllm:1": served.fake})) as replicas:
        await replicas.ensure(version)
    jobs.advance(served.store, lease, JobStatus.PUBLISHING)
    versions.publish(served.store, lease, version)


def test_twenty_publishes_under_load_fail_no_question_and_every_answer_is_of_the_version_it_names(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "UNWANTED_SECONDS", 0.1)
    monkeypatch.setattr(app, "RECONCILE_SECONDS", 0.05)
    served.fake.seconds = 0.01
    stop = threading.Event()
    answers: list[tuple[int, dict[str, Any]]] = []
    chats: list[tuple[int, dict[str, Any]]] = []
    failures: list[str] = []

    def client(*, openai: bool) -> None:
        path, body = "/ask", dict[str, Any](question=QUESTION)
        if openai:
            path, body = (
                "/v1/chat/completions",
                {"model": "default", "messages": [{"role": "user", "content": QUESTION}]},
            )
        with served.http() as http:
            while not stop.is_set():
                before = versions.live(served.store, "default")
                response = http.post(path, json=body)
                if response.status_code != 200:
                    failures.append(response.text)
                else:
                    (chats if openai else answers).append((before.number if before else 0, response.json()))

    clients = [threading.Thread(target=client, kwargs={"openai": number == 0}) for number in range(3)]
    for each in clients:
        each.start()
    for number in range(2, PUBLISHES + 2):
        asyncio.run(publish(served, number, tmp_path))
    deadline = time.monotonic() + 10
    while len(served.fake.adapters) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    for each in clients:
        each.join()

    assert failures == []
    for before, answer in answers:
        assert answer["answer"] == f"default-v{answer['version']} says hello."
        assert answer["adapter"] == f"default-v{answer['version']}"
        assert answer["version"] >= before, "older than what was live when it was asked"
    for before, chat in chats:
        assert (
            chat["choices"][0]["message"]["content"] == f"default-v{chat['model'].removeprefix('default@')} says hello."
        )
        assert int(chat["model"].removeprefix("default@")) >= before
    assert len({answer["version"] for _, answer in answers}) > PUBLISHES // 2
    assert set(served.fake.adapters) == {f"default-v{PUBLISHES + 1}"}
