"""Asks a candidate its facts' probes and the canaries, through the server that serves."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.adapters import Replicas
from inference.answer import ask
from knowledge import tracing
from knowledge.adapters import Version
from knowledge.facts import Fact
from knowledge.probes import Probe, ProbeResult, passed, score
from worker import canaries
from worker.canaries import ASKED, Canary

MAX_ANSWER_TOKENS = 48
CANARY_TOKENS = 24
AT_ONCE = 16


@dataclass(frozen=True)
class Proof:
    """What a candidate answered: results by fact id, and for each canary that the base knows whether it was right."""

    results: dict[str, list[ProbeResult]]
    canaries: list[bool]


async def prove(
    replicas: Replicas,
    candidate: Version,
    asked_about: Sequence[Fact],
    *,
    home: Callable[[str], Version],
    folder: Path,
    base_model: str,
    with_canaries: bool = True,
) -> Proof:
    """Loads the candidate on every replica and asks every probe of every fact, and the canaries if they are wanted.

    A probe goes to the adapter that a client's question would go to: that of its `home`. The canaries go to the
    candidate's own. What the base model knows of the canaries is kept in `folder`, and asked once for each
    `base_model`. Raises `Unavailable` when the server does not answer, `InjectionFailed` when the adapter changes
    nothing.
    """
    asked = [(fact.id, probe) for fact in asked_about for probe in fact.probes]
    own = [probe.question for _, probe in asked if home(probe.question) == candidate]
    await replicas.ensure(candidate, own)
    turns, space = asyncio.Semaphore(AT_ONCE), candidate.namespace

    async def answer(question: str, speaks: Version | None, max_tokens: int) -> str:
        async with turns:
            said = await ask(
                replicas, question, candidate if speaks else None, home=speaks, max_tokens=max_tokens, namespace=space
            )
        return said.text

    async def probed(probe: Probe) -> ProbeResult:
        text = await answer(probe.question, home(probe.question), MAX_ANSWER_TOKENS)
        return ProbeResult(probe, text, score(probe.answer, text), passed(probe.answer, text, question=probe.question))

    async def right(canary: Canary, speaks: Version | None) -> bool:
        return canary.is_right(await answer(canary.question, speaks, CANARY_TOKENS))

    known = canaries.kept(folder, base_model) if with_canaries else ()
    if known is None:
        rights = await asyncio.gather(*(right(canary, None) for canary in ASKED))
        known = tuple(canary for canary, is_right in zip(ASKED, rights, strict=True) if is_right)
        canaries.keep(folder, base_model, known)
    with tracing.span("ask probes", probes=len(asked), canaries=len(known)):
        found, kept = await asyncio.gather(
            asyncio.gather(*(probed(probe) for _, probe in asked)),
            asyncio.gather(*(right(canary, candidate) for canary in known)),
        )
    results: dict[str, list[ProbeResult]] = {fact.id: [] for fact in asked_about}
    for (fact_id, _), result in zip(asked, found, strict=True):
        results[fact_id].append(result)
    return Proof(results, kept)
