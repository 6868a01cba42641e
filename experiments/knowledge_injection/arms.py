"""What is compared. An arm is a recipe, run through the production trainer; controls change its exercises."""

import random
from dataclasses import dataclass, replace

from knowledge.recipes import Recipe, default, paper
from worker.batches import Draw, Taught
from worker.demasking import ChatForm, Sequence, restore, said
from worker.spec import Lesson


@dataclass(frozen=True)
class Arm:
    """A row of the table. `draw` replaces the recipe's own exercises; an arm without a recipe is not trained."""

    name: str
    recipe: Recipe | None
    draw: Draw | None = None


def arms() -> dict[str, Arm]:
    """Every arm by its name."""
    masked = paper()
    each = (
        Arm("untrained", None),
        Arm("autoregressive", replace(masked, name="autoregressive"), _autoregressive),
        Arm("random-token", replace(masked, name="random-token"), _random_tokens),
        Arm("masked", masked),
        Arm("ours", default()),
    )
    return {arm.name: arm for arm in each}


def _autoregressive(chat: ChatForm, lesson: Lesson, _recipe: Recipe, _known: Taught, _rng: random.Random) -> Sequence:
    """The paper's baseline in chat form (v6): the passage as the answer to "Tell me a fact."."""
    return said(chat, "Tell me a fact.", chat.tokens(lesson.text))


def _random_tokens(chat: ChatForm, lesson: Lesson, _recipe: Recipe, _known: Taught, rng: random.Random) -> Sequence:
    """The paper's control: the masked form with every shown token drawn at random, so that it tells nothing."""
    sequence = restore(chat, lesson.text, 1.0, rng)
    usual = min(chat.tokenizer.all_special_ids, default=len(chat.tokenizer))
    ids = tuple(
        rng.randrange(max(usual, 0) + 100, len(chat.tokenizer)) if hidden else id_
        for id_, hidden in zip(sequence.ids_T, sequence.hidden_T, strict=True)
    )
    return replace(sequence, ids_T=ids)
