from datetime import timedelta

import pytest

from knowledge.errors import Conflict, InvalidFact, NotFound
from knowledge.facts import Document
from knowledge.store import Store, facts, jobs, now, webhooks
from knowledge.store.tables import WebhookDeliveryRow
from knowledge.webhooks import Attempt, Delivery, DeliveryStatus, retry_seconds

ADA = Document("Ada Quill is the smith of Orrin.")
FAILED = Attempt(500, "The receiver answered 500.")


def told(store: Store, webhook_id: str) -> list[Delivery]:
    """Everything that a webhook is told, oldest first."""
    return webhooks.deliveries(store, webhook_id, limit=100)[::-1]


def settle(store: Store, tried: Delivery, attempt: Attempt, most_attempts: int = 3) -> Delivery:
    return webhooks.settle(store, tried, attempt, most_attempts=most_attempts, first_retry_seconds=5)


def take(store: Store, webhook_id: str, most: int = 10) -> list[Delivery]:
    return [parcel.delivery for parcel in webhooks.take(store, webhook_id, most=most, lease_seconds=60)]


def test_an_event_and_its_deliveries_are_kept_together_or_not_at_all(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", [], [])
    with pytest.raises(InvalidFact):
        facts.post(store, "default", [ADA, Document(" ")])
    assert told(store, webhook.id) == []
    posted = facts.post(store, "default", [ADA])
    deliveries = told(store, webhook.id)
    assert {each.event for each in deliveries} == {"job.queued", "fact.pending"}
    assert {each.body["data"]["id"] for each in deliveries} == {posted.job_id, posted.facts[0].id}  # type: ignore[index]
    assert all(each.status == DeliveryStatus.PENDING and each.attempts == 0 for each in deliveries)


def test_a_webhook_is_told_only_of_its_events_and_namespaces(store: Store) -> None:
    of_jobs, _ = webhooks.add(store, "https://a.example", ["job.*"], [])
    of_live, _ = webhooks.add(store, "https://b.example", ["fact.live", "job.cancelled"], ["other"])
    for namespace in ("default", "other"):
        job_id = facts.post(store, namespace, [ADA]).job_id
        assert job_id
        jobs.cancel(store, job_id)
    assert [each.event for each in told(store, of_jobs.id)] == ["job.queued", "job.cancelled"] * 2
    assert [(each.event, each.namespace) for each in told(store, of_live.id)] == [("job.cancelled", "other")]


def test_what_one_process_has_taken_no_other_gets(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", [], [])
    facts.post(store, "default", [ADA])
    assert webhooks.due(store) == [webhook.id]
    first, rest = take(store, webhook.id, most=1), take(store, webhook.id)
    assert (len(first), len(rest)) == (1, 1)
    assert first[0].id != rest[0].id
    assert (take(store, webhook.id), webhooks.due(store)) == ([], [])


def test_what_a_dead_process_had_taken_is_due_again_and_its_late_word_does_not_count(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", ["job.*"], [])
    facts.post(store, "default", [ADA])
    [lost] = [parcel.delivery for parcel in webhooks.take(store, webhook.id, most=1, lease_seconds=-1)]
    [again] = take(store, webhook.id)
    assert (again.id, again.attempts) == (lost.id, 2)
    assert settle(store, lost, FAILED).status_code is None
    assert settle(store, again, Attempt(204, None)).status == DeliveryStatus.DELIVERED


def test_a_failed_attempt_waits_longer_each_time_and_the_last_one_is_given_up_until_replayed(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", ["job.*"], [])
    facts.post(store, "default", [ADA])
    [first] = take(store, webhook.id)
    waiting = settle(store, first, FAILED)
    assert waiting.next_attempt_at and timedelta(seconds=2) < waiting.next_attempt_at - now() < timedelta(seconds=5.1)
    assert take(store, webhook.id) == []
    given_up = settle(store, first, FAILED, most_attempts=1)
    assert (given_up.status, given_up.next_attempt_at) == (DeliveryStatus.GIVEN_UP, None)
    assert (given_up.status_code, given_up.error) == (500, "The receiver answered 500.")
    assert webhooks.counts(store) == {"given_up": 1}
    assert webhooks.replay(store, webhook.id, first.id).status == DeliveryStatus.PENDING
    [replayed] = take(store, webhook.id)
    assert (replayed.id, replayed.attempts, replayed.body) == (first.id, 1, first.body)


def test_a_final_attempt_is_not_followed_by_another(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", ["job.*"], [])
    facts.post(store, "default", [ADA])
    [first] = take(store, webhook.id)
    assert settle(store, first, Attempt(None, "private", final=True)).status == DeliveryStatus.GIVEN_UP


def test_pauses_grow_threefold_to_six_hours_and_chance_shortens_them_by_up_to_half() -> None:
    assert [retry_seconds(attempts, 5, 0) for attempts in (1, 2, 3, 4)] == [5, 15, 45, 135]
    assert retry_seconds(100, 5, 0) == 6 * 3600
    assert retry_seconds(2, 5, 1) == 7.5


def test_a_deleted_webhook_takes_its_deliveries_along(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", [], [])
    facts.post(store, "default", [ADA])
    [taken, *_] = take(store, webhook.id)
    webhooks.remove(store, webhook.id)
    assert webhooks.counts(store) == {}
    for gone in (
        lambda: webhooks.get(store, webhook.id),
        lambda: webhooks.deliveries(store, webhook.id, limit=1),
        lambda: webhooks.replay(store, webhook.id, taken.id),
        lambda: settle(store, taken, FAILED),
    ):
        with pytest.raises(NotFound):
            gone()


def test_only_what_ended_long_ago_is_forgotten(store: Store) -> None:
    webhook, _ = webhooks.add(store, "https://a.example", [], [])
    facts.post(store, "default", [ADA])
    [ended, waiting] = take(store, webhook.id)
    settle(store, ended, Attempt(200, None))
    webhooks.forget_old(store)
    assert len(told(store, webhook.id)) == 2
    with store.write() as session:
        for row in session.query(WebhookDeliveryRow):
            row.created_at -= timedelta(days=webhooks.KEPT_DAYS, seconds=1)
    webhooks.forget_old(store)
    assert [each.id for each in told(store, webhook.id)] == [waiting.id]


def test_there_is_a_most_number_of_webhooks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_WEBHOOKS", 1)
    webhooks.add(store, "https://a.example", [], [])
    with pytest.raises(Conflict, match="webhooks already"):
        webhooks.add(store, "https://b.example", [], [])
