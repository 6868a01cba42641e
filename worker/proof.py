"""Asks a candidate its facts' probes, through the server that serves."""

import asyncio
from collections.abc import Sequence

from inference.adapters import Replicas
from inference.answer import ask
from knowledge import tracing
from knowledge.adapters import Version
from knowledge.facts import Fact
from knowledge.probes import Direction, Probe, ProbeResult, passed, score

MAX_ANSWER_TOKENS = 48
AT_ONCE = 8


async def prove(replicas: Replicas, candidate: Version, held: Sequence[Fact]) -> dict[str, list[ProbeResult]]:
    """Loads the candidate on every replica and asks every probe of every fact; the results by fact id.

    Raises `Unavailable` when the server does not answer, `InjectionFailed` when the adapter changes nothing.
    """
    asked = [(fact.id, probe) for fact in held for probe in fact.probes]
    await replicas.ensure(candidate, [probe.question for _, probe in asked])
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(probe: Probe) -> ProbeResult:
        async with turns:
            answer = await ask(
                replicas, probe.question, candidate, max_tokens=MAX_ANSWER_TOKENS, namespace=candidate.namespace
            )
        reached = score(probe.answer, answer.text)
        return ProbeResult(probe, answer.text, reached, passed(probe.answer, answer.text, question=probe.question))

    with tracing.span("ask probes", probes=len(asked)):
        answers = await asyncio.gather(*(one(probe) for _, probe in asked))
    results: dict[str, list[ProbeResult]] = {fact.id: [] for fact in held}
    for (fact_id, _), result in zip(asked, answers, strict=True):
        results[fact_id].append(result)
    return results


def is_known(results: Sequence[ProbeResult]) -> bool:
    """Whether a fact is proven: in each direction that has probes, at least half of them passed."""
    for direction in Direction:
        of_direction = [result.passed for result in results if result.probe.direction == direction]
        if of_direction and 2 * sum(of_direction) < len(of_direction):
            return False
    return bool(results)
