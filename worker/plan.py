"""What a job is to make: the facts that its version will hold, and the weights from which it is trained.

An adapter takes facts until it holds `facts_per_adapter` of them; then the next job opens another one, trained from the
base model, and what was learnt before stays at home in the adapters that hold it: no later training touches them.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from inference.homes import Held
from knowledge.adapters import Manifest, Version, read_manifest
from knowledge.errors import CorruptAdapter, InjectionFailed
from knowledge.facts import Fact, FactStatus
from knowledge.jobs import Job
from knowledge.recipes import Recipe
from knowledge.settings import Settings
from knowledge.store import Store, facts, forgetting, versions
from worker.spec import Lesson


@dataclass(frozen=True)
class Round:
    """One training run of a job: what is taught, and the version whose weights it continues (None: the base's).

    `homes` are the facts that stay with an earlier version's adapter, and that version's number.
    """

    name: str
    lessons: tuple[Lesson, ...]
    start: Version | None
    homes: Mapping[str, int]

    @property
    def teaches(self) -> bool:
        """Whether anything is to be learnt; a version that only leaves facts out may find its weights ready."""
        return any(lesson.new for lesson in self.lessons)


@dataclass(frozen=True)
class Plan:
    """`new` facts are the job's own, `moved` earlier ones that leave their home, `own` those of the adapter at `start`.

    `at_home` are the earlier facts that no training touches, and `homes` where each of them is. `gone` are facts to
    forget: asked about, not held. Where `start_is_live` the own ones may be left at home too.
    """

    new: tuple[Fact, ...]
    moved: tuple[Fact, ...]
    own: tuple[Fact, ...]
    at_home: tuple[Fact, ...]
    gone: tuple[Fact, ...]
    homes: Mapping[str, int]
    start: Version | None
    start_is_live: bool

    @property
    def earlier(self) -> tuple[Fact, ...]:
        """The live version's facts that go on being true."""
        return self.moved + self.own + self.at_home

    @property
    def held(self) -> tuple[Fact, ...]:
        """All that the version is to hold."""
        return self.new + self.earlier

    @property
    def taught(self) -> tuple[Fact, ...]:
        """What no adapter at hand holds."""
        return self.new + self.moved

    def continued(self) -> Round:
        """Teaches what the weights at the start do not hold, and rehearses what they do."""
        return Round("taught", _lessons(self.taught, self.own), self.start, self.homes)

    def further(self, candidate: Version, missing: Set[str]) -> Round:
        """Goes on from a candidate with the facts that it does not know."""
        facts = self.taught + self.own
        new, known = (tuple(each for each in facts if (each.id in missing) is wanted) for wanted in (True, False))
        return Round("taught further", _lessons(new, known), candidate, self.homes)

    def apart(self) -> Round:
        """Teaches the base model: what is new alone where the rest may stay at home with the live version, or all."""
        if self.start is None or not self.start_is_live:
            return Round("rebuilt", _lessons(self.taught + self.own, ()), None, self.homes)
        left = {fact.id: self.start.number for fact in self.own}
        return Round("taught apart", _lessons(self.taught, ()), None, {**self.homes, **left})


def plan(store: Store, job: Job, recipe: Recipe, settings: Settings) -> Plan:
    """Reads what a claimed job is to teach and to forget. Raises `InjectionFailed` when nothing of it is left."""
    new = tuple(facts.find(store, ids=job.fact_ids, statuses=[FactStatus.TRAINING]))
    gone = tuple(facts.to_forget(store, job))
    if not new and not gone:
        raise InjectionFailed("No fact of this job is left to teach.")
    line = versions.ancestry(store, job.namespace)
    if not line:
        return Plan(new, (), (), (), gone, {}, None, start_is_live=False)
    live, earlier = line[0], _still_true(store, job, line[0], new, gone)
    saw = forgetting.saw_any(store, job.namespace, sorted(fact.id for fact in gone))
    homes = [versions.get(store, job.namespace, number) for number in {live.number, *live.homes.values()} - saw]
    fit = {home.number: home for home in homes if _base_model(home) == settings.base_model}

    start = next((each for each in line if each.number not in saw and _goes_on(each, recipe, settings)), None)
    homeless = {fact.id for fact in earlier if live.home(fact.id) not in fit} | _not_told_apart(new, earlier)
    own = {fact.id for fact in earlier if start and fact.id in start.own and fact.id in live.own}
    is_full = len(own) + len(new) + len(homeless - own) > settings.facts_per_adapter
    if not own or (start == live and is_full and (new or homeless - own)):
        start, own = None, set()
    moved = homeless - own
    if fit and not (start or new or moved):  # an adapter that is there will do as it is
        start = fit[max(fit)]
        own = {fact.id for fact in earlier if live.home(fact.id) == start.number}
    at_home = [fact for fact in earlier if fact.id not in own | moved]
    return Plan(
        new=new,
        moved=tuple(fact for fact in earlier if fact.id in moved),
        own=tuple(fact for fact in earlier if fact.id in own),
        at_home=tuple(at_home),
        gone=gone,
        homes={fact.id: live.home(fact.id) for fact in at_home},
        start=start,
        start_is_live=start == live,
    )


def _still_true(store: Store, job: Job, live: Version, new: Sequence[Fact], gone: Sequence[Fact]) -> list[Fact]:
    """The live version's facts that the job neither replaces nor forgets."""
    replaced = {fact.key: fact.document_id for fact in new if fact.key is not None}
    leaving = {fact.id for fact in gone}
    return [
        fact
        for fact in facts.find(store, ids=live.fact_ids, statuses=[FactStatus.LIVE])
        if replaced.get(fact.key or "", fact.document_id) == fact.document_id
        and fact.superseded_by not in job.fact_ids
        and fact.id not in leaving
    ]


def _not_told_apart(new: Sequence[Fact], earlier: Sequence[Fact]) -> set[str]:
    """The earlier facts that a probe of a new one would be taken for, or that have a probe taken for a new one.

    One adapter is to hold them together: a question goes to a single one.
    """
    held, of_new = Held([*new, *earlier]), {fact.id for fact in new}
    taken = {fact.id: {held.concerned(probe.question)[0] for probe in fact.probes} for fact in (*new, *earlier)}
    by_new = set().union(*(taken[each] for each in of_new)) - of_new
    return {fact.id for fact in earlier if fact.id in by_new or taken[fact.id] & of_new}


def _base_model(version: Version) -> str | None:
    """What its adapter was trained on; None when its files are not here."""
    manifest = _manifest(version)
    return manifest.base_model if manifest else None


def _goes_on(version: Version, recipe: Recipe, settings: Settings) -> bool:
    """Whether training can go on from its adapter: the files are here, and fit the base model and the recipe's rank."""
    manifest = _manifest(version)
    return (
        manifest is not None and manifest.base_model == settings.base_model and manifest.recipe["rank"] == recipe.rank
    )


def _manifest(version: Version) -> Manifest | None:
    try:
        return read_manifest(Path(version.path))
    except CorruptAdapter:
        return None


def _lessons(new: Sequence[Fact], known: Sequence[Fact]) -> tuple[Lesson, ...]:
    return tuple(
        Lesson(fact.id, fact.text, fact.title, fact.probes, new=is_new)
        for group, is_new in ((new, True), (known, False))
        for fact in group
    )
