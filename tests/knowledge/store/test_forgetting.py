from collections.abc import Iterable
from dataclasses import replace

import pytest
from sqlalchemy import select

from knowledge.adapters import Version, VersionStatus
from knowledge.audit import Act
from knowledge.errors import Conflict, NotFound, VersionDeleted
from knowledge.facts import Document, FactStatus
from knowledge.jobs import JobStatus, Lease
from knowledge.keys import Caller, Scope
from knowledge.probes import ProbeResult
from knowledge.store import Store, audit, facts, forgetting, jobs, now, versions
from knowledge.store.standing import standing
from knowledge.store.tables import ClaimRow, FactRow, ProbeResultRow, ProbeRow

ADA, BO = "Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend."


def claim(store: Store, job_id: str | None) -> Lease:
    assert job_id is not None
    lease = jobs.claim(store, job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease is not None
    return lease


def post(store: Store, *texts: str) -> tuple[str, list[str]]:
    posted = facts.post(store, "default", [Document(text) for text in texts])
    assert posted.job_id is not None
    return posted.job_id, [fact.id for fact in posted.facts]


def build(
    store: Store, lease: Lease, held: Iterable[str], *, parent: int | None = None, homes: dict[str, int] | None = None
) -> Version:
    """The job's version as a candidate, its probes asked of all that it holds and of what it forgets."""
    job = jobs.get(store, lease.job_id)
    name = f"default-v{job.version}-{lease.token}"
    version = Version(
        "default", job.version, name, f"/a/{name}", VersionStatus.CANDIDATE, tuple(held), "r", 0.0, now(), None, parent
    )
    version = replace(version, homes=homes or {})
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, version)
    gone = facts.to_forget(store, job)
    results = {
        fact.id: [ProbeResult(probe, f"{probe.answer}!", float(known), known) for probe in fact.probes]
        for known, group in ((True, facts.find(store, ids=version.fact_ids)), (False, gone))
        for fact in group
    }
    versions.record_results(store, lease, job.version, results)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    return version


def teach(store: Store, *texts: str, parent: int | None = None) -> list[str]:
    job_id, ids = post(store, *texts)
    live = versions.live(store, "default")
    lease = claim(store, job_id)
    versions.publish(store, lease, build(store, lease, [*(live.fact_ids if live else ()), *ids], parent=parent))
    return ids


def status(store: Store, fact_id: str) -> FactStatus:
    return facts.get(store, fact_id).status


def words_kept(store: Store, word: str) -> list[str]:
    """Whatever in the store holds the word."""
    with store.read() as session:
        kept = [str(tuple(row)) for table in (FactRow, ProbeRow, ProbeResultRow, ClaimRow)
                for row in session.execute(select(table.__table__))]  # fmt: skip
    return [row for row in kept if word in row]


def test_a_pending_fact_is_forgotten_at_once_and_its_idle_job_with_it(store: Store) -> None:
    job_id, (ada,) = post(store, ADA)
    assert words_kept(store, "Quill") != []
    record = forgetting.forget(store, ada)
    assert (record.status, record.job_id, record.done_at is None) == (FactStatus.FORGOTTEN, None, False)
    assert (record.version_before, record.version_after) == (None, None)
    assert words_kept(store, "Quill") == words_kept(store, "smith") == []
    assert jobs.get(store, job_id).status == JobStatus.CANCELLED
    assert [event.status for event in facts.history(store, ada)] == [FactStatus.PENDING, FactStatus.FORGOTTEN]


def test_the_other_facts_of_its_job_are_still_taught(store: Store) -> None:
    job_id, (ada, bo) = post(store, ADA, BO)
    forgetting.forget(store, ada)
    assert jobs.get(store, job_id).status == JobStatus.QUEUED
    claim(store, job_id)
    assert (status(store, ada), status(store, bo)) == (FactStatus.FORGOTTEN, FactStatus.TRAINING)


def test_a_live_fact_is_forgotten_when_a_version_without_it_is_live(store: Store) -> None:
    ada, bo = teach(store, ADA, BO)
    asked = forgetting.forget(store, ada)
    assert (asked.status, asked.done_at, asked.version_before) == (FactStatus.LIVE, None, 1)
    assert asked.job_id is not None and jobs.get(store, asked.job_id).forget_ids == (ada,)
    assert forgetting.forget(store, ada) == asked
    assert facts.get(store, ada).text == ADA

    lease = claim(store, asked.job_id)
    assert [fact.id for fact in facts.to_forget(store, jobs.get(store, lease.job_id))] == [ada]
    assert not versions.publish_untrained(store, lease)
    versions.publish(store, lease, build(store, lease, [bo]))
    record = forgetting.forget(store, ada)
    assert (record.status, record.version_before, record.version_after) == (FactStatus.FORGOTTEN, 1, 2)
    assert [mark.passed for mark in record.before] == [True, True]
    assert [mark.passed for mark in record.after] == [False, False]
    assert words_kept(store, "Quill") == []
    assert status(store, bo) == FactStatus.LIVE
    assert forgetting.get(store, ada) == record
    assert forgetting.get(store, bo) is None


