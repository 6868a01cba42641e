"""Finds the stored text that answers a question, for facts that the weights do not hold yet."""

from collections.abc import Sequence

from inference.relevance import Index
from knowledge.facts import Fact

THRESHOLD = 0.6
"""Share of the question's weight that a passage must hold. At 0.6 a question's names must match; a verb need not."""


def relevant(question: str, facts: Sequence[Fact]) -> Fact | None:
    """The fact whose title and text best cover the question, the newest of equals; None below `THRESHOLD`."""
    scores = Index([f"{fact.title or ''} {fact.text}" for fact in facts]).scores(question)
    ranked = sorted((score, facts[place].created_at, place) for place, score in scores.items())
    return facts[ranked[-1][2]] if ranked and ranked[-1][0] >= THRESHOLD else None
