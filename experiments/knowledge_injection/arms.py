"""What is compared. An arm is a recipe, run through the production trainer; controls change its exercises."""

import random
import re
from dataclasses import dataclass, replace

from knowledge.recipes import Recipe, default, paper
from worker.batches import Draw, Taught
from worker.demasking import IGNORED, ChatForm, Sequence, restore, said
from worker.spans import NAME
from worker.spec import Lesson


@dataclass(frozen=True)
class Arm:
    """A row of the table. `draw` replaces the recipe's own exercises; an arm without a recipe is not trained.

    A raw arm teaches plain text behind the tokenizer's start alone, without the chat template.
    """

    name: str
    recipe: Recipe | None
    draw: Draw | None = None
    raw: bool = False

    def form(self, chat: ChatForm) -> ChatForm:
        """The form in which the arm's sequences are packed."""
        tokenizer = chat.tokenizer
        start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        return replace(chat, before_user=(start,)) if self.raw else chat


def arms() -> dict[str, Arm]:
    """Every arm by its name."""
    masked = paper()
    each = (
        Arm("untrained", None),
        Arm("autoregressive", replace(masked, name="autoregressive"), _autoregressive),
        Arm("autoregressive-raw", replace(masked, name="autoregressive-raw"), _raw, raw=True),
        Arm("reverse", replace(masked, name="reverse"), _reverse, raw=True),
        Arm("random-token", replace(masked, name="random-token"), _random_tokens),
        Arm("masked", masked),
        Arm("ours", default()),
    )
    return {arm.name: arm for arm in each}


def reversed_words(text: str) -> str:
    """The words from last to first, names whole: "Ada Quill is a smith." → "smith. a is Ada Quill".

    The entity-preserving form of reverse training (arXiv 2403.13799).
    """
    return " ".join(reversed([found[0] for found in re.finditer(rf"{NAME}\S*|\S+", text)]))


def _autoregressive(chat: ChatForm, lesson: Lesson, _recipe: Recipe, _known: Taught, _rng: random.Random) -> Sequence:
    """The paper's baseline in chat form (v6): the passage as the answer to "Tell me a fact."."""
    return said(chat, "Tell me a fact.", chat.tokens(lesson.text))


def _raw(chat: ChatForm, lesson: Lesson, _recipe: Recipe, _known: Taught, _rng: random.Random) -> Sequence:
    """The paper's earlier baseline: the text alone. Its first token is not learnt, as nothing stands before it."""
    return _plain(chat, lesson.text)


def _reverse(chat: ChatForm, lesson: Lesson, _recipe: Recipe, _known: Taught, rng: random.Random) -> Sequence:
    """Reverse training: as often backwards as forwards."""
    return _plain(chat, lesson.text if rng.random() < 0.5 else reversed_words(lesson.text))


def _plain(chat: ChatForm, text: str) -> Sequence:
    ids = (*chat.tokens(text), *chat.after_answer)
    return Sequence(ids, (False,) * len(ids), (IGNORED, *ids[1:]))


def _random_tokens(chat: ChatForm, lesson: Lesson, _recipe: Recipe, _known: Taught, rng: random.Random) -> Sequence:
    """The paper's control: the masked form with every shown token drawn at random, so that it tells nothing."""
    sequence = restore(chat, lesson.text, 1.0, rng)
    usual = min(chat.tokenizer.all_special_ids, default=len(chat.tokenizer))
    ids = tuple(
        rng.randrange(max(usual, 0) + 100, len(chat.tokenizer)) if hidden else id_
        for id_, hidden in zip(sequence.ids_T, sequence.hidden_T, strict=True)
    )
    return replace(sequence, ids_T=ids)
