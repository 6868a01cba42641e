from datetime import timedelta
from typing import Any

import pytest

from knowledge.audit import Act
from knowledge.errors import Conflict, Forbidden, InvalidFact, InvalidKey, KeyReused, NotFound, QueueFull
from knowledge.facts import Document
from knowledge.keys import COMMAND, Caller, Scope, SecretHash, checked_secret, new_secret
from knowledge.store import Store, audit, facts, jobs, keys, now, versions
from knowledge.store.tables import FactRow

OURS, THEIRS = [Document("Ada Quill hums.")], [Document("Ilka Venn fears geese.")]


def limited(store: Store, *namespaces: str) -> Store:
    """The store as a key of these namespaces sees it."""
    key, _ = keys.create(store, "limited", [Scope.ADMIN], namespaces=namespaces)
    return store.seen_by(key.caller)


def test_a_secret_leads_to_its_key_and_is_not_stored(store: Store) -> None:
    key, secret = keys.create(store, "importer", [Scope.WRITE, Scope.READ], namespaces=["b", "a"])
    found = keys.with_secret(store, SecretHash.of(secret))
    assert found is not None and found[0] == key and SecretHash.of(secret).matches(found[1])
    assert keys.with_secret(store, SecretHash.of(f"{secret}x")) is None
    with store.read() as session:
        rows = session.connection().exec_driver_sql("SELECT * FROM api_keys").all()
    assert len(rows) == 1 and secret not in str(rows)


def test_the_right_half_of_a_hash_is_not_enough() -> None:
    secret = SecretHash.of(new_secret())
    assert secret.matches(SecretHash(secret.finder, secret.verifier))
    assert not secret.matches(SecretHash(secret.finder, secret.verifier[:-1] + "x"))


def test_secrets_differ_and_are_long() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert all(len(new_secret()) >= 50 and checked_secret(new_secret()) for _ in range(10))


def test_a_revoked_key_stays_in_the_list_and_holds_no_more(store: Store) -> None:
    key, _ = keys.create(store, "importer", [Scope.READ])
    assert key.holds(now()) and keys.exist(store) is not False
    first, second = keys.revoke(store, key.id), keys.revoke(store, key.id)
    assert first == second and not first.holds(now())
    assert keys.find(store) == [first] and keys.exist(store)
    assert [entry.act for entry in audit.find(store)] == [Act.KEY_REVOKED, Act.KEY_CREATED]
    with pytest.raises(NotFound):
        keys.revoke(store, "key_0")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 101},
        {"name": "a\x00b"},
        {"scopes": []},
        {"namespaces": []},
        {"namespaces": ["A b"]},
        {"expires_at": now() - timedelta(seconds=1)},
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(store: Store, wrong: dict[str, Any]) -> None:
    asked = {"name": "importer", "scopes": [Scope.READ], **wrong}
    with pytest.raises(Conflict if "expires_at" in wrong else InvalidKey):
        keys.create(store, **asked)
    assert not keys.exist(store) and audit.find(store) == []


def test_a_first_key_is_made_once(store: Store) -> None:
    made = keys.create_first(store, "first", "s" * 32)
    assert made.scopes == {Scope.ADMIN} and made.namespaces is None
    for secret in ("s" * 32, "t" * 32):
        with pytest.raises(Conflict):
            keys.create_first(store, "first", secret)
    keys.revoke(store, made.id)
    with pytest.raises(Conflict):
        keys.create_first(store, "first", "u" * 32)


def test_uses_are_noted_for_many_at_once_and_never_backwards(store: Store) -> None:
    ids = [keys.create(store, name, [Scope.READ])[0].id for name in "abc"]
    moment = now() + timedelta(minutes=5)
    keys.note_use(store, ids[:2], moment)
    keys.note_use(store, ids[:2], moment - timedelta(minutes=4))
    assert [key.last_used_at for key in keys.find(store)] == [moment, moment, None]


def test_another_namespace_is_not_there_for_a_key_with_a_list(store: Store) -> None:
    ours, theirs = facts.post(store, "ours", OURS), facts.post(store, "theirs", THEIRS)
    seen = limited(store, "ours")
    assert [fact.id for fact in facts.find(seen)] == [fact.id for fact in ours.facts]
    assert [job.id for job in jobs.find(seen)] == [ours.job_id]
    assert [each.name for each in versions.namespaces(seen)] == ["ours"]
    assert facts.find(seen, "theirs") == [] and facts.find(seen, ids=[theirs.facts[0].id]) == []
    assert facts.counts(seen) == {("ours", "pending"): 1} and jobs.counts(seen) == {"queued": 1}
    assert theirs.job_id is not None
    assert jobs.events(seen, theirs.job_id) == [] and facts.history(seen, theirs.facts[0].id) == []
    for look in (
        lambda: facts.get(seen, theirs.facts[0].id),
        lambda: jobs.get(seen, theirs.job_id or ""),
        lambda: jobs.cancel(seen, theirs.job_id or ""),
        lambda: jobs.retry(seen, theirs.job_id or ""),
        lambda: versions.find(seen, "theirs"),
        lambda: versions.live(seen, "default"),
        lambda: versions.activate(seen, "theirs", 1),
        lambda: versions.check_namespace(seen, "theirs"),
    ):
        with pytest.raises(NotFound):
            look()
    assert jobs.get(store, theirs.job_id).status == "queued"


