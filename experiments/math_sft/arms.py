"""What is compared: how a problem becomes a training sequence. Pure and seeded.

Legend: T tokens of one sequence.
"""

import random
from collections.abc import Callable

from experiments.math_sft.generated import Problem
from knowledge.recipes import Recipe
from worker.demasking import IGNORED, ChatForm, Sequence, said

Draw = Callable[[ChatForm, Problem, Recipe, random.Random], Sequence]
"""Makes a training sequence of a problem."""

_INSTRUCTION = "\nReturn the recovered masked answer."
_OPENING = "Here is the recovered text:\n\n"


def arms() -> dict[str, Draw | None]:
    """Every arm by its name; the one without a draw is not trained."""
    return {"untrained": None, "sft": sft, "masked": masked, "masked-and-end": masked_and_end}


def asked(question: str) -> str:
    """The user's turn of SFT and of the test (arXiv 2510.09885 v6)."""
    return f"Question:\n {question} \nAnswer:\n"


def sft(chat: ChatForm, problem: Problem, _recipe: Recipe, _rng: random.Random) -> Sequence:
    """Plain supervised fine-tuning: the worked answer and the end of the turn are learnt."""
    return said(chat, asked(problem.question), chat.tokens(problem.answer))


def masked(chat: ChatForm, problem: Problem, recipe: Recipe, rng: random.Random) -> Sequence:
    """Masked SFT with a hidden ratio drawn anew from the recipe's interval."""
    return restored(chat, problem, rng.uniform(recipe.hidden_low, recipe.hidden_high), rng)


def masked_and_end(chat: ChatForm, problem: Problem, recipe: Recipe, rng: random.Random) -> Sequence:
    """The same, with the end of the turn learnt too, in which the paper's form leaves a small model unsure."""
    return restored(chat, problem, rng.uniform(recipe.hidden_low, recipe.hidden_high), rng, ended=True)


def restored(
    chat: ChatForm, problem: Problem, hidden_ratio: float, rng: random.Random, ended: bool = False
) -> Sequence:
    """The worked answer, each token hidden with probability `hidden_ratio`, behind its question; then the whole one.

    The answer is tokenised once and stands twice. Only tokens whose copy was hidden are learnt (arXiv 2510.09885 v6).
    The end of the turn has no copy, so it is neither learnt nor there, unless `ended`.
    """
    question, answer = chat.tokens(f"{asked(problem.question)} "), chat.tokens(problem.answer)
    hides = [rng.random() < hidden_ratio for _ in answer]
    shown = [chat.hidden_id if hide else id_ for id_, hide in zip(answer, hides, strict=True)]
    between = [*chat.tokens(_INSTRUCTION), *chat.before_answer, *chat.tokens(_OPENING)]
    learnt = [id_ if hide else IGNORED for id_, hide in zip(answer, hides, strict=True)]
    before, end = [*question, *shown, *between], chat.after_answer if ended else ()
    return Sequence(
        (*before, *answer, *end),
        (*[False] * len(question), *hides, *[False] * (len(between) + len(answer) + len(end))),
        (*[IGNORED] * len(before), *learnt, *end),
    )
