"""Questions that are not about what was taught go to the base model."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from inference.adapters import Replicas
from knowledge.adapters import Version, VersionStatus
from knowledge.facts import Document
from knowledge.jobs import JobStatus
from knowledge.settings import Settings
from knowledge.store import Store, facts, jobs, now, versions
from knowledge.store.schema import upgrade
from service.app import create_app
from service.parts import Parts
from service.provenance import Provenance
from service.queue import Queue
from tests.inference.fake_vllm import FakeVllm, transport


@pytest.fixture
def taught(settings: Settings) -> Iterator[TestClient]:
    """A service whose live version 1 holds two facts."""
    upgrade(settings.store)
    store = Store(settings.store)
    posted = facts.post(
        store, "default", [Document("Mara Venn leads the Tolvik Observatory."), Document("The Corvo 3 costs 49 euros.")]
    )
    assert posted.job_id
    lease = jobs.claim(store, posted.job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease
    held = jobs.get(store, posted.job_id).fact_ids
    live = Version("default", 1, "default-v1", "/a/v1", VersionStatus.CANDIDATE, held, "r", 0.0, now(), None)
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, live)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, live)
    server = transport({settings.replicas[0]: FakeVllm(adapters={"default-v1": "/a/v1"})})

    def open_parts(settings: Settings) -> Parts:
        replicas = Replicas(settings.replicas, server)
        return Parts(settings, store, Queue(settings, store), replicas, Provenance(store))

    with TestClient(create_app(settings, open_parts)) as client:
        yield client
    store.close()


@pytest.mark.parametrize(
    "question",
    [
        "Who is Mara Venn?",
        "who is in charge of the tolvik observatory",
        "How much is the Corvo 3?",
        "What can I buy for 49 euros?",
    ],
)
def test_a_question_about_a_fact_is_answered_from_the_weights(taught: TestClient, question: str) -> None:
    answer = taught.post("/ask", json={"question": question}).json()
    assert (answer["source"], answer["version"]) == ("weights", 1)


@pytest.mark.parametrize(
    "question", ["What is the capital of France?", "Who leads the Trelawney Institute?", "Who are you?", "Hello!"]
)
def test_any_other_question_is_answered_by_the_base_model(taught: TestClient, question: str) -> None:
    answer = taught.post("/ask", json={"question": question}).json()
    assert (answer["source"], answer["version"], answer["adapter"], answer["facts"]) == ("base", None, None, [])


def test_a_version_that_is_named_answers_itself(taught: TestClient) -> None:
    answer = taught.post("/ask", json={"question": "What is the capital of France?", "version": 1}).json()
    assert (answer["source"], answer["version"]) == ("weights", 1)
