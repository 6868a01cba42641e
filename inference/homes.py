"""Which of a version's facts a question concerns, and so whose adapter answers it: the one where that fact is at home.

A version speaks with several adapters once it holds more facts than one takes (`worker/plan.py`). The fact is found by
the words that it shares with the question; of equals the one taught first, so that a new fact takes no question from
an old one that covers it as well.
"""

from collections.abc import Mapping, Sequence
from heapq import nlargest
from operator import attrgetter, itemgetter

from inference.relevance import Index
from knowledge.adapters import Version
from knowledge.facts import Fact


class Held:
    """A version's facts, made ready for many questions."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        ordered = sorted(facts, key=attrgetter("id"))  # ids sort by time
        self._ids = [fact.id for fact in ordered]
        self._index = Index([f"{fact.title or ''} {fact.text}" for fact in ordered])

    def concerned(self, question: str) -> tuple[str | None, float]:
        """The fact that holds most of what the question says, and its share of it, 0..1; None when none holds any."""
        best, share = max(self._index.scores(question).items(), key=lambda each: (each[1], -each[0]), default=(None, 0))
        return (None, 0.0) if best is None else (self._ids[best], share)

    def likely(self, text: str, most: int) -> list[tuple[str, float]]:
        """At most so many facts, best first, with the share of the text that each holds, 0..1."""
        best = nlargest(most, self._index.scores(text).items(), key=itemgetter(1))
        return [(self._ids[place], share) for place, share in best]


def speaks(version: Version, homes: Mapping[int, Version], fact_id: str | None) -> Version:
    """The version whose adapter answers what concerns the fact; `version` itself where it concerns none."""
    home = version.number if fact_id is None else version.home(fact_id)
    return version if home == version.number else homes[home]
