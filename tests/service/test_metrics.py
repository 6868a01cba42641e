"""What `/metrics` shows, and that its labels stay bounded."""

import re
import time
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from knowledge.facts import Document
from knowledge.jobs import JobStatus
from knowledge.store import Store, facts, jobs, now
from service.metrics import MOST_LABELS, VersionAnswers
from tests.service.conftest import Served, claim, teach

A_FACT = "Mara Venn leads the Tolvik Observatory."


def value(text: str, sample: str) -> float:
    """The value of a sample, spelt with its labels."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, flags=re.MULTILINE)
    assert found, f"{sample} is not there"
    return float(found.group(1))


def test_the_queue_shows_how_long_its_oldest_job_waits_and_whether_the_broker_has_it(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = client.get("/metrics").text
    names = ("engrain_queue_jobs", "engrain_queue_oldest_seconds", "engrain_outbox_lag_seconds")
    assert [value(empty, name) for name in names] == [0, 0, 0]
    job_id = facts.post(store, "default", [Document(A_FACT)]).job_id
    assert job_id
    monkeypatch.setattr("knowledge.store.jobs.now", lambda: now() + timedelta(seconds=90))
    text = client.get("/metrics").text
    assert value(text, "engrain_queue_jobs") == 1
    assert 90 <= value(text, "engrain_queue_oldest_seconds") < 150
    assert 90 <= value(text, "engrain_outbox_lag_seconds") < 150
    jobs.mark_sent(store, job_id)
    text = client.get("/metrics").text
    assert value(text, "engrain_queue_jobs") == 1
    assert value(text, "engrain_outbox_lag_seconds") == 0


def test_a_job_that_was_given_back_for_later_is_not_due(client: TestClient, store: Store) -> None:
    lease = claim(store, A_FACT)
    jobs.advance(store, lease, JobStatus.TRAINING)
    jobs.release(store, lease, "vLLM is away", retry_seconds=60)
    assert value(client.get("/metrics").text, "engrain_queue_jobs") == 0


def test_live_versions_are_shown_with_their_facts_and_score(client: TestClient, store: Store) -> None:
    teach(store, A_FACT)
    text = client.get("/metrics").text
    assert value(text, 'engrain_live_version_facts{namespace="default",version="1"}') == 1
    assert value(text, 'engrain_live_version_score_ratio{namespace="default",version="1"}') == 1
    assert value(text, 'engrain_versions{status="live"}') == 1


def test_only_the_newest_namespaces_become_labels(client: TestClient, store: Store) -> None:
    for number in range(MOST_LABELS + 2):
        teach(store, A_FACT, adapter=f"n{number}-v1", namespace=f"n{number}")
    text = client.get("/metrics").text
    shown = set(re.findall(r'engrain_live_version_facts\{namespace="(\w+)"', text))
    assert shown == {f"n{number}" for number in range(2, MOST_LABELS + 2)}


def test_answers_by_version_keep_the_newest_labels_and_lose_no_answer() -> None:
    counted = VersionAnswers(most=2)
    for version in (1, 2, 1, 3, 4, 1):
        counted.count("default", version)
    (metric,) = counted.collect()
    samples = {(sample.labels["namespace"], sample.labels["version"]): sample.value for sample in metric.samples}
    assert samples == {("default", "4"): 1, ("default", "1"): 1, ("other", "other"): 4}


def test_an_answer_is_counted_by_source_and_version_and_the_first_one_since_its_post(served: Served) -> None:
    teach(served.store, "The Corvo 4 costs 59 euros.", adapter="default-v2", path="/a/v2")
    served.fake.adapters["default-v2"] = "/a/v2"
    with served.http() as http:
        before = value(http.get("/metrics").text, "engrain_post_to_answer_seconds_count")
        for _ in range(2):
            assert http.post("/ask", json={"question": "What costs 59 euros?"}).json()["version"] == 2
        deadline = time.monotonic() + 5  # the first answer is noted behind the caller's back
        while value(text := http.get("/metrics").text, "engrain_post_to_answer_seconds_count") == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert value(text, 'engrain_version_answers_total{namespace="default",version="2"}') >= 2
    assert value(text, 'engrain_answer_seconds_count{source="weights"}') >= 2
    assert value(text, "engrain_post_to_answer_seconds_count") == before + 1
    (adapters,) = re.findall(r"^engrain_replica_adapters\{replica=\S+\} (\S+)$", text, flags=re.MULTILINE)
    assert float(adapters) >= 1
