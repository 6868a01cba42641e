"""The gate: what a candidate's answers say of it, and whether it may become live."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from knowledge.adapters import Version
from knowledge.facts import Fact
from knowledge.probes import ProbeResult, is_known


@dataclass(frozen=True)
class Verdict:
    """What was asked of a candidate, and what it lost.

    `weak` are new facts that failed their probes, `harmed` earlier ones that do not pass any more. `asked` and `kept`
    count earlier facts, `canaries` and `canaries_kept` general questions that the base model answers rightly.
    """

    new: int
    weak: frozenset[str]
    asked: int
    harmed: frozenset[str]
    canaries: int
    canaries_kept: int

    @property
    def retention(self) -> float:
        """Share of the earlier facts asked that are still known, 0..1."""
        return 1 - len(self.harmed) / self.asked if self.asked else 1.0

    @property
    def steadiness(self) -> float:
        """Share of the canaries still answered rightly, 0..1."""
        return self.canaries_kept / self.canaries if self.canaries else 1.0

    @property
    def missed(self) -> int:
        """How many facts it does not know of those asked; of others nothing can have changed."""
        return len(self.weak) + len(self.harmed)

    def __str__(self) -> str:
        said = [
            (self.new, f"{self.new - len(self.weak)} of {self.new} new facts known"),
            (self.asked, f"{self.asked - len(self.harmed)} of {self.asked} earlier ones still known"),
            (self.canaries, f"{self.canaries_kept} of {self.canaries} general questions kept"),
        ]
        return ", ".join(text for number, text in said if number)


@dataclass(frozen=True)
class Gate:
    """What a version must keep to become live, as shares 0..1."""

    least_retention: float
    least_canaries: float

    def objection(self, verdict: Verdict) -> str:
        """Why the candidate may not become live; empty when it may."""
        if verdict.new and len(verdict.weak) == verdict.new:
            return f"none of the {verdict.new} new facts passed its probes"
        if verdict.retention < self.least_retention:
            return f"it lost {len(verdict.harmed)} of {verdict.asked} earlier facts"
        if not self.keeps_canaries(verdict):
            lost = verdict.canaries - verdict.canaries_kept
            return f"it lost {lost} of {verdict.canaries} general questions that the base model answers"
        return ""

    def keeps_canaries(self, verdict: Verdict) -> bool:
        """Whether the model's general ability is whole."""
        return verdict.steadiness >= self.least_canaries


def judge(
    results: Mapping[str, Sequence[ProbeResult]],
    canaries: Sequence[bool],
    *,
    new: Iterable[str],
    earlier: Iterable[str],
) -> Verdict:
    """Reads a candidate's answers; `new` and `earlier` are the ids of the facts that it should know."""
    new, earlier = list(new), list(earlier)
    return Verdict(
        new=len(new),
        weak=frozenset(fact_id for fact_id in new if not is_known(results[fact_id])),
        asked=len(earlier),
        harmed=frozenset(fact_id for fact_id in earlier if not is_known(results[fact_id])),
        canaries=len(canaries),
        canaries_kept=sum(canaries),
    )


def changed(earlier: Sequence[Fact], candidate: Version, home: Callable[[str], Version]) -> list[Fact]:
    """The earlier facts whose answers may change: all but those whose probes go on being answered where they are.

    The adapter at such a home is the very one that passed its own gate; `home` tells who answers a question.
    """
    return [
        fact
        for fact in earlier
        if fact.id not in candidate.homes or any(home(probe.question) == candidate for probe in fact.probes)
    ]


def re_asked(earlier: Sequence[Fact], most_probes: int, seed: int) -> list[Fact]:
    """All earlier facts while they have at most `most_probes` probes, else a random sample of about so many."""
    if sum(len(fact.probes) for fact in earlier) <= most_probes:
        return list(earlier)
    chosen, probes = [], 0
    for fact in random.Random(seed).sample(earlier, len(earlier)):
        probes += len(fact.probes)
        if probes > most_probes:
            break
        chosen.append(fact)
    return chosen
