from dataclasses import replace

import pytest

from knowledge.adapters import Version, VersionStatus
from knowledge.errors import Conflict, LeaseLost, NotFound
from knowledge.facts import Document, FactStatus
from knowledge.jobs import JobStatus, Lease
from knowledge.probes import ProbeResult
from knowledge.store import Store, facts, jobs, now, versions


def _ready(store: Store, *documents: Document) -> tuple[Lease, Version]:
    """A job at `publishing` with its candidate."""
    posted = facts.post(store, "default", documents)
    assert posted.job_id is not None and posted.version is not None
    lease = jobs.claim(store, posted.job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease is not None
    live = versions.live(store, "default")
    held = (*(live.fact_ids if live else ()), *jobs.get(store, lease.job_id).fact_ids)
    name = f"default-v{posted.version}-{lease.token}"
    number = posted.version
    candidate = Version("default", number, name, f"/a/{name}", VersionStatus.CANDIDATE, held, "r", 0.0, now(), None)
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, candidate)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    return lease, candidate


def _publish(store: Store, *texts: str, homes: dict[str, int] | None = None) -> Version:
    lease, candidate = _ready(store, *(Document(text) for text in texts))
    candidate = replace(candidate, homes=homes or {})
    versions.add_candidate(store, lease, candidate)
    versions.publish(store, lease, candidate)
    return versions.get(store, "default", candidate.number)


def test_publishing_makes_version_facts_and_job_live_together(store: Store) -> None:
    version = _publish(store, "Ada is a smith.", "Bo is a tailor.")
    assert versions.live(store, "default") == version
    assert {fact.status for fact in facts.find(store)} == {FactStatus.LIVE}
    assert {fact.version for fact in facts.find(store)} == {1}
    assert jobs.find(store)[0].status == JobStatus.SUCCEEDED


def test_a_weak_fact_is_not_live_and_not_held(store: Store) -> None:
    lease, candidate = _ready(store, Document("Ada is a smith."), Document("Bo is a tailor."))
    weak = candidate.fact_ids[1]
    versions.publish(store, lease, candidate, weak=[weak])
    assert facts.get(store, weak).status == FactStatus.WEAK
    assert versions.get(store, "default", 1).fact_ids == candidate.fact_ids[:1]


def test_an_older_fact_that_no_longer_passes_is_weak_in_plain_sight(store: Store) -> None:
    held = _publish(store, "Ada is a smith.").fact_ids[0]
    lease, candidate = _ready(store, Document("Bo is a tailor."))
    versions.publish(store, lease, candidate, weak=[held])
    assert facts.get(store, held).status == FactStatus.WEAK


def test_a_holder_that_lost_its_lease_publishes_nothing(store: Store) -> None:
    lease, candidate = _ready(store, Document("Ada is a smith."))
    jobs.cancel(store, lease.job_id)
    with pytest.raises(LeaseLost):
        versions.publish(store, lease, candidate)
    assert versions.live(store, "default") is None
    assert [version.adapter for version in versions.refuse_abandoned(store)] == [candidate.adapter]
    assert versions.get(store, candidate.namespace, candidate.number).status == VersionStatus.FAILED
    assert versions.refuse_abandoned(store) == []


def test_a_newer_text_of_a_key_supersedes_the_live_one_when_it_becomes_live(store: Store) -> None:
    lease, candidate = _ready(store, Document("The fare is 3 crowns.", key="fare"))
    versions.publish(store, lease, candidate)
    old = candidate.fact_ids[0]
    lease, candidate = _ready(store, Document("The fare is 4 crowns.", key="fare"))
    assert facts.get(store, old).status == FactStatus.LIVE
    versions.publish(store, lease, candidate)
    assert facts.get(store, old).status == FactStatus.SUPERSEDED


