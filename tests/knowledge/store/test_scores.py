import pytest

from knowledge.adapters import Version, VersionStatus
from knowledge.errors import NotFound
from knowledge.facts import Document
from knowledge.jobs import JobStatus
from knowledge.probes import ProbeResult
from knowledge.store import Store, facts, forgetting, jobs, now, scores, versions

ADA, BO, CY = "Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.", "Cy Marsh is the ferryman of Esk."


def teach(store: Store, *texts: str, fails: tuple[str, ...] = (), asked: str = "", live: bool = True) -> Version:
    """The next version: holds what the live one did and the texts; facts in `fails` (by a word) are not known.

    Only facts with `asked` in their text are asked about.
    """
    job_id = facts.post(store, "default", [Document(text) for text in texts]).job_id
    assert job_id is not None
    lease = jobs.claim(store, job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease is not None
    before, job = versions.live(store, "default"), jobs.get(store, job_id)
    held = (*(before.fact_ids if before else ()), *job.fact_ids)
    name, parent = f"default-v{job.version}", before.number if before else None
    version = Version("default", job.version, name, "/a", VersionStatus.CANDIDATE, held, "r", 1.0, now(), None, parent)
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, version)
    results = {
        fact.id: [ProbeResult(probe, "…", float(known), known) for probe in fact.probes]
        for fact in facts.find(store, ids=held)
        if asked in fact.text
        for known in [not any(word in fact.text for word in fails)]
    }
    versions.record_results(store, lease, job.version, results)
    if not live:
        versions.refuse(store, lease, version)
        jobs.fail(store, lease, "no good")
        return version
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)
    return version


def ids(store: Store) -> dict[str, str]:
    return {fact.text.split()[0]: fact.id for fact in facts.find(store)}


def test_a_version_tells_its_job_its_parent_and_how_each_fact_did(store: Store) -> None:
    teach(store, ADA)
    teach(store, BO, fails=("Bo",))
    found, known = scores.detail(store, "default", 2), ids(store)
    assert (found.version.parent, found.job_id) == (1, facts.get(store, known["Bo"]).job_id)
    assert found.seconds is not None and found.seconds > 0
    assert found.scores[known["Ada"]] == scores.FactScore(1.0, 1.0, True)
    assert found.scores[known["Bo"]] == scores.FactScore(0.0, 0.0, False)
    assert found.harmed == (), "it never was known"
    with pytest.raises(NotFound):
        scores.detail(store, "default", 3)


def test_a_fact_is_harmed_by_the_version_that_lost_it_and_by_no_later_one(store: Store) -> None:
    teach(store, ADA)
    teach(store, BO, fails=("Ada",))
    teach(store, CY, fails=("Ada",))
    harmed = [scores.detail(store, "default", number).harmed for number in (1, 2, 3)]
    assert harmed == [(), (ids(store)["Ada"],), ()]
    job_id = scores.detail(store, "default", 2).job_id
    assert scores.harms(store, ids(store)["Ada"]) == [scores.Harm(2, job_id)]
    assert scores.harms(store, ids(store)["Bo"]) == scores.harms(store, "fact_unknown") == []


def test_a_refused_version_shows_what_it_would_have_harmed_and_excuses_no_later_one(store: Store) -> None:
    teach(store, ADA)
    teach(store, BO, fails=("Ada",), live=False)
    teach(store, BO, fails=("Ada",))
    ada = ids(store)["Ada"]
    assert [scores.detail(store, "default", number).harmed for number in (2, 3)] == [(ada,), (ada,)]


def test_a_fact_that_was_not_asked_is_compared_with_the_last_time_that_it_was(store: Store) -> None:
    teach(store, ADA)
    teach(store, BO, asked="Bo")
    teach(store, CY, fails=("Ada",))
    assert scores.detail(store, "default", 3).harmed == (ids(store)["Ada"],)


def test_what_was_to_be_forgotten_is_not_harmed(store: Store) -> None:
    teach(store, ADA)
    forgetting.forget(store, ids(store)["Ada"])
    teach(store, BO, fails=("Ada",))
    assert scores.detail(store, "default", 2).harmed == ()
    assert scores.harms(store, facts.find(store)[0].id) == []


def test_a_diff_tells_what_came_what_went_and_what_did_otherwise_both_ways(store: Store) -> None:
    teach(store, ADA)
    teach(store, BO, fails=("Ada",))
    ada, bo = ids(store)["Ada"], ids(store)["Bo"]
    forward, back = scores.diff(store, "default", 1, 2), scores.diff(store, "default", 2, 1)
    assert (forward.added, forward.removed, forward.harmed) == ((bo,), (), (ada,))
    assert forward.rescored == {ada: (scores.FactScore(1.0, 1.0, True), scores.FactScore(0.0, 0.0, False))}
    assert (back.added, back.removed, back.harmed) == ((), (bo,), ())
    with pytest.raises(NotFound):
        scores.diff(store, "default", 1, 9)
