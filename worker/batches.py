"""Sequences packed into one row, so that nothing is padding and the chat template's start is computed once.

Legend: T tokens of the packed row, S learnt tokens, V vocabulary.

    row        before_user | sequence 1 | sequence 2 | …
    attention  each sequence sees `before_user` and its own earlier tokens; positions restart after `before_user`
               (computed sequence by sequence where that is less work, `worker/attention.py`)

With the embedded model's 27 tokens of default system prompt and 30-token exercises this halves the work of a step.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Self, TypeVar

import torch

from knowledge.probes import same_question
from knowledge.recipes import Recipe
from worker.attention import Layout, attends_by_layout, side_by_side
from worker.demasking import IGNORED, ChatForm, Sequence, demask, talk
from worker.questions import Written
from worker.spans import Rarity
from worker.spec import Lesson

Item = TypeVar("Item")

ENOUGH_WRITTEN = 4
"""A sentence with fewer questions of the base model is asked by rule the more often, or these few are all it hears."""

MOST_TURNS = 3
"""So many exercises make a talk at most."""


@dataclass(frozen=True)
class Packed:
    """One row of tokens. `learnt_S` are the places in the row whose logits are wanted, `labels_S` what comes next."""

    ids_T: torch.Tensor
    positions_T: torch.Tensor
    attention_TT: torch.Tensor
    layout: Layout
    learnt_S: torch.Tensor
    labels_S: torch.Tensor

    def __len__(self) -> int:
        return len(self.ids_T)


def pack(before_user: tuple[int, ...], sequences: Iterable[Sequence], device: torch.device | None = None) -> Packed:
    """Packs sequences behind their common start. The logits at `learnt_S` predict `labels_S`."""
    sequences = list(sequences)
    ids, positions = list(before_user), list(range(len(before_user)))
    groups = [0] * len(before_user)
    learnt: list[int] = []
    labels: list[int] = []
    for number, sequence in enumerate(sequences):
        start = len(ids)
        ids += sequence.ids_T
        positions += range(len(before_user), len(before_user) + len(sequence.ids_T))
        groups += [number + 1] * len(sequence.ids_T)
        for place, label in enumerate(sequence.labels_T):
            if label != IGNORED:
                learnt.append(start + place - 1)
                labels.append(label)
    groups_T = torch.tensor(groups)
    same_TT = groups_T[:, None] == groups_T[None, :]
    attention_TT = (same_TT | (groups_T == 0)[None, :]).tril()
    return Packed(
        torch.tensor(ids, device=device),
        torch.tensor(positions, device=device),
        attention_TT.to(device),
        side_by_side([len(before_user), *(len(sequence.ids_T) for sequence in sequences)], device),
        torch.tensor(learnt, device=device),
        torch.tensor(labels, device=device),
    )


def logits(model: torch.nn.Module, row: Packed) -> torch.Tensor:
    """fp32 logits, (S, V), at the learnt places alone: the vocabulary's product is a fifth of a small model's work."""
    apart = attends_by_layout(model) and row.layout.size < row.attention_TT.numel()
    out = model(
        input_ids=row.ids_T[None],
        attention_mask=row.attention_TT[None, None],
        position_ids=row.positions_T[None],
        use_cache=False,
        logits_to_keep=row.learnt_S,
        **({"layout": row.layout} if apart else {}),
    )
    logits_SV: torch.Tensor = out.logits[0].float()
    return logits_SV


@dataclass(frozen=True)
class Taught:
    """What an exercise must know of all lessons.

    Questions that are never asked (`same_question`), the pieces' `rarity`, and by sentence the questions that the base
    model `written` about it.
    """

    held_out: Set[str]
    rarity: Rarity
    written: Written

    @classmethod
    def of(cls, lessons: Iterable[Lesson], written: Written | None = None) -> Self:
        """Holds out every probe's question."""
        lessons = tuple(lessons)
        held_out = {same_question(probe.question) for lesson in lessons for probe in lesson.probes}
        return cls(held_out, Rarity(lesson.sentences for lesson in lessons), written or {})


Draw = Callable[[ChatForm, Lesson, Recipe, Taught, random.Random], Sequence]
"""Makes a training sequence of a lesson."""


def batches(
    chat: ChatForm,
    lessons: tuple[Lesson, ...],
    recipe: Recipe,
    seed: int,
    draw: Draw | None = None,
    written: Written | None = None,
) -> Iterator[list[Sequence]]:
    """Endless batches of `recipe.batch_size` exercises: new facts in turn, and a share of rehearsed ones.

    A fact's turn comes as often as its size says.
    """
    draw = draw or exercise
    rng = random.Random(seed)
    known = Taught.of(lessons, written)
    old = [lesson for lesson in lessons if not lesson.new]
    new = turns([lesson for lesson in lessons if lesson.new for _ in range(lesson.size)] or old, rng)
    rehearsed = turns([lesson for lesson in old for _ in range(lesson.size)], rng)
    while True:
        of_old = _share(recipe.rehearsal_share * min(1.0, len(old) / 6), recipe.batch_size, rng)
        taught = [next(rehearsed) for _ in range(of_old)] + [next(new) for _ in range(recipe.batch_size - of_old)]
        drawn = [(lesson.fact_id, draw(chat, lesson, recipe, known, rng)) for lesson in taught]
        yield _talks(chat, drawn, recipe.talk_share, rng)


def _talks(chat: ChatForm, drawn: Iterable[tuple[str, Sequence]], share: float, rng: random.Random) -> list[Sequence]:
    """Puts a share of the exercises behind another's answer, never behind one of the same fact: it would tell theirs.

    What is asked in the middle of a talk is otherwise not learnt, and joined turns cost no more than turns alone.
    """
    talks: list[dict[str, Sequence]] = []
    for fact, sequence in drawn:
        goes_on = talks and chat.between_turns and rng.random() < share
        if goes_on and fact not in talks[-1] and len(talks[-1]) < MOST_TURNS:
            talks[-1][fact] = sequence
        else:
            talks.append({fact: sequence})
    return [talk(chat, turns.values()) for turns in talks]


def exercise(chat: ChatForm, lesson: Lesson, recipe: Recipe, known: Taught, rng: random.Random) -> Sequence:
    """An exercise in the recipe's mixture. One that asks what a probe asks, in its words, is drawn again."""
    for _ in range(20):
        written = known.written.get(rng.choice(lesson.sentences), ())
        written = written if rng.random() < len(written) / ENOUGH_WRITTEN else ()
        question, sequence = demask(chat, lesson.text, lesson.title, recipe, rng, known.rarity, written)
        if same_question(question) not in known.held_out:
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