def test_rolling_back_and_forward_leaves_one_live_version(store: Store) -> None:
    _publish(store, "Ada is a smith.")
    _publish(store, "Bo is a tailor.")
    assert versions.activate(store, "default", 1).status == VersionStatus.LIVE
    live = versions.live(store, "default")
    assert live is not None and live.number == 1
    assert [version.status for version in versions.find(store)] == [VersionStatus.RETIRED, VersionStatus.LIVE]
    versions.activate(store, "default", 2)
    assert [version.status for version in versions.find(store)] == [VersionStatus.LIVE, VersionStatus.RETIRED]


def test_facts_follow_the_live_version_back_and_forward(store: Store) -> None:
    ada = _publish(store, "Ada is a smith.").fact_ids[0]
    (bo,) = set(_publish(store, "Bo is a tailor.").fact_ids) - {ada}

    def statuses() -> list[FactStatus]:
        return [facts.get(store, fact_id).status for fact_id in (ada, bo)]

    versions.activate(store, "default", 1)
    assert statuses() == [FactStatus.LIVE, FactStatus.REJECTED]
    versions.activate(store, "default", 2)
    assert statuses() == [FactStatus.LIVE, FactStatus.LIVE]
    moves = [event.status for event in facts.history(store, bo)]
    assert moves[-3:] == [FactStatus.LIVE, FactStatus.REJECTED, FactStatus.LIVE]


def test_a_rollback_brings_back_what_was_superseded_and_forward_supersedes_it_again(store: Store) -> None:
    old, new = "The fare is 3 crowns.", "The fare is 4 crowns."
    for text in (old, new):
        lease, candidate = _ready(store, Document(text, key="fare"))
        held = facts.find(store, ids=candidate.fact_ids)
        versions.publish(store, lease, candidate)
    by_text = {fact.text: fact.id for fact in held}

    def statuses() -> list[FactStatus]:
        return [facts.get(store, by_text[text]).status for text in (old, new)]

    assert statuses() == [FactStatus.SUPERSEDED, FactStatus.LIVE]
    versions.activate(store, "default", 1)
    assert statuses() == [FactStatus.LIVE, FactStatus.REJECTED]
    versions.activate(store, "default", 2)
    assert statuses() == [FactStatus.SUPERSEDED, FactStatus.LIVE]


def test_a_fact_that_was_weak_later_is_live_again_in_the_version_that_knew_it(store: Store) -> None:
    held = _publish(store, "Ada is a smith.").fact_ids[0]
    lease, candidate = _ready(store, Document("Bo is a tailor."))
    versions.publish(store, lease, candidate, weak=[held])
    versions.activate(store, "default", 1)
    assert facts.get(store, held).status == FactStatus.LIVE


def test_a_text_that_a_rollback_took_away_is_taught_again_when_it_is_posted(store: Store) -> None:
    _publish(store, "Ada is a smith.")
    _publish(store, "Bo is a tailor.")
    versions.activate(store, "default", 1)
    (bo,) = facts.find(store, statuses=[FactStatus.REJECTED])
    lease, candidate = _ready(store, Document("Bo is a tailor."))
    assert facts.get(store, bo.id).status == FactStatus.TRAINING
    versions.publish(store, lease, candidate)
    assert facts.get(store, bo.id).status == FactStatus.LIVE
    versions.activate(store, "default", 2)
    assert facts.get(store, bo.id).status == FactStatus.LIVE


def test_a_publish_after_a_rollback_makes_live_what_it_holds(store: Store) -> None:
    _publish(store, "Ada is a smith.")
    _publish(store, "Bo is a tailor.")
    lease, candidate = _ready(store, Document("Cy is a ferryman."))  # begun from version 2
    versions.activate(store, "default", 1)
    versions.publish(store, lease, candidate)
    assert {fact.status for fact in facts.find(store)} == {FactStatus.LIVE}


def test_a_refused_candidate_cannot_be_activated(store: Store) -> None:
    lease, candidate = _ready(store, Document("Ada is a smith."))
    versions.refuse(store, lease, candidate)
    with pytest.raises(Conflict):
        versions.activate(store, "default", candidate.number)


