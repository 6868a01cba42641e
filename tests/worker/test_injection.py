"""The story of a job with a trainer and a prober that are quick: store, leases and files are real."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from knowledge import faults
from knowledge.adapters import Version, VersionStatus, verify_manifest
from knowledge.errors import InvalidRecipe, Unavailable
from knowledge.facts import Document, Fact, FactStatus, OnConflict
from knowledge.jobs import JobStatus, Progress
from knowledge.probes import Direction, Probe, ProbeResult
from knowledge.settings import Settings
from knowledge.store import Store, facts, forgetting, jobs, versions
from knowledge.store.schema import upgrade
from worker import injection
from worker.injection import Workplace, inject
from worker.proof import Proof
from worker.spec import TrainingSpec
from worker.training_process import Stopped


class Bench:
    """A workplace whose trainer writes two small files and whose probes fail for texts with a given word."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_folder=folder, lease_seconds=60, max_attempts=3, retry_seconds=1e-6)
        upgrade(self.settings.store)
        self.store = Store(self.settings.store)
        self.place = Workplace(self.settings, self.store, "w", threading.Event())
        self.specs: list[TrainingSpec] = []
        self.fails_for = "\n"
        self.fails: dict[int, set[str]] = {}
        self.canaries: dict[int, int] = {}
        self.proved: list[list[str]] = []
        self.while_training: Callable[[], None] = lambda: None

    def post(self, *texts: str, key: str | None = None, probes: tuple[Probe, ...] = ()) -> str:
        documents = [Document(text, key=key, probes=probes, on_conflict=OnConflict.KEEP_BOTH) for text in texts]
        job_id = facts.post(self.store, "default", documents).job_id
        assert job_id is not None
        return job_id

    def teach(self, *texts: str, key: str | None = None, probes: tuple[Probe, ...] = ()) -> str:
        job_id = self.post(*texts, key=key, probes=probes)
        inject(self.place, job_id)
        return job_id

    def forget(self, fact_id: str) -> None:
        job_id = forgetting.forget(self.store, fact_id).job_id
        assert job_id is not None
        inject(self.place, job_id)
        assert self.status(job_id) == JobStatus.SUCCEEDED

    def change(self, **changed: Any) -> None:
        self.place = replace(self.place, settings=self.place.settings.model_copy(update=changed))

    def hold(self, facts_per_adapter: int) -> None:
        self.change(facts_per_adapter=facts_per_adapter)

    def taught(self, training: int) -> dict[str, bool]:
        """By fact id, whether it was new, in the n-th training."""
        return {lesson.fact_id: lesson.new for lesson in self.specs[training - 1].lessons}

    def status(self, job_id: str) -> JobStatus:
        return jobs.get(self.store, job_id).status

    def train(self, spec: TrainingSpec, *, on_progress: Callable[[Progress], None], **_: Any) -> None:
        self.specs.append(spec)
        on_progress(Progress(1, 2, 1.0, 27, 10.0, 50.0, 1.0, 0, 1))
        self.while_training()
        Path(spec.output, "adapter_config.json").write_text("{}")
        Path(spec.output, "adapter_model.safetensors").write_bytes(b"weights")

    async def prove(self, _settings: Settings, candidate: Version, held: Sequence[Fact], _home: object) -> Proof:
        self.proved.append([fact.text for fact in held])
        results = {
            fact.id: [
                ProbeResult(probe, "…", float(ok), ok)
                for ok in [not any(word in fact.text for word in self.fails_in(candidate))]
                for probe in fact.probes
            ]
            for fact in held
        }
        return Proof(results, [True] * self.canaries_in(candidate) + [False] * (10 - self.canaries_in(candidate)))

    def fails_in(self, candidate: Version) -> set[str]:
        """Words of facts that the candidate does not know; `fails` says so by the number of trainings before."""
        return self.fails.get(len(self.specs), set()) | {self.fails_for}

    def canaries_in(self, candidate: Version) -> int:
        return self.canaries.get(len(self.specs), 10)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    monkeypatch.setattr(injection, "train", made.train)
    monkeypatch.setattr(injection, "_prove", made.prove)
    yield made
    made.store.close()


def test_a_job_becomes_a_live_version_with_verified_files(bench: Bench) -> None:
    job_id = bench.teach("Ada Quill is the smith of Orrin.")
    live = versions.live(bench.store, "default")
    assert bench.status(job_id) == JobStatus.SUCCEEDED
    assert live is not None and live.score == 1.0
    manifest = verify_manifest(Path(live.path))
    assert (manifest.adapter, manifest.fact_ids, manifest.job_id) == (live.adapter, live.fact_ids, job_id)
    assert not list(bench.settings.adapters_folder.glob(".making-*"))


