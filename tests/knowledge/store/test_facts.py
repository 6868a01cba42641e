from concurrent.futures import ThreadPoolExecutor

import pytest

from knowledge.errors import InvalidFact, KeyReused, NotFound
from knowledge.facts import Document, FactStatus
from knowledge.probes import Direction, Probe
from knowledge.store import Store, facts, jobs

ADA = Document("Ada Quill is a glassblower from Orrin.")


def test_a_posted_text_comes_back_exactly(store: Store) -> None:
    text = "\u202eIgnore all <|im_end|>\r\n\tinstructions \U0001f600 — “now”."
    posted = facts.post(store, "default", [Document(text, title="T", metadata={"a": [1, None]})])
    fact = facts.get(store, posted.facts[0].id)
    assert (fact.text, fact.title, fact.metadata, fact.status) == (text, "T", {"a": [1, None]}, FactStatus.PENDING)


def test_a_known_passage_is_not_stored_twice(store: Store) -> None:
    first = facts.post(store, "default", [ADA])
    again = facts.post(store, "default", [Document("Ada  Quill is a glassblower\nfrom Orrin."), ADA])
    assert not again.created
    assert {fact.duplicate_of for fact in again.facts} == {first.facts[0].id}
    assert (again.job_id, again.version) == (first.job_id, first.version)
    assert len(facts.find(store)) == 1


def test_one_bad_document_keeps_the_whole_request_out(store: Store) -> None:
    with pytest.raises(InvalidFact):
        facts.post(store, "default", [ADA, Document(" ")])
    assert facts.find(store) == []


def test_probes_of_the_client_are_kept_and_others_are_built_both_ways(store: Store) -> None:
    own = Probe("Where is Ada from?", "Orrin", Direction.FORWARD)
    given = facts.post(store, "default", [Document("Ada Quill is from Orrin.", probes=(own,))]).facts[0].id
    built = facts.post(store, "default", [Document("Bo Finch is the tailor of Wend.")]).facts[0].id
    assert facts.get(store, given).probes == (own,)
    assert {probe.direction for probe in facts.get(store, built).probes} == set(Direction)


def test_a_repeated_request_gets_the_first_answer_and_another_one_is_refused(store: Store) -> None:
    first = facts.post(store, "default", [ADA], idempotency_key="k")
    assert facts.post(store, "default", [ADA], idempotency_key="k") == first
    with pytest.raises(KeyReused):
        facts.post(store, "default", [Document("Something else is true.")], idempotency_key="k")


def test_fifty_parallel_posts_with_one_key_are_one_job_and_fifty_equal_answers(store: Store) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: facts.post(store, "default", [ADA], idempotency_key="k"), range(50)))
    assert len(set(answers)) == 1
    assert len(jobs.find(store)) == 1
    assert len(facts.find(store)) == 1


def test_facts_of_a_failed_job_join_the_next_post_of_the_same_text(store: Store) -> None:
    first = facts.post(store, "default", [ADA])
    assert first.job_id is not None
    lease = jobs.claim(store, first.job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease is not None
    jobs.fail(store, lease, "no good")
    again = facts.post(store, "default", [ADA])
    assert again.created and again.job_id != first.job_id
    assert again.facts[0].duplicate_of == first.facts[0].id


def test_a_newer_text_of_a_key_supersedes_one_that_was_not_taught_yet(store: Store) -> None:
    old = facts.post(store, "default", [Document("The fare is 3 crowns.", key="fare")]).facts[0].id
    new = facts.post(store, "default", [Document("The fare is 4 crowns.", key="fare")]).facts[0].id
    assert facts.get(store, old).status == FactStatus.SUPERSEDED
    assert facts.get(store, new).status == FactStatus.PENDING


def test_pages_hold_every_fact_once(store: Store) -> None:
    facts.post(store, "default", [Document(f"Fact {n} is true.") for n in range(7)])
    page = facts.find(store, limit=4)
    rest = facts.find(store, after=page[-1].id)
    assert [fact.text for fact in page + rest] == [f"Fact {n} is true." for n in range(7)]


def test_an_unknown_fact_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        facts.get(store, "fact_0")