def test_results_are_kept_by_probe_and_version(store: Store) -> None:
    lease, candidate = _ready(store, Document("Ada is the smith of Orrin."))
    fact = facts.get(store, candidate.fact_ids[0])
    given = [ProbeResult(probe, "an answer", 0.5, False) for probe in fact.probes]
    versions.record_results(store, lease, candidate.number, {fact.id: given})
    assert facts.results(store, fact.id) == [(1, result) for result in given]


def test_an_unknown_namespace_is_not_found_but_the_default_one_is_always_there(store: Store) -> None:
    assert versions.live(store, "default") is None
    with pytest.raises(NotFound):
        versions.live(store, "nobody")


def test_the_line_of_the_live_version_is_itself_and_what_its_weights_continue(store: Store) -> None:
    _publish(store, "Ada is a smith.")
    for number, parent in ((2, None), (3, 2)):
        lease, candidate = _ready(store, Document(f"Bo {number} is a tailor."))
        candidate = replace(candidate, parent=parent, retention=1.0, canaries=0.99)
        versions.add_candidate(store, lease, candidate)
        versions.publish(store, lease, candidate)
    line = versions.ancestry(store, "default")
    assert [(version.number, version.retention, version.canaries) for version in line] == [
        (3, 1.0, 0.99),
        (2, 1.0, 0.99),
    ]
    versions.activate(store, "default", 1)
    assert [version.number for version in versions.ancestry(store, "default")] == [1]


def test_a_namespace_without_a_live_version_has_no_line(store: Store) -> None:
    assert versions.ancestry(store, "default") == []
    facts.post(store, "default", [Document("Ada is a smith.")])
    assert versions.ancestry(store, "default") == []


def test_a_version_knows_where_its_facts_are_at_home(store: Store) -> None:
    (ada,) = _publish(store, "Ada is a smith.").fact_ids
    second = _publish(store, "Bo is a tailor.", homes={ada: 1})
    assert versions.get(store, "default", 2) == second
    assert (second.homes, second.home(ada), len(second.own)) == ({ada: 1}, 1, 1)
    assert [each.number for each in versions.speaking_as(store, second)] == [2, 1]


def test_what_model_servers_should_hold_is_the_live_version_and_the_homes_of_its_facts(store: Store) -> None:
    (ada,) = _publish(store, "Ada is a smith.").fact_ids
    _publish(store, "Bo is a tailor.")
    third = _publish(store, "Cy is a ferryman.", homes={ada: 1})
    assert sorted(each.number for each in versions.speaking(store)) == [1, 3]
    lease, _ = _ready(store, Document("Di is a nurse."))
    assert sorted(each.number for each in versions.speaking(store)) == [1, 3, 4]
    jobs.fail(store, lease, "no")
    versions.refuse_abandoned(store)
    assert versions.live(store, "default") == third
    assert sorted(each.number for each in versions.speaking(store)) == [1, 3]


def test_the_adapter_of_a_deleted_version_is_kept_while_another_speaks_with_it(store: Store) -> None:
    (ada,) = _publish(store, "Ada is a smith.").fact_ids
    second = _publish(store, "Bo is a tailor.", homes={ada: 1})
    _publish(store, "Cy is a ferryman.", homes={ada: 1})
    assert [each.number for each in versions.delete_old(store, keep=0)] == [2, 1]
    assert versions.deleted_adapters(store, before=now()) == {second.adapter}
    assert sorted(each.number for each in versions.speaking(store)) == [1, 3]
    fourth = _publish(store, "Di is a nurse.")
    before = now()
    versions.delete_old(store, keep=0)
    assert versions.deleted_adapters(store, before=before) == {second.adapter}, "the third was asked until just now"
    found = versions.deleted_adapters(store, before=now())
    assert len(found) == 3 and fourth.adapter not in found
