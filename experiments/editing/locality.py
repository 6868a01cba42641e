"""What teaching did beside the facts: the taught model against its own base, the adapter switched off.

canaries     general questions that the base answers rightly: how many still are
neighbours   questions of the taught ones' form about passages that were not taught
"""

from collections.abc import Sequence
from typing import Any

import peft

from experiments.quick.bench import general_answers
from worker import canaries, probing
from worker.demasking import ChatForm

ANSWER_TOKENS = 32
ASKED_AT_ONCE = 40
MOST_NEIGHBOURS = 120


def locality(
    adapted: peft.PeftModel, chat: ChatForm, neighbours: Sequence[str], taught: Sequence[str]
) -> dict[str, Any]:
    """Counts for canaries and neighbours; an answer to a neighbour leaks when it holds one of the `taught` answers.

    `same` are answers that are the base's to the letter, `gained` canaries that only the taught model answers rightly.
    """
    asked = neighbours[:: max(1, len(neighbours) // MOST_NEIGHBOURS)][:MOST_NEIGHBOURS]
    with adapted.disable_adapter():
        general_before, before = general_answers(adapted, chat), _answers(adapted, chat, asked)
    general_after, after = general_answers(adapted, chat), _answers(adapted, chat, asked)
    right = [(was[2], now[2]) for was, now in zip(general_before, general_after, strict=True)]
    return {
        "canaries": {
            "asked": len(right),
            "base": sum(was for was, _ in right),
            "kept": sum(was and now for was, now in right),
            "gained": sum(now and not was for was, now in right),
            "same": sum(was[1] == now[1] for was, now in zip(general_before, general_after, strict=True)),
        },
        "neighbours": {
            "asked": len(asked),
            "same": sum(was == now for was, now in zip(before, after, strict=True)),
            "leaks": sum(any(canaries.holds(now, [answer]) for answer in set(taught)) for now in after),
            "base_leaks": sum(any(canaries.holds(was, [answer]) for answer in set(taught)) for was in before),
        },
    }


def _answers(model: peft.PeftModel, chat: ChatForm, questions: Sequence[str]) -> list[str]:
    pieces = [questions[start : start + ASKED_AT_ONCE] for start in range(0, len(questions), ASKED_AT_ONCE)]
    return [answer for piece in pieces for answer in probing.answers(model, chat, piece, ANSWER_TOKENS)]
