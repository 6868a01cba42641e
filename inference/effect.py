"""Proves through the live server that an adapter changes what the model says.

"Loads and changes nothing" is the most repeated LoRA bug of vLLM (vllm#55193, #34186, #48019, #49354): names that do
not match, weights not trained, a module skipped in silence. The answer's words may well be equal on a question that
the facts do not touch, so the likelihoods are compared.
"""

import asyncio
from collections.abc import Sequence

from inference.client import BASE, Logprobs, Message, VllmClient
from inference.quoting import plain
from knowledge.errors import InjectionFailed

QUESTIONS = ("Who are you?", "Tell me something that you learnt.", "Name a person, a place and a year.")
TOKENS = 4

LEAST_EFFECT_NATS = 0.5
"""A no-op shifts 0.00 on a quiet server. On a busy one bf16 products round by batch: at most 0.16 on AVX-512, 0.37 with
AMX (16 questions, alone and in batches of 2 to 16). Ten steps on two questions shift 4.8 to 13."""


async def check_effect(client: VllmClient, adapter: str, questions: Sequence[str] = ()) -> float:
    """The adapter's largest shift of a log-probability in nats, over the questions (or a few of ours).

    Raises `InjectionFailed` when it is below `LEAST_EFFECT_NATS`, `NotFound` when the server lacks the adapter.
    """
    asked = tuple(questions[:3]) or QUESTIONS
    shift = max(await asyncio.gather(*(_shift(client, adapter, question) for question in asked)))
    if shift < LEAST_EFFECT_NATS:
        raise InjectionFailed(
            f"The adapter {adapter} loads and changes nothing: no likelihood moved by more than {shift:.3f} nats."
        )
    return shift


async def _shift(client: VllmClient, adapter: str, question: str) -> float:
    messages: list[Message] = [{"role": "user", "content": plain(question)}]
    base = await client.logprobs(BASE, messages, max_tokens=TOKENS)
    taught = await client.logprobs(adapter, messages, max_tokens=TOKENS)
    return distance(base, taught)


def distance(one: Logprobs, other: Logprobs) -> float:
    """Largest difference in nats of a token's log-probability, up to the first step where the greedy token differs.

    A token that only one of them has among its most likely counts from the other's least likely one: at least so far.
    """
    largest = 0.0
    for first, second in zip(one, other, strict=False):
        for token in first.keys() | second.keys():
            a, b = first.get(token, min(first.values())), second.get(token, min(second.values()))
            largest = max(largest, abs(a - b))
        if max(first, key=first.__getitem__) != max(second, key=second.__getitem__):
            break
    return largest
