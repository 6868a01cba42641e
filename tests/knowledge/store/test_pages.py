"""What lists and curves are read with: page by page, and no more than is shown."""

from dataclasses import replace

import pytest

from knowledge.errors import Conflict, NotFound
from knowledge.facts import Document, FactStatus
from knowledge.jobs import JobStatus, Lease, Part, Piece, Progress
from knowledge.keys import Caller, Scope
from knowledge.probes import Direction, Probe, ProbeResult
from knowledge.recipes import default, described
from knowledge.store import Store, facts, jobs, line, probes, versions
from tests.service.conftest import candidate, claim, teach

STEP = Progress(1, 700, 1.0, 1, 1.0, 1.0, 1.0, 0, 1)


def test_facts_are_paged_from_the_newest(store: Store) -> None:
    posted = facts.post(store, "default", [Document(f"Engineer {number} hums.") for number in range(5)])
    ids = sorted((fact.id for fact in posted.facts), reverse=True)
    first = facts.find(store, newest_first=True, limit=3)
    rest = facts.find(store, newest_first=True, before=first[-1].id, limit=3)
    assert [fact.id for fact in (*first, *rest)] == ids
    assert facts.count(store) == 5 and facts.count(store, "elsewhere") == 0


@pytest.mark.parametrize(
    ("words", "number"),
    [("HUMS", 1), ("tune", 1), ("bo-1", 1), ("leaflet", 1), ("100%", 1), ("1%", 0), ("_", 0), ("", 2)],
)
def test_facts_are_found_by_what_is_in_them_and_nothing_is_a_wildcard(store: Store, words: str, number: int) -> None:
    facts.post(store, "default", [Document("Bo hums, 100% true.", "A tune", "leaflet", "bo-1"), Document("Ada sings.")])
    assert facts.count(store, matching=words) == len(facts.find(store, matching=words)) == number


def test_another_text_takes_a_facts_place_and_the_rest_of_its_document_stays(store: Store) -> None:
    teach(store, "Ada hums.\n\nBo sings.")
    document = Document("Ada hums.\n\nBo sings.", key="songs")
    facts.post(store, "default", [document])
    ada, bo = facts.find(store)
    posted = facts.supersede(store, ada.id, "Ada shouts.")
    lease = jobs.claim(store, posted.job_id or "", "w", lease_seconds=60, max_attempts=3)
    assert lease
    version = candidate(store, lease, "default-v2", "/a/v2")
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)
    found = {fact.text: fact.status for fact in facts.find(store)}
    assert found == {
        "Ada hums.": FactStatus.SUPERSEDED, "Bo sings.": FactStatus.LIVE, "Ada shouts.": FactStatus.LIVE,
    }  # fmt: skip
    with pytest.raises(Conflict, match="superseded already"):
        facts.supersede(store, ada.id, "Ada whispers.")
    with pytest.raises(NotFound):
        facts.supersede(store, "fact_0", "Ada whispers.")
    assert facts.get(store, bo.id).key == "songs"


def test_scores_are_means_of_the_newest_answers(store: Store) -> None:
    for number, reached in ((1, 0.2), (2, 0.9)):
        lease = claim(store, f"Engineer {number} hums.")
        version = candidate(store, lease, f"default-v{number}", f"/a/v{number}")
        held = facts.find(store, ids=version.fact_ids)
        results = {fact.id: [ProbeResult(each, "a", reached, reached > 0.5) for each in fact.probes] for fact in held}
        versions.record_results(store, lease, version.number, results)
        jobs.advance(store, lease, JobStatus.PUBLISHING)
        versions.publish(store, lease, replace(version, canaries=reached / 2))
    ids = [fact.id for fact in facts.find(store)]
    assert probes.scores(store, ids) == {each: dict.fromkeys(Direction, pytest.approx(0.9)) for each in ids}
    assert probes.scores(store, []) == {}
    assert [(each.kept, each.new, each.canaries) for each in line.retention(store, "default", limit=5)] == [
        (None, 0.0, 0.1),
        (1.0, 1.0, 0.45),
    ]
    assert [each.number for each in line.retention(store, "default", limit=1)] == [2]
    assert probes.scores(store.seen_by(Caller("x", frozenset(Scope), frozenset({"shop"}))), ids) == {}


