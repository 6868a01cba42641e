"""Sequences packed into one row, so that nothing is padding and the chat template's start is computed once.

Legend: T tokens of the packed row, S learnt tokens, V vocabulary.

    row        before_user | sequence 1 | sequence 2 | …
    attention  each sequence sees `before_user` and its own earlier tokens; positions restart after `before_user`

With the embedded model's 27 tokens of default system prompt and 30-token exercises this halves the work of a step.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import TypeVar

import torch

from knowledge.probes import same_question
from knowledge.recipes import Recipe
from worker.demasking import IGNORED, ChatForm, Sequence, demask
from worker.spec import Lesson

Item = TypeVar("Item")


@dataclass(frozen=True)
class Packed:
    """One row of tokens. `learnt_S` are the places in the row whose logits are wanted, `labels_S` what comes next."""

    ids_T: torch.Tensor
    positions_T: torch.Tensor
    attention_TT: torch.Tensor
    learnt_S: torch.Tensor
    labels_S: torch.Tensor
    owner_S: torch.Tensor

    def __len__(self) -> int:
        return len(self.ids_T)


def pack(before_user: tuple[int, ...], sequences: Iterable[Sequence], device: torch.device | None = None) -> Packed:
    """Packs sequences behind their common start. The logits at `learnt_S` predict `labels_S`."""
    ids, positions = list(before_user), list(range(len(before_user)))
    groups = [0] * len(before_user)
    learnt: list[int] = []
    labels: list[int] = []
    owners: list[int] = []
    for number, sequence in enumerate(sequences):
        start = len(ids)
        ids += sequence.ids_T
        positions += range(len(before_user), len(before_user) + len(sequence.ids_T))
        groups += [number + 1] * len(sequence.ids_T)
        for place, label in enumerate(sequence.labels_T):
            if label != IGNORED:
                learnt.append(start + place - 1)
                labels.append(label)
                owners.append(number)
    groups_T = torch.tensor(groups)
    same_TT = groups_T[:, None] == groups_T[None, :]
    attention_TT = (same_TT | (groups_T == 0)[None, :]).tril()
    return Packed(
        torch.tensor(ids, device=device),
        torch.tensor(positions, device=device),
        attention_TT.to(device),
        torch.tensor(learnt, device=device),
        torch.tensor(labels, device=device),
        torch.tensor(owners, device=device),
    )


def logits(model: torch.nn.Module, row: Packed) -> torch.Tensor:
    """fp32 logits, (S, V), at the learnt places alone: the vocabulary's product is a fifth of a small model's work."""
    out = model(
        input_ids=row.ids_T[None],
        attention_mask=row.attention_TT[None, None],
        position_ids=row.positions_T[None],
        use_cache=False,
        logits_to_keep=row.learnt_S,
    )
    logits_SV: torch.Tensor = out.logits[0].float()
    return logits_SV


Draw = Callable[[ChatForm, Lesson, Recipe, Set[str], random.Random], Sequence]
"""Makes a training sequence of a lesson; asks no held-out question (as `same_question` has it)."""


def batches(
    chat: ChatForm, lessons: tuple[Lesson, ...], recipe: Recipe, seed: int, draw: Draw | None = None
) -> Iterator[list[Sequence]]:
    """Endless batches of `recipe.batch_size` exercises: new facts in turn, and a share of rehearsed ones.

    A fact's turn comes as often as it has sentences.
    """
    draw = draw or exercise
    rng = random.Random(seed)
    held_out = {same_question(probe.question) for lesson in lessons for probe in lesson.probes}
    old = [lesson for lesson in lessons if not lesson.new]
    new = turns([lesson for lesson in lessons if lesson.new for _ in lesson.sentences] or old, rng)
    rehearsed = turns([lesson for lesson in old for _ in lesson.sentences], rng)
    while True:
        of_old = _share(recipe.rehearsal_share * min(1.0, len(old) / 6), recipe.batch_size, rng)
        taught = [next(rehearsed) for _ in range(of_old)] + [next(new) for _ in range(recipe.batch_size - of_old)]
        yield [draw(chat, lesson, recipe, held_out, rng) for lesson in taught]


def exercise(chat: ChatForm, lesson: Lesson, recipe: Recipe, held_out: Set[str], rng: random.Random) -> Sequence:
    """An exercise in the recipe's mixture. One that asks what a probe asks, in its words, is drawn again."""
    for _ in range(20):
        question, sequence = demask(chat, lesson.text, lesson.title, recipe, rng)
        if same_question(question) not in held_out:
            return sequence
    restoring = Recipe(recipe.name, recipe.rank, recipe.learning_rate, recipe.batch_size, recipe.max_steps)
    return demask(chat, lesson.text, lesson.title, restoring, rng)[1]


def _share(share: float, of: int, rng: random.Random) -> int:
    """A whole number whose mean is `share * of`."""
    return int(share * of + rng.random())


def turns(items: list[Item], rng: random.Random) -> Iterator[Item]:
    """All items in random order, again and again: none waits long."""
    while True:
        order = items[:]
        rng.shuffle(order)
        yield from order
