"""What a job is to make: the facts that its version will hold, and the weights from which it is trained."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from knowledge.adapters import Version, read_manifest
from knowledge.errors import CorruptAdapter, InjectionFailed
from knowledge.facts import Fact, FactStatus
from knowledge.jobs import Job
from knowledge.recipes import Recipe
from knowledge.store import Store, facts, forgetting, versions
from worker.spec import Lesson


@dataclass(frozen=True)
class Round:
    """One training run of a job: what is taught, and the version whose weights it continues (None: the base's)."""

    name: str
    lessons: tuple[Lesson, ...]
    start: Version | None

    @property
    def teaches(self) -> bool:
        """Whether anything is to be learnt; a version that only leaves facts out may find its weights ready."""
        return any(lesson.new for lesson in self.lessons)


@dataclass(frozen=True)
class Plan:
    """`new` facts are the job's own, `earlier` ones the live version's that go on being true.

    `gone` are facts to forget: asked about, not held. `start` is the newest version of the live one's line whose
    weights never saw any of them, of the base model and rank that the job trains: mostly the live one itself.
    """

    new: tuple[Fact, ...]
    earlier: tuple[Fact, ...]
    gone: tuple[Fact, ...]
    start: Version | None

    @property
    def held(self) -> tuple[Fact, ...]:
        """All that the version is to hold."""
        return self.new + self.earlier

    def continued(self) -> Round:
        """Teaches what the weights at the start do not hold, and rehearses the rest."""
        known = set(self.start.fact_ids) if self.start else set()
        return Round("taught", _lessons(self.held, {fact.id for fact in self.held} - known), self.start)

    def further(self, candidate: Version, missing: Set[str]) -> Round:
        """Goes on from a candidate with the facts that it does not know."""
        return Round("taught further", _lessons(self.held, missing), candidate)

    def rebuilt(self) -> Round:
        """Teaches everything to the base model."""
        return Round("rebuilt", _lessons(self.held, {fact.id for fact in self.held}), None)


def plan(store: Store, job: Job, recipe: Recipe, base_model: str) -> Plan:
    """Reads what a claimed job is to teach and to forget. Raises `InjectionFailed` when nothing of it is left."""
    new = facts.find(store, ids=job.fact_ids, statuses=[FactStatus.TRAINING])
    gone = facts.to_forget(store, job)
    if not new and not gone:
        raise InjectionFailed("No fact of this job is left to teach.")
    line = versions.ancestry(store, job.namespace)
    held = facts.find(store, ids=line[0].fact_ids, statuses=[FactStatus.LIVE]) if line else []
    replaced = {fact.key: fact.document_id for fact in new if fact.key is not None}
    leaving = {fact.id for fact in gone}
    earlier = [
        fact
        for fact in held
        if replaced.get(fact.key or "", fact.document_id) == fact.document_id
        and fact.superseded_by not in job.fact_ids
        and fact.id not in leaving
    ]
    seen = forgetting.saw_any(store, job.namespace, sorted(leaving))
    start = next((each for each in line if each.number not in seen and _goes_on(each, recipe, base_model)), None)
    return Plan(tuple(new), tuple(earlier), tuple(gone), start)


def _goes_on(version: Version, recipe: Recipe, base_model: str) -> bool:
    """Whether training can go on from its adapter: the files are here, and fit the base model and the recipe's rank."""
    try:
        manifest = read_manifest(Path(version.path))
    except CorruptAdapter:
        return False
    return manifest.base_model == base_model and manifest.recipe["rank"] == recipe.rank


def _lessons(held: tuple[Fact, ...], new: Set[str]) -> tuple[Lesson, ...]:
    lessons = [Lesson(fact.id, fact.text, fact.title, fact.probes, new=fact.id in new) for fact in held]
    return tuple(sorted(lessons, key=lambda lesson: not lesson.new))