def test_a_probe_is_added_once(store: Store) -> None:
    fact_id = facts.post(store, "default", [Document("Bo hums.")]).facts[0].id
    before = facts.get(store, fact_id).probes
    own = Probe("What does Bo do?", "hum", Direction.FORWARD)
    probes.add_probe(store, fact_id, own)
    probes.add_probe(store, fact_id, own)
    assert facts.get(store, fact_id).probes == (*before, own)
    with pytest.raises(NotFound):
        probes.add_probe(store, "fact_0", own)


def reported(store: Store, lease: Lease, steps: int) -> None:
    for step in range(1, steps + 1):
        jobs.report(store, lease, replace(STEP, step=step))


def test_a_curve_is_thinned_and_keeps_its_last_point(store: Store) -> None:
    lease = claim(store, "Bo hums.")
    jobs.advance(store, lease, JobStatus.TRAINING)
    reported(store, lease, 50)
    steps = [event.data["step"] for event in jobs.curve(store, lease.job_id, most=10)]
    assert steps == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert len(jobs.curve(store, lease.job_id)) == 50
    assert jobs.curve(store, "job_0") == []


def test_a_curve_is_that_of_the_newest_attempt(store: Store) -> None:
    lease = claim(store, "Bo hums.")
    jobs.advance(store, lease, JobStatus.TRAINING)
    reported(store, lease, 4)
    jobs.release(store, lease, "gone")
    again = jobs.claim(store, lease.job_id, "w", lease_seconds=60, max_attempts=3)
    assert again and jobs.curve(store, lease.job_id) == []
    jobs.advance(store, again, JobStatus.TRAINING)
    reported(store, again, 2)
    assert [event.data["step"] for event in jobs.curve(store, lease.job_id)] == [1, 2]


def test_jobs_are_paged_and_those_whose_facts_wait_for_somebody_are_told(store: Store) -> None:
    ids = []
    for number in range(3):
        lease = claim(store, f"Engineer {number} hums.")
        jobs.fail(store, lease, "no")
        ids.append(lease.job_id)
    first = jobs.find(store, limit=2)
    assert [job.id for job in (*first, *jobs.find(store, before=first[-1].id))] == ids[::-1]
    assert jobs.count(store, statuses=[JobStatus.FAILED]) == 3 and jobs.count(store, "shop") == 0
    assert [job.id for job in jobs.stranded(store, limit=9)] == ids[::-1]
    facts.post(store, "default", [Document("Engineer 1 hums.")])
    assert [job.id for job in jobs.stranded(store, limit=9)] == [ids[2], ids[0]]


def test_what_an_attempt_trains_with_and_on_is_among_its_events(store: Store) -> None:
    lease = claim(store, "Bo hums.")
    jobs.note_recipe(store, lease, default())
    jobs.show(store, lease, [Piece(Part.SHOWN, "Who?"), Piece(Part.HIDDEN, "[]"), Piece(Part.LEARNT, "Bo")])
    recipe, example = jobs.events(store, lease.job_id, kinds=["recipe", "example"])
    assert recipe.data == default().__dict__
    assert example.data["pieces"] == [
        {"part": "shown", "text": "Who?"}, {"part": "hidden", "text": "[]"}, {"part": "learnt", "text": "Bo"},
    ]  # fmt: skip


def test_versions_are_paged_with_how_much_they_hold_and_what_they_changed(store: Store) -> None:
    for number, text in enumerate(("Ada hums.", "Bo sings.", "Ilka whistles."), start=1):
        teach(store, text, adapter=f"default-v{number}", path=f"/a/v{number}")
    newest = line.line(store, "default", limit=2)
    assert [(step.number, step.facts) for step in newest] == [(3, 3), (2, 2)]
    assert [step.number for step in line.line(store, "default", before=2, limit=2)] == [1]
    found = line.changes(store, "default", 1, 3, most=1)
    assert (found.added, found.removed, len(found.added_ids)) == (2, 0, 1)
    assert line.changes(store, "default", 3, 1, most=9).removed == 2
    with pytest.raises(NotFound):
        line.changes(store, "default", 1, 9, most=1)
    live = line.live_step(store, "default")
    assert live and live.number == 3 and line.live_steps(store, limit=5) == {"default": live}
    assert [fact.text for fact in facts.find(store, "default", held_by=1)] == ["Ada hums."]
    hidden = store.seen_by(Caller("x", frozenset(Scope), frozenset({"shop"})))
    assert line.live_steps(hidden, limit=5) == {} and line.names(hidden) == []


def test_every_field_of_a_recipe_is_described() -> None:
    assert ["name", *described()] == list(default().__dict__)
    assert all(meaning.endswith(".") for meaning in described().values())
