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


def _publish(store: Store, *texts: str) -> Version:
    lease, candidate = _ready(store, *(Document(text) for text in texts))
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


def test_the_line_of_the_live_version_tells_what_its_weights_ever_saw(store: Store) -> None:
    first = _publish(store, "Ada is a smith.")
    lease, candidate = _ready(store, Document("Bo is a tailor."), Document("Cy is a cook."))
    weak = candidate.fact_ids[1]
    versions.publish(store, lease, replace(candidate, parent=1, retention=1.0, canaries=0.99), weak=[weak])
    second = versions.get(store, "default", 2)
    # The candidate's row is written before its probes: what was measured comes with the publish.
    assert (second.parent, second.retention, second.canaries) == (None, 1.0, 0.99)
    lease, candidate = _ready(store, Document("Di is a baker."))
    candidate = replace(candidate, parent=2, seen_ids=(*candidate.fact_ids, weak))
    versions.add_candidate(store, lease, candidate)
    versions.publish(store, lease, candidate)
    line = versions.line(store, "default")
    assert [version.number for version in line] == [3, 2]
    assert weak in line[0].seen_ids and weak not in line[0].fact_ids
    assert weak in line[1].seen_ids and weak not in line[1].fact_ids
    assert set(first.fact_ids) <= set(line[0].fact_ids)
    versions.activate(store, "default", 1)
    assert [version.number for version in versions.line(store, "default")] == [1]


def test_a_namespace_without_a_live_version_has_no_line(store: Store) -> None:
    assert versions.line(store, "default") == []
    facts.post(store, "default", [Document("Ada is a smith.")])
    assert versions.line(store, "default") == []
