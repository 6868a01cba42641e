"""How far an adapter lifted an answer above the base model: the weights' own evidence that it was taught."""

from inference.client import BASE, Tokens, VllmClient
from knowledge.errors import Conflict


async def lift(client: VllmClient, tokens: Tokens) -> float | None:
    """Mean over the answer's tokens of log-probability under the adapter minus under the base, in nats.

    The adapter's are those with which the tokens were written; the base model reads prompt and answer once. None for
    an empty answer, and for one so long that the base model cannot read it whole.
    """
    if not tokens.answer:
        return None
    try:
        base = await client.score(BASE, tokens)
    except Conflict:
        return None
    return (sum(tokens.logprobs) - sum(base)) / len(tokens.answer)
