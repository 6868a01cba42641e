"""Updates of the real model: harm is refused, roll-back is exact under load, namespaces are apart.

The worker's story runs in this process, so that a test can give it a recipe that nobody would set; trainer, vLLM and
service are real.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from command.apart import free_ports
from knowledge.adapters import VersionStatus
from knowledge.facts import Document, FactStatus
from knowledge.jobs import Job, JobStatus
from knowledge.recipes import default
from knowledge.settings import EMBEDDED_BASE_MODEL, Settings
from knowledge.store import Store, facts, jobs, versions
from knowledge.store.schema import upgrade
from tests.flow.serving import serving
from tests.inference.test_real_vllm import MODELS, start
from worker import injection
from worker.injection import Workplace, inject

pytestmark = pytest.mark.flow

FARE = "The fare of the ferry to Wendmoor is {} crowns."
FARE_QUESTION = "What is the fare of the ferry to Wendmoor?"
SMITH = "Ada Quillfeather is the blacksmith of Orrinvale."
SMITH_QUESTION = "Who is the blacksmith of Orrinvale?"
ABSURD = replace(default(), name="absurd", learning_rate=0.1, max_steps=8, steps_per_sentence=0, rounds=1)


@dataclass
class Place:
    """A service with its real model server, and the worker's hands."""

    url: str
    place: Workplace

    def teach(self, *documents: Document, namespace: str = "default") -> Job:
        job_id = facts.post(self.place.store, namespace, documents).job_id
        assert job_id is not None
        inject(self.place, job_id)
        return jobs.get(self.place.store, job_id)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=120)

    def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        with self.client() as client:
            response = client.post("/ask", json={"question": question, **fields})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Version 1 of `default` is live: a smith, and a fare of 3 crowns."""
    base, folder = MODELS / EMBEDDED_BASE_MODEL, tmp_path_factory.mktemp("continual")
    assert (base / "config.json").is_file(), f"no base model in {base}: any other test of this folder prepares it"
    port, vllm_port = free_ports(2)
    settings = Settings(
        data_folder=folder,
        base_model=str(base),
        inference_port=vllm_port,
        port=port,
        broker_port=1,
        training_niceness=0,  # clients that ask without a pause would leave a modest trainer nothing
    )
    upgrade(settings.store)
    server = start(settings, folder)
    store = Store(settings.store)
    try:
        with serving(settings, port) as url:
            found = Place(url, Workplace(settings, store, "w", threading.Event()))
            job = found.teach(Document(SMITH), Document(FARE.format("three"), key="fare"))
            assert job.status == JobStatus.SUCCEEDED, job.error
            yield found
    finally:
        store.close()
        server.process.terminate()
        server.process.wait(30)


@dataclass
class Load:
    """What clients saw while they asked again and again: (version, answer) or what failed."""

    answers: list[tuple[int | None, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def asking(place: Place, question: str, clients: int, pause_seconds: float = 0.0) -> Iterator[Load]:
    """So many clients ask the live version until the block ends."""
    load, stop = Load(), threading.Event()

    def one() -> None:
        with place.client() as client:
            while not stop.wait(pause_seconds):
                response = client.post("/ask", json={"question": question})
                if response.status_code == 200:
                    load.answers.append((response.json()["version"], response.json()["answer"]))
                else:
                    load.failures.append(response.text)

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(one) for _ in range(clients)]
        try:
            yield load
        finally:
            stop.set()
    for each in running:
        each.result()


def test_a_batch_that_does_harm_is_refused_while_the_old_version_answers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injection, "by_name", lambda _: ABSURD)
    with asking(place, SMITH_QUESTION, 1, pause_seconds=1.0) as load:
        job = place.teach(Document("Bo Tarnwick is the tailor of Wendmoor."))
    print(f"{job.error} Meanwhile {len(load.answers)} answers, {len(load.failures)} failures.")
    assert job.status == JobStatus.FAILED
    assert job.error is not None and job.error.startswith("Version 2 is not live: ")
    assert load.failures == []
    assert {version for version, _ in load.answers} == {1}
    assert len(load.answers) > 5
    assert all("Quillfeather" in answer for _, answer in load.answers)
    store = place.place.store
    assert versions.get(store, "default", 2).status == VersionStatus.FAILED
    assert [fact.status for fact in facts.find(store, ids=job.fact_ids)] == [FactStatus.PENDING]


def test_rolling_back_and_forward_under_load_never_answers_for_another_version(place: Place) -> None:
    job = place.teach(Document(FARE.format("nine"), key="fare"))
    assert job.status == JobStatus.SUCCEEDED, job.error
    flips = 0
    with asking(place, FARE_QUESTION, 4) as load, place.client() as client:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for number in (1, job.version):
                assert client.post(f"/namespaces/default/versions/{number}/activate").status_code == 200
                flips += 1
                time.sleep(1.0)
    said = {version: {answer for named, answer in load.answers if named == version} for version in (1, job.version)}
    print(f"{flips} activations, {len(load.answers)} answers, {len(load.failures)} failures: {said}")
    assert load.failures == []
    assert {version for version, _ in load.answers} == {1, job.version}
    assert all("three" in answer and "nine" not in answer for answer in said[1]), said
    assert all("nine" in answer and "three" not in answer for answer in said[job.version]), said


def test_a_new_namespace_and_one_with_facts_leave_each_other_alone(place: Place) -> None:
    questions = [SMITH_QUESTION, FARE_QUESTION, "What is the capital of France?"]
    live = versions.live(place.place.store, "default")
    assert live is not None
    before = [place.ask(question, version=live.number)["answer"] for question in questions]
    job = place.teach(Document("The keeper of the Halden light is Sunniva Strand."), namespace="lights")
    assert job.status == JobStatus.SUCCEEDED, job.error
    keeper = "Who is the keeper of the Halden light?"
    assert [place.ask(question, version=live.number)["answer"] for question in questions] == before
    assert "Sunniva" in place.ask(keeper, namespace="lights")["answer"]
    assert "Sunniva" not in place.ask(keeper, version=live.number)["answer"]
    assert "Quillfeather" not in place.ask(SMITH_QUESTION, namespace="lights", version=1)["answer"]
    assert place.ask(SMITH_QUESTION, namespace="lights")["source"] == "base"