def test_the_next_version_starts_from_the_last_and_rehearses_its_facts(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    first = versions.live(bench.store, "default")
    bench.teach("Bo Finch is the tailor of Wend.")
    live = versions.live(bench.store, "default")
    assert first is not None and live is not None
    assert bench.specs[1].warm_start == first.path
    assert [(lesson.text[:3], lesson.new) for lesson in bench.specs[1].lessons] == [("Bo ", True), ("Ada", False)]
    assert len(live.fact_ids) == 2


def test_a_full_adapter_is_trained_no_further_and_its_facts_stay_at_home_in_it(bench: Bench) -> None:
    bench.hold(2)
    bench.teach("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
    bench.teach("Cy Moss is the cook of Fell.")
    bench.teach("Di Wren is the nurse of Tolvik.")
    ada, bo, cy, di = facts.find(bench.store)
    assert [spec.warm_start is None for spec in bench.specs] == [True, True, False]
    assert bench.taught(2) == {cy.id: True}
    assert bench.taught(3) == {di.id: True, cy.id: False}
    live = versions.live(bench.store, "default")
    assert live is not None and live.fact_ids == (ada.id, bo.id, cy.id, di.id)
    assert (dict(live.homes), live.own, live.parent) == ({ada.id: 1, bo.id: 1}, (cy.id, di.id), 2)
    assert verify_manifest(Path(live.path)).fact_ids == live.own
    assert bench.proved[-1] == [di.text, cy.text]


def test_more_facts_at_once_than_an_adapter_takes_are_one_adapter(bench: Bench) -> None:
    bench.hold(1)
    bench.teach("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
    assert len(bench.specs) == 1 and len(bench.taught(1)) == 2


@pytest.mark.parametrize(
    ("first", "probes"),
    [
        ("Ada Quill lives in Wend and is the smith of Orrin.", ()),  # "Where does Ada Quill live?" fits both
        ("Ada Quill is the smith of Orrin.", (Probe("Who lives in Tolvik?", "Ada Quill", Direction.BACKWARD),)),
    ],
)
def test_facts_whose_questions_cannot_be_told_apart_are_held_by_one_adapter(
    bench: Bench, first: str, probes: tuple[Probe, ...]
) -> None:
    bench.hold(1)
    bench.teach(first, probes=probes)
    bench.teach("Bo Finch is the tailor of Fell.")
    bench.teach("Ada Quill lives in Tolvik.")
    ada, bo, lives = facts.find(bench.store)
    assert bench.taught(2) == {bo.id: True}
    assert bench.taught(3) == {lives.id: True, ada.id: True}
    live = versions.live(bench.store, "default")
    assert live is not None and dict(live.homes) == {bo.id: 2}


def test_the_neighbours_of_a_forgotten_fact_are_taught_anew_and_other_homes_stay(bench: Bench) -> None:
    bench.hold(2)
    bench.teach("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
    bench.teach("Cy Moss is the cook of Fell.", "Di Wren is the nurse of Tolvik.")
    ada, bo, cy, di = facts.find(bench.store)
    bench.forget(ada.id)
    assert bench.specs[2].warm_start is None
    assert bench.taught(3) == {bo.id: True}
    live = versions.live(bench.store, "default")
    assert live is not None and (live.number, dict(live.homes)) == (3, {cy.id: 2, di.id: 2})
    assert facts.get(bench.store, ada.id).status == FactStatus.FORGOTTEN
    assert [version.status for version in versions.find(bench.store)] == [
        VersionStatus.LIVE,
        VersionStatus.DELETED,  # it spoke with the first one's adapter
        VersionStatus.DELETED,
    ]


def test_when_all_that_the_last_adapter_held_is_forgotten_another_speaks_as_it_is(bench: Bench) -> None:
    bench.hold(1)
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.teach("Bo Finch is the tailor of Wend.")
    bench.forget(facts.find(bench.store)[1].id)
    live = versions.live(bench.store, "default")
    assert live is not None and (live.number, live.parent, live.homes, len(live.own)) == (3, 1, {}, 1)
    assert len(bench.specs) == 2


def test_after_a_change_of_base_model_everything_is_taught_anew(bench: Bench) -> None:
    bench.hold(1)
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.teach("Bo Finch is the tailor of Wend.")
    bench.change(base_model="another")
    bench.teach("Cy Moss is the cook of Fell.")
    assert bench.specs[2].warm_start is None
    assert list(bench.taught(3).values()) == [True, True, True]
    live = versions.live(bench.store, "default")
    assert live is not None and (live.number, live.parent, live.homes, len(live.own)) == (3, None, {}, 3)


def test_after_a_change_of_rank_what_is_new_goes_into_an_adapter_of_its_own(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.change(recipe="drill")
    bench.teach("Bo Finch is the tailor of Wend.")
    ada, bo = facts.find(bench.store)
    assert bench.specs[1].warm_start is None
    assert bench.taught(2) == {bo.id: True}
    live = versions.live(bench.store, "default")
    assert live is not None and (live.number, live.parent, dict(live.homes)) == (2, None, {ada.id: 1})


def test_a_superseded_text_is_not_rehearsed_and_what_is_true_of_its_adapter_is(bench: Bench) -> None:
    bench.teach("The fare to Wend is 3 crowns.", key="fare")
    bench.teach("Ada Quill is the smith of Orrin.")
    second = versions.live(bench.store, "default")
    bench.teach("The fare to Wend is 4 crowns.", key="fare")
    live = versions.live(bench.store, "default")
    old, ada, new = facts.find(bench.store)
    assert second is not None and live is not None
    assert bench.specs[2].warm_start == second.path
    assert bench.taught(3) == {new.id: True, ada.id: False}
    assert [old.status, new.status] == [FactStatus.SUPERSEDED, FactStatus.LIVE]
    assert (live.parent, live.fact_ids) == (2, (ada.id, new.id))


def test_of_a_text_that_stood_alone_nothing_is_built_upon_when_it_is_superseded(bench: Bench) -> None:
    bench.teach("The fare to Wend is 3 crowns.", key="fare")
    bench.teach("The fare to Wend is 4 crowns.", key="fare")
    live = versions.live(bench.store, "default")
    assert bench.specs[1].warm_start is None
    assert live is not None and (live.number, live.parent, len(live.fact_ids)) == (2, None, 1)


def test_what_a_candidate_misses_is_taught_further_and_the_rest_rehearsed(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.fails[2] = {"Ada", "Bo"}
    job_id = bench.teach("Bo Finch is the tailor of Wend.", "Cy Moss is the cook of Fell.")
    assert bench.status(job_id) == JobStatus.SUCCEEDED
    assert [(lesson.text[:3], lesson.new) for lesson in bench.specs[2].lessons] == [
        ("Bo ", True),
        ("Ada", True),
        ("Cy ", False),
    ]
    assert bench.specs[2].warm_start == str(Path(bench.specs[1].output).with_name(_published(bench.specs[1])))
    live = versions.live(bench.store, "default")
    assert live is not None
    assert (live.number, live.parent, len(live.fact_ids), live.retention, live.score) == (2, 1, 3, 1.0, 1.0)
    assert Path(live.path).name == _published(bench.specs[2])


def test_when_a_candidate_forgets_too_much_the_new_fact_goes_into_an_adapter_of_its_own(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.fails = {2: {"Ada"}, 3: {"Ada"}}
    job_id = bench.teach("Bo Finch is the tailor of Wend.")
    assert bench.status(job_id) == JobStatus.SUCCEEDED
    ada, bo = facts.find(bench.store)
    assert [spec.warm_start is None for spec in bench.specs] == [True, False, False, True]
    assert bench.taught(4) == {bo.id: True}
    live = versions.live(bench.store, "default")
    assert live is not None and (live.parent, dict(live.homes), live.own) == (None, {ada.id: 1}, (bo.id,))
    assert ada.status == FactStatus.LIVE


def test_facts_whose_own_weights_saw_what_is_forgotten_are_built_anew_where_that_fails(bench: Bench) -> None:
    for text in ("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.", "Cy Moss is the cook of Fell."):
        bench.teach(text)
    ada, bo, cy = facts.find(bench.store)
    bench.fails = {4: {"Ada", "Cy"}, 5: {"Ada", "Cy"}}
    bench.forget(bo.id)
    assert bench.taught(6) == {cy.id: True, ada.id: True}
    assert bench.specs[5].warm_start is None


def test_a_candidate_that_harms_the_base_is_not_taught_further(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.fails, bench.canaries = {2: {"Bo"}}, {2: 4}
    bench.teach("Bo Finch is the tailor of Wend.")
    assert [spec.warm_start is None for spec in bench.specs] == [True, False, True]


def test_a_version_that_does_harm_in_every_round_is_refused_and_the_live_one_stays(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.canaries = {2: 2, 3: 4}
    job_id = bench.teach("Bo Finch is the tailor of Wend.")
    assert bench.status(job_id) == JobStatus.FAILED
    assert jobs.get(bench.store, job_id).error == (
        "Version 2 is not live: it lost 6 of 10 general questions that the base model answers."
    )
    live = versions.live(bench.store, "default")
    assert live is not None and live.number == 1
    assert [version.status for version in versions.find(bench.store)] == [VersionStatus.FAILED, VersionStatus.LIVE]
    assert [fact.status for fact in facts.find(bench.store)] == [FactStatus.LIVE, FactStatus.PENDING]


def test_of_several_candidates_the_best_becomes_live_with_what_it_answered(bench: Bench) -> None:
    bench.fails = {1: {"Ada"}, 2: {"Ada", "Bo"}}
    bench.teach("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
    live = versions.live(bench.store, "default")
    assert live is not None and Path(live.path).name == _published(bench.specs[0])
    status = {fact.text[:3]: fact.status for fact in facts.find(bench.store)}
    assert status == {"Ada": FactStatus.WEAK, "Bo ": FactStatus.LIVE}


def _published(spec: TrainingSpec) -> str:
    return Path(spec.output).name.removeprefix(".making-")


def test_a_version_that_only_forgets_is_built_without_the_fact(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
    ada, bo = facts.find(bench.store)
    asked = forgetting.forget(bench.store, ada.id)
    assert asked.job_id is not None
    inject(bench.place, asked.job_id)
    assert bench.status(asked.job_id) == JobStatus.SUCCEEDED
    assert bench.specs[1].warm_start is None
    assert [lesson.fact_id for lesson in bench.specs[1].lessons] == [bo.id]
    assert [fact.status for fact in facts.find(bench.store)] == [FactStatus.FORGOTTEN, FactStatus.LIVE]


def test_forgetting_goes_back_to_weights_that_never_saw_the_fact_and_teaches_what_came_later(bench: Bench) -> None:
    for text in ("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.", "Cy Moss is the cook of Fell."):
        bench.teach(text)
    first = versions.get(bench.store, "default", 1)
    asked = forgetting.forget(bench.store, facts.find(bench.store)[1].id)
    assert asked.job_id is not None
    inject(bench.place, asked.job_id)
    assert bench.specs[3].warm_start == first.path
    assert [(lesson.text[:3], lesson.new) for lesson in bench.specs[3].lessons] == [("Cy ", True), ("Ada", False)]
    live = versions.live(bench.store, "default")
    assert live is not None and (live.number, live.parent, len(live.fact_ids)) == (4, 1, 2)
    assert [version.status for version in versions.find(bench.store)] == [
        VersionStatus.LIVE,
        VersionStatus.DELETED,
        VersionStatus.DELETED,
        VersionStatus.RETIRED,
    ]


def test_what_came_last_is_forgotten_by_the_weights_from_before_it_without_training(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    bench.teach("Bo Finch is the tailor of Wend.")
    asked = forgetting.forget(bench.store, facts.find(bench.store)[1].id)
    assert asked.job_id is not None
    inject(bench.place, asked.job_id)
    first, live = versions.get(bench.store, "default", 1), versions.live(bench.store, "default")
    assert live is not None and (live.number, live.fact_ids, live.parent) == (3, first.fact_ids, 1)
    assert len(bench.specs) == 2
    assert live.adapter != first.adapter
    assert verify_manifest(Path(live.path)).files == verify_manifest(Path(first.path)).files


def test_the_last_fact_is_forgotten_without_training(bench: Bench) -> None:
    bench.teach("Ada Quill is the smith of Orrin.")
    asked = forgetting.forget(bench.store, facts.find(bench.store)[0].id)
    assert asked.job_id is not None
    inject(bench.place, asked.job_id)
    assert bench.status(asked.job_id) == JobStatus.SUCCEEDED
    assert versions.live(bench.store, "default") is None
    assert len(bench.specs) == 1


def test_a_fact_that_fails_its_probes_is_weak_and_the_others_go_live(bench: Bench) -> None:
    bench.fails_for = "Bo"
    bench.teach("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
    assert [fact.status for fact in facts.find(bench.store)] == [FactStatus.LIVE, FactStatus.WEAK]
    live = versions.live(bench.store, "default")
    assert live is not None and len(live.fact_ids) == 1


def test_a_version_in_which_nothing_new_is_known_never_becomes_live(bench: Bench) -> None:
    bench.fails_for = "Ada"
    job_id = bench.teach("Ada Quill is the smith of Orrin.")
    assert bench.status(job_id) == JobStatus.FAILED
    assert versions.live(bench.store, "default") is None
    assert [fact.status for fact in facts.find(bench.store)] == [FactStatus.PENDING]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRecipe("the rank is too high"), JobStatus.FAILED),
        (Unavailable("vLLM is down"), JobStatus.QUEUED),
        (Stopped("asked to stop"), JobStatus.QUEUED),
        (ZeroDivisionError("a bug"), JobStatus.QUEUED),
    ],
)
def test_a_passing_fault_gives_the_job_back_and_a_final_one_ends_it(
    bench: Bench, error: Exception, status: JobStatus
) -> None:
    def fault() -> None:
        raise error

    bench.while_training = fault
    job_id = bench.teach("Ada Quill is the smith of Orrin.")
    assert bench.status(job_id) == status
    assert str(error) in (jobs.get(bench.store, job_id).error or "") or isinstance(error, Stopped)
    assert [fact.status for fact in facts.find(bench.store)] == [FactStatus.PENDING]
    assert list(bench.settings.adapters_folder.iterdir()) == []


@pytest.mark.parametrize("point", ["publish.written", "publish.before_rename"])
def test_a_full_disk_publishes_nothing_half_and_heals_when_there_is_room(
    bench: Bench, point: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(faults, "_folder", tmp_path)
    job_id = bench.post("Ada Quill is the smith of Orrin.")
    for _ in range(5):  # more often than a job is attempted
        faults.arm(tmp_path, point, "full")
        inject(bench.place, job_id)
        job = jobs.get(bench.store, job_id)
        assert (job.status, job.attempts) == (JobStatus.QUEUED, 0)
        assert "disk is full" in (job.error or "")
        assert list(bench.settings.adapters_folder.iterdir()) == []
    inject(bench.place, job_id)
    live = versions.live(bench.store, "default")
    assert live is not None and verify_manifest(Path(live.path)).job_id == job_id


def test_a_model_server_that_comes_back_is_asked_again_without_training_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injection, "LOOK_SECONDS", 0.0)
    answers = iter([False, False, True])

    async def prove(*arguments: Any) -> Proof:
        if not next(answers):
            raise Unavailable("vLLM is starting")
        return await bench.prove(*arguments)

    monkeypatch.setattr(injection, "_prove", prove)
    job_id = bench.teach("Ada Quill is the smith of Orrin.")
    assert bench.status(job_id) == JobStatus.SUCCEEDED
    assert len(bench.specs) == 1


def test_a_store_that_is_away_while_training_reports_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the store is restarting")

    monkeypatch.setattr(jobs, "report", away)
    assert bench.status(bench.teach("Ada Quill is the smith of Orrin.")) == JobStatus.SUCCEEDED


def test_a_fault_that_does_not_pass_ends_in_a_dead_job(bench: Bench) -> None:
    def fault() -> None:
        raise Unavailable("vLLM is down")

    bench.while_training = fault
    job_id = bench.teach("Ada Quill is the smith of Orrin.")
    for _ in range(3):
        inject(bench.place, job_id)
    assert bench.status(job_id) == JobStatus.DEAD


@pytest.mark.parametrize("noticed", [None, Stopped("the lease was lost"), Unavailable("silent")])
def test_a_job_cancelled_while_it_trains_publishes_nothing_and_wakes_the_next(
    bench: Bench, noticed: Exception | None
) -> None:
    job_id = bench.post("Ada Quill is the smith of Orrin.")
    waiting: list[str] = []

    def cancel() -> None:
        waiting.append(bench.post("Bo Finch is the tailor of Wend."))
        jobs.cancel(bench.store, job_id)
        if noticed:
            raise noticed

    bench.while_training = cancel
    assert inject(bench.place, job_id) == waiting[0]
    assert bench.status(job_id) == JobStatus.CANCELLED
    assert versions.find(bench.store) == []


def test_the_end_of_a_job_names_the_one_that_waited_behind_it(bench: Bench) -> None:
    first = bench.post("Ada Quill is the smith of Orrin.")
    waiting: list[str] = []
    bench.while_training = lambda: waiting.append(bench.post("Bo Finch is the tailor of Wend."))
    assert inject(bench.place, first) == waiting[0]


def test_an_id_that_comes_twice_is_taught_once(bench: Bench) -> None:
    job_id = bench.teach("Ada Quill is the smith of Orrin.")
    assert inject(bench.place, job_id) is None
    assert len(bench.specs) == 1
