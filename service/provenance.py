"""Which of a version's facts a question concerns, and an answer likely comes from, by the words they share."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from inference.answer import Answer
from inference.homes import Held
from knowledge.adapters import Version
from knowledge.store import Store, facts

CACHED_VERSIONS = 32
MOST = 3
LEAST_SCORE = 0.3


@dataclass(frozen=True)
class LikelyFact:
    """A fact and how much of the question and answer its text holds, 0..1."""

    id: str
    score: float


class Provenance:
    """Keeps the texts of the versions asked lately: a version's facts never change, so a copy cannot be stale."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._lock = Lock()

    def prepare(self, version: Version) -> None:
        """Reads the version's texts unless they are here. Blocks; the other methods then do not."""
        self._of(version)

    def concerned(self, question: str, version: Version) -> tuple[str | None, float]:
        """The fact of the version that holds most of what the question says, and its share of it, 0..1."""
        return self._of(version).concerned(question)

    def likely(self, question: str, answer: Answer, version: Version | None) -> list[LikelyFact]:
        """At most three facts, best first: the quoted one of a pending answer, none of the base model's."""
        if answer.fact_id is not None:
            return [LikelyFact(answer.fact_id, 1.0)]
        if version is None:
            return []
        best = self._of(version).likely(f"{question} {answer.text}", MOST)
        return [LikelyFact(fact_id, round(score, 3)) for fact_id, score in best if score >= LEAST_SCORE]

    def _of(self, version: Version) -> Held:
        with self._lock:
            if version.adapter not in self._held:
                self._held[version.adapter] = Held(facts.find(self._store, ids=version.fact_ids))
            self._held.move_to_end(version.adapter)
            while len(self._held) > CACHED_VERSIONS:
                self._held.popitem(last=False)
            return self._held[version.adapter]
