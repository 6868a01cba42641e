from datetime import timedelta

import pytest

from knowledge.errors import InvalidFact
from knowledge.facts import Document
from knowledge.store import Store, facts, idempotency
from knowledge.store.tables import IdempotencyRow

ADA, BO = Document("Ada Quill is the smith of Orrin."), Document("Bo Finch is the tailor of Wend.")


def age(store: Store, hours: float) -> None:
    with store.write() as session:
        for row in session.query(IdempotencyRow):
            row.created_at -= timedelta(hours=hours)


def test_a_key_belongs_to_its_namespace(store: Store) -> None:
    first = facts.post(store, "one", [ADA], idempotency_key="k")
    other = facts.post(store, "two", [BO], idempotency_key="k")
    assert {first.namespace, other.namespace} == {"one", "two"}
    assert facts.post(store, "one", [ADA], idempotency_key="k").is_repeat


def test_an_answer_is_kept_for_a_day(store: Store) -> None:
    facts.post(store, "default", [ADA], idempotency_key="k")
    age(store, idempotency.KEPT_HOURS - 0.1)
    assert facts.post(store, "default", [ADA], idempotency_key="k").is_repeat
    assert idempotency.forget_old(store) == 0
    age(store, 0.2)
    later = facts.post(store, "default", [BO], idempotency_key="k")
    assert later.created and not later.is_repeat
    age(store, idempotency.KEPT_HOURS + 0.1)
    assert idempotency.forget_old(store) == 1
    assert idempotency.forget_old(store) == 0


def test_a_refused_request_leaves_its_key_free(store: Store) -> None:
    with pytest.raises(InvalidFact):
        facts.post(store, "default", [ADA, Document(" ")], idempotency_key="k")
    assert facts.post(store, "default", [ADA], idempotency_key="k").created