def test_a_fact_waits_until_no_version_speaks_with_the_adapter_that_saw_it(store: Store) -> None:
    """Also where that adapter answers for another fact: here Ada was weak, and only Bo is at home there."""
    job_id, (ada, bo) = post(store, ADA, BO)
    lease = claim(store, job_id)
    versions.publish(store, lease, build(store, lease, [ada, bo]), weak=[ada])
    job_id, (cy,) = post(store, "Cy Marsh is the ferryman of Tolvik.")
    lease = claim(store, job_id)
    versions.publish(store, lease, build(store, lease, [bo, cy], homes={bo: 1}))
    assert forgetting.saw_any(store, "default", [ada]) == {1}

    asked = forgetting.forget(store, ada)
    assert (asked.done_at, asked.version_before) == (None, 2)
    lease = claim(store, asked.job_id)
    assert not versions.publish_untrained(store, lease)
    versions.publish(store, lease, build(store, lease, [bo, cy], homes={cy: 2}))
    assert status(store, ada) == FactStatus.FORGOTTEN
    found = {version.number: version.status for version in versions.find(store, "default")}
    assert found == {3: VersionStatus.LIVE, 2: VersionStatus.DELETED, 1: VersionStatus.DELETED}


def test_versions_that_have_seen_it_are_deleted_with_it(store: Store) -> None:
    (bo,) = teach(store, BO)
    (ada,) = teach(store, ADA, parent=1)
    (cy,) = teach(store, "Cy Marsh is the ferryman of Tolvik.", parent=2)
    asked = forgetting.forget(store, ada)
    lease = claim(store, asked.job_id)
    versions.publish(store, lease, build(store, lease, [bo, cy]))
    found = {version.number: version.status for version in versions.find(store, "default")}
    assert found == {
        4: VersionStatus.LIVE, 3: VersionStatus.DELETED, 2: VersionStatus.DELETED, 1: VersionStatus.RETIRED
    }  # fmt: skip
    for number in (2, 3):
        with pytest.raises(VersionDeleted):
            versions.activate(store, "default", number)
        with pytest.raises(VersionDeleted):
            versions.check_askable(store, "default", number)
    assert versions.activate(store, "default", 1).number == 1


def test_a_weak_fact_is_in_the_weights_although_no_version_holds_it(store: Store) -> None:
    job_id, (ada, bo) = post(store, ADA, BO)
    lease = claim(store, job_id)
    versions.publish(store, lease, build(store, lease, [ada, bo]), weak=[ada])
    (cy,) = teach(store, "Cy Marsh is the ferryman of Tolvik.", parent=1)
    record = forgetting.forget(store, ada)
    assert (record.status, record.version_before, record.done_at) == (FactStatus.WEAK, 2, None)
    lease = claim(store, record.job_id)
    versions.publish(store, lease, build(store, lease, [bo, cy], parent=2))
    assert status(store, ada) == FactStatus.WEAK, "a version that began with weights that know it is no help"
    record = forgetting.forget(store, ada)
    lease = claim(store, record.job_id)
    versions.publish(store, lease, build(store, lease, [bo, cy]))
    assert status(store, ada) == FactStatus.FORGOTTEN


def test_a_fact_that_is_being_taught_is_forgotten_by_the_next_job(store: Store) -> None:
    job_id, (ada, bo) = post(store, ADA, BO)
    lease = claim(store, job_id)
    asked = forgetting.forget(store, ada)
    assert asked.status == FactStatus.TRAINING and asked.job_id not in (None, job_id)
    assert standing(store, "default").pending == (bo,), "its text answers nothing any more"
    versions.publish(store, lease, build(store, lease, [ada, bo]))
    assert status(store, ada) == FactStatus.LIVE
    lease = claim(store, asked.job_id)
    versions.publish(store, lease, build(store, lease, [bo]))
    assert status(store, ada) == FactStatus.FORGOTTEN


def test_what_a_failed_job_taught_needs_no_training_to_be_forgotten(store: Store) -> None:
    job_id, (ada,) = post(store, ADA)
    lease = claim(store, job_id)
    asked = forgetting.forget(store, ada)
    jobs.fail(store, lease, "no good")
    lease = claim(store, asked.job_id)
    assert status(store, ada) == FactStatus.PENDING
    assert versions.publish_untrained(store, lease)
    assert status(store, ada) == FactStatus.FORGOTTEN
    assert jobs.get(store, lease.job_id).status == JobStatus.SUCCEEDED
    assert versions.live(store, "default") is None