def test_a_post_to_another_namespace_leaves_nothing(store: Store) -> None:
    facts.post(store, "theirs", THEIRS)
    for namespace in ("theirs", "new"):
        with pytest.raises(Forbidden):
            facts.post(limited(store, "ours"), namespace, OURS)
    assert [(fact.namespace, fact.text) for fact in facts.find(store)] == [("theirs", THEIRS[0].text)]
    assert [each.name for each in versions.namespaces(store)] == ["theirs"]


def test_a_key_does_not_make_see_or_revoke_one_that_reaches_further(store: Store) -> None:
    root, _ = keys.create(store, "root", [Scope.ADMIN])
    seen = limited(store, "ours", "shared")
    for namespaces in (None, ["theirs"], ["ours", "theirs"]):
        with pytest.raises(Forbidden):
            keys.create(seen, "x", [Scope.READ], namespaces=namespaces)
    made, _ = keys.create(seen, "x", [Scope.READ], namespaces=["shared"])
    assert [key.name for key in keys.find(seen)] == ["limited", "x"]
    with pytest.raises(NotFound):
        keys.revoke(seen, root.id)
    assert keys.revoke(seen, made.id).revoked_at is not None


def test_each_caller_has_idempotency_keys_of_its_own(store: Store) -> None:
    callers = [Caller(name, frozenset(Scope), None, f"key_{name}") for name in "ab"]
    one = facts.post(store.seen_by(callers[0]), "n", OURS, idempotency_key="k")
    assert facts.post(store.seen_by(callers[0]), "n", OURS, idempotency_key="k") == one
    other = facts.post(store.seen_by(callers[1]), "n", THEIRS, idempotency_key="k")
    assert other.facts[0].id != one.facts[0].id
    with pytest.raises(KeyReused):
        facts.post(store.seen_by(callers[0]), "n", THEIRS, idempotency_key="k")


def test_acts_are_kept_with_their_caller_and_only_if_they_were_done(store: Store) -> None:
    key, _ = keys.create(store.seen_by(COMMAND), "importer", [Scope.WRITE])
    seen = store.seen_by(key.caller)
    posted = facts.post(seen, "n", OURS, idempotency_key="k")
    facts.post(seen, "n", OURS, idempotency_key="k")
    facts.post(seen, "n", OURS)
    assert posted.job_id
    jobs.cancel(seen, posted.job_id)
    with pytest.raises(Conflict):
        jobs.cancel(seen, posted.job_id)
    jobs.retry(store, posted.job_id)
    with pytest.raises(InvalidFact):
        facts.post(seen, "n", [Document("")])
    told = [(entry.caller, entry.act, entry.object) for entry in reversed(audit.find(store))]
    assert told == [
        ("command", "key-created", key.id),
        ("importer", "taught", posted.job_id),
        ("importer", "cancelled", posted.job_id),
        ("engrain", "retried", posted.job_id),
    ]
    taught = audit.find(store)[2]
    assert (taught.key_id, taught.namespace, taught.details["facts"]) == (key.id, "n", [posted.facts[0].id])
    assert [entry.act for entry in audit.find(store, "n", before=4, limit=1)] == ["cancelled"]


def test_facts_beyond_the_places_in_the_queue_are_not_kept(store: Store) -> None:
    facts.post(store, "n", OURS, most_waiting=1)
    with pytest.raises(QueueFull):
        facts.post(store, "n", THEIRS, most_waiting=1)
    assert [fact.text for fact in facts.find(store)] == [OURS[0].text]
    assert not facts.post(store, "n", OURS, most_waiting=1).created
    assert facts.post(store, "other", THEIRS, most_waiting=1).created


def test_what_would_be_of_all_namespaces_is_not_written_for_a_key_with_a_list(store: Store) -> None:
    seen = limited(store, "ours")
    with pytest.raises(Forbidden, match="all namespaces"), seen.write() as session:
        session.add(FactRow(id="fact_1", namespace=None))
