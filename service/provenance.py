"""Which of a version's facts an answer likely comes from, by the words they share."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from inference.answer import Answer
from inference.pending import relevance
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
        self._texts: OrderedDict[str, list[tuple[str, str]]] = OrderedDict()
        self._lock = Lock()

    def likely(self, question: str, answer: Answer, version: Version | None) -> list[LikelyFact]:
        """At most three facts, best first: the quoted one of a pending answer, none of the base model's."""
        if answer.fact_id is not None:
            return [LikelyFact(answer.fact_id, 1.0)]
        if version is None:
            return []
        candidates = self._of(version)
        scores = relevance(f"{question} {answer.text}", [text for _, text in candidates])
        found = [
            LikelyFact(fact_id, round(score, 3))
            for (fact_id, _), score in zip(candidates, scores, strict=True)
            if score >= LEAST_SCORE
        ]
        return sorted(found, key=lambda each: each.score, reverse=True)[:MOST]

    def _of(self, version: Version) -> list[tuple[str, str]]:
        with self._lock:
            if version.adapter not in self._texts:
                found = facts.find(self._store, ids=version.fact_ids)
                self._texts[version.adapter] = [(fact.id, f"{fact.title or ''} {fact.text}") for fact in found]
            self._texts.move_to_end(version.adapter)
            while len(self._texts) > CACHED_VERSIONS:
                self._texts.popitem(last=False)
            return self._texts[version.adapter]