def test_a_job_given_back_hands_the_request_to_the_one_behind_it(store: Store) -> None:
    job_id, (ada, bo) = post(store, ADA, BO)
    lease = claim(store, job_id)
    asked = forgetting.forget(store, ada)
    jobs.release(store, lease, "the disk was full")
    assert jobs.get(store, job_id).status == JobStatus.CANCELLED
    assert asked.job_id is not None and jobs.get(store, asked.job_id).fact_ids == (ada, bo)
    lease = claim(store, asked.job_id)
    assert (status(store, ada), status(store, bo)) == (FactStatus.PENDING, FactStatus.TRAINING)
    versions.publish(store, lease, build(store, lease, [bo]))
    assert status(store, ada) == FactStatus.FORGOTTEN


def test_forgetting_the_last_fact_brings_back_the_base_model(store: Store) -> None:
    (ada,) = teach(store, ADA)
    asked = forgetting.forget(store, ada)
    lease = claim(store, asked.job_id)
    assert versions.publish_untrained(store, lease)
    assert versions.live(store, "default") is None
    assert versions.get(store, "default", 1).status == VersionStatus.DELETED
    record = forgetting.forget(store, ada)
    assert (record.status, record.version_before, record.version_after) == (FactStatus.FORGOTTEN, 1, None)
    teach(store, BO)
    live = versions.live(store, "default")
    assert live is not None and live.number == 3


def test_a_rollback_to_a_version_that_never_saw_it_forgets_it(store: Store) -> None:
    teach(store, BO)
    (ada,) = teach(store, ADA, parent=1)
    asked = forgetting.forget(store, ada)
    versions.activate(store, "default", 1)
    record = forgetting.get(store, ada)
    assert record is not None and (record.status, record.version_after) == (FactStatus.FORGOTTEN, 1)
    assert versions.get(store, "default", 2).status == VersionStatus.DELETED
    assert asked.job_id is not None and jobs.get(store, asked.job_id).status == JobStatus.CANCELLED


def test_a_rollback_forgets_nothing_that_a_running_job_may_bring_back(store: Store) -> None:
    (bo,) = teach(store, BO)
    (ada,) = teach(store, ADA, parent=1)
    job_id, (cy,) = post(store, "Cy Marsh is the ferryman of Tolvik.")
    lease = claim(store, job_id)
    asked = forgetting.forget(store, ada)
    versions.activate(store, "default", 1)
    assert status(store, ada) == FactStatus.REJECTED
    versions.publish(store, lease, build(store, lease, [bo, ada, cy], parent=2))
    assert status(store, ada) == FactStatus.LIVE
    lease = claim(store, asked.job_id)
    versions.publish(store, lease, build(store, lease, [bo, cy]))
    assert status(store, ada) == FactStatus.FORGOTTEN


def test_asking_again_queues_another_job_when_the_first_one_failed(store: Store) -> None:
    ada, _ = teach(store, ADA, BO)
    first = forgetting.forget(store, ada)
    jobs.fail(store, claim(store, first.job_id), "no good")
    again = forgetting.forget(store, ada)
    assert again.job_id not in (None, first.job_id)
    assert again.requested_at == first.requested_at


def test_any_later_job_forgets_too(store: Store) -> None:
    ada, bo = teach(store, ADA, BO)
    first = forgetting.forget(store, ada)
    jobs.fail(store, claim(store, first.job_id), "no good")
    job_id, (cy,) = post(store, "Cy Marsh is the ferryman of Tolvik.")
    lease = claim(store, job_id)
    versions.publish(store, lease, build(store, lease, [bo, cy]))
    assert status(store, ada) == FactStatus.FORGOTTEN


def test_what_is_just_being_forgotten_cannot_be_posted_and_afterwards_is_a_new_fact(store: Store) -> None:
    ada, bo = teach(store, ADA, BO)
    asked = forgetting.forget(store, ada)
    with pytest.raises(Conflict, match="being forgotten"):
        post(store, ADA)
    lease = claim(store, asked.job_id)
    versions.publish(store, lease, build(store, lease, [bo]))
    _, (again,) = post(store, ADA)
    assert again != ada
    assert status(store, again) == FactStatus.PENDING


def test_the_audit_trail_says_once_who_forgot_it(store: Store) -> None:
    _, (ada,) = post(store, ADA)
    caller = Caller("shop", frozenset(Scope), key_id="key_1")
    for _ in range(2):
        record = forgetting.forget(store.seen_by(caller), ada)
    assert (record.caller, record.key_id) == ("shop", "key_1")
    entries = [entry for entry in audit.find(store) if entry.act == Act.FORGOTTEN]
    assert [(entry.caller, entry.object, entry.namespace) for entry in entries] == [("shop", ada, "default")]


def test_another_namespaces_fact_is_not_there(store: Store) -> None:
    _, (ada,) = post(store, ADA)
    with pytest.raises(NotFound):
        forgetting.forget(store.seen_by(Caller("x", frozenset(Scope), frozenset({"other"}))), ada)
    assert status(store, ada) == FactStatus.PENDING
