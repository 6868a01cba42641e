"""Which of a version's facts a question concerns, and an answer likely comes from, by the words they share."""

from collections import OrderedDict
from dataclasses import dataclass
from heapq import nlargest
from operator import itemgetter
from threading import Lock

from inference.answer import Answer
from inference.relevance import Index
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


@dataclass(frozen=True)
class _Held:
    """A version's facts, in the index's order."""

    ids: list[str]
    index: Index


class Provenance:
    """Keeps the texts of the versions asked lately: a version's facts never change, so a copy cannot be stale."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = Lock()

    def prepare(self, version: Version) -> None:
        """Reads the version's texts unless they are here. Blocks; the other methods then do not."""
        self._of(version)

    def covered(self, question: str, version: Version) -> float:
        """The share, 0..1, of what the question says that the fact of the version holds which holds most of it."""
        return max(self._of(version).index.scores(question).values(), default=0.0)

    def likely(self, question: str, answer: Answer, version: Version | None) -> list[LikelyFact]:
        """At most three facts, best first: the quoted one of a pending answer, none of the base model's."""
        if answer.fact_id is not None:
            return [LikelyFact(answer.fact_id, 1.0)]
        if version is None:
            return []
        held = self._of(version)
        scores = held.index.scores(f"{question} {answer.text}")
        best = nlargest(MOST, scores.items(), key=itemgetter(1))
        return [LikelyFact(held.ids[place], round(score, 3)) for place, score in best if score >= LEAST_SCORE]

    def _of(self, version: Version) -> _Held:
        with self._lock:
            if version.adapter not in self._held:
                found = facts.find(self._store, ids=version.fact_ids)
                index = Index([f"{fact.title or ''} {fact.text}" for fact in found])
                self._held[version.adapter] = _Held([fact.id for fact in found], index)
            self._held.move_to_end(version.adapter)
            while len(self._held) > CACHED_VERSIONS:
                self._held.popitem(last=False)
            return self._held[version.adapter]
