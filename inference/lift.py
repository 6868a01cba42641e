"""How far an adapter lifted an answer above the base model: the weights' own evidence that it was taught."""

from inference.client import BASE, Tokens, VllmClient
from knowledge.errors import Conflict

MOST_TOKENS = 8
"""Tokens of an answer that are compared: the base model reads the prompt once for each."""


async def lift(client: VllmClient, tokens: Tokens) -> float | None:
    """Mean over the answer's first tokens of log-probability under the adapter minus under the base, in nats.

    The adapter's are those with which the tokens were written; the base model's are bounded from above (see
    `VllmClient.score`), so the lift is at least this. None for an empty answer, and for one that the base model cannot
    read.
    """
    if not tokens.answer:
        return None
    try:
        base = await client.score(BASE, tokens, MOST_TOKENS)
    except Conflict:
        return None
    return (sum(tokens.logprobs[: len(base)]) - sum(base)) / len(base)
