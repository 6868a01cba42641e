from datetime import timedelta

import pytest
from sqlalchemy import event

from knowledge.adapters import Version, VersionStatus
from knowledge.errors import Contradiction, InvalidFact
from knowledge.facts import Document, FactStatus, OnConflict
from knowledge.jobs import JobStatus
from knowledge.probes import Direction, Probe
from knowledge.store import Store, facts, forgetting, jobs, now, versions

ADA, BO = "The mayor of Wend is Ada Quill.", "Bo Finch is the mayor of Wend."


def post(store: Store, *documents: Document) -> list[str]:
    return [fact.id for fact in facts.post(store, "default", documents).facts]


def publish(store: Store) -> None:
    """Makes the queued job's version live, with what the live one held."""
    job_id = jobs.queued_in(store, "default")
    assert job_id is not None
    lease = jobs.claim(store, job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease is not None
    job, live = jobs.get(store, job_id), versions.live(store, "default")
    held = (*(live.fact_ids if live else ()), *job.fact_ids)
    name = f"default-v{job.version}"
    version = Version("default", job.version, name, "/a", VersionStatus.CANDIDATE, held, "r", 1.0, now(), None)
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, version)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)


def status(store: Store, fact_id: str) -> FactStatus:
    return facts.get(store, fact_id).status


@pytest.mark.parametrize("live", [False, True])
def test_a_contradiction_is_refused_with_both_texts_and_nothing_is_kept(store: Store, live: bool) -> None:
    (ada,) = post(store, Document(ADA))
    if live:
        publish(store)
    with pytest.raises(Contradiction) as refused:
        post(store, Document("The Corvo 3 costs 49 euros."), Document(BO))
    (conflict,) = refused.value.conflicts
    assert (conflict["text"], conflict["known_id"], conflict["known_text"]) == (BO, ada, ADA)
    assert (conflict["answer"], conflict["known_answer"]) == ("Bo Finch", "Ada Quill")
    assert [fact.text for fact in facts.find(store)] == [ADA]


def test_two_documents_of_one_request_contradict_each_other_and_one_document_never_does(store: Store) -> None:
    with pytest.raises(Contradiction) as refused:
        post(store, Document(ADA), Document(BO))
    assert refused.value.conflicts[0]["known_id"] is None
    post(store, Document(f"{ADA}\n\n{BO}"))


def test_another_namespace_is_another_world(store: Store) -> None:
    post(store, Document(ADA))
    facts.post(store, "other", [Document(BO)])


def test_both_are_kept_when_the_request_says_so(store: Store) -> None:
    (ada,) = post(store, Document(ADA))
    publish(store)
    (bo,) = post(store, Document(BO, on_conflict=OnConflict.KEEP_BOTH))
    publish(store)
    assert status(store, ada) == status(store, bo) == FactStatus.LIVE


def test_the_new_one_supersedes_the_live_one_when_it_is_live(store: Store) -> None:
    (ada,) = post(store, Document(ADA))
    publish(store)
    (bo,) = post(store, Document(BO, on_conflict=OnConflict.SUPERSEDE))
    assert (status(store, ada), facts.get(store, ada).superseded_by) == (FactStatus.LIVE, bo)
    publish(store)
    assert (status(store, ada), status(store, bo)) == (FactStatus.SUPERSEDED, FactStatus.LIVE)
    versions.activate(store, "default", 1)
    assert (status(store, ada), status(store, bo)) == (FactStatus.LIVE, FactStatus.REJECTED)
    with pytest.raises(Contradiction):
        post(store, Document("The mayor of Wend is Cy Marsh."))
    versions.activate(store, "default", 2)
    assert (status(store, ada), status(store, bo)) == (FactStatus.SUPERSEDED, FactStatus.LIVE)


def test_a_pending_one_is_superseded_at_once(store: Store) -> None:
    (ada,) = post(store, Document(ADA))
    post(store, Document(BO, on_conflict=OnConflict.SUPERSEDE))
    assert status(store, ada) == FactStatus.SUPERSEDED


def test_what_was_to_supersede_is_forgotten_and_the_old_one_goes_on(store: Store) -> None:
    (ada,) = post(store, Document(ADA))
    publish(store)
    (bo,) = post(store, Document(BO, on_conflict=OnConflict.SUPERSEDE))
    forgetting.forget(store, bo)
    assert facts.get(store, ada).superseded_by is None
    with pytest.raises(Contradiction):
        post(store, Document(BO))


def test_a_key_supersedes_its_former_document_unless_the_request_says_reject(store: Store) -> None:
    post(store, Document("The fare is 3 crowns.", key="fare"))
    with pytest.raises(Contradiction) as refused:
        post(store, Document("Children travel free.", key="fare", on_conflict=OnConflict.REJECT))
    assert refused.value.conflicts[0]["question"] == "key fare"
    post(store, Document("The fare is 4 crowns.", key="fare"))
    with pytest.raises(Contradiction):
        post(store, Document("The fare is 5 crowns.", key="other"))


def test_the_clients_probes_are_compared_too(store: Store) -> None:
    def document(text: str, answer: str) -> Document:
        return Document(text, probes=(Probe("When does the market open?", answer, Direction.FORWARD),))

    post(store, document("Market hours: from seven.", "7"))
    with pytest.raises(Contradiction):
        post(store, document("Market hours: from eight.", "8"))


def test_a_text_that_comes_back_after_a_rollback_is_compared_again(store: Store) -> None:
    post(store, Document("Cy Marsh is a ferryman."))
    publish(store)
    (ada,) = post(store, Document(ADA))
    publish(store)
    versions.activate(store, "default", 1)
    post(store, Document(BO))
    with pytest.raises(Contradiction):
        post(store, Document(ADA))
    assert status(store, ada) == FactStatus.REJECTED


def test_a_post_asks_as_much_of_a_large_store_as_of_an_empty_one(store: Store) -> None:
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    def cost(text: str) -> int:
        nonlocal counted
        counted = 0
        post(store, Document(text))
        return counted

    event.listen(store.engine, "before_cursor_execute", count)
    cost("Port 0 is located in Wend.")
    empty = cost("Port 1 is located in Wend.")
    post(store, *(Document(f"Port {number} is located in Wend.") for number in range(2, 300)))
    assert cost("Port 300 is located in Wend.") == empty


def test_a_fact_that_has_expired_already_is_refused(store: Store) -> None:
    with pytest.raises(InvalidFact, match="expires_at"):
        post(store, Document(ADA, expires_at=now() - timedelta(seconds=1)))
    assert facts.find(store) == []


def test_an_expired_fact_is_forgotten_by_the_system(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = now() + timedelta(hours=1)
    ada, bo = post(store, Document(ADA, expires_at=moment), Document("Bo Finch is a tailor."))
    assert forgetting.forget_expired(store) == 0
    monkeypatch.setattr(forgetting, "now", lambda: moment + timedelta(seconds=1))
    assert forgetting.forget_expired(store) == 1
    record = forgetting.get(store, ada)
    assert record is not None and (record.status, record.caller) == (FactStatus.FORGOTTEN, "engrain")
    assert status(store, bo) == FactStatus.PENDING
    assert forgetting.forget_expired(store) == 0


def test_the_newest_post_of_a_text_says_when_it_expires(store: Store) -> None:
    moment = now() + timedelta(hours=1)
    (ada,) = post(store, Document(ADA, expires_at=moment))
    post(store, Document(ADA))
    assert facts.get(store, ada).expires_at is None
