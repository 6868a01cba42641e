"""A way of going on to compare: earlier facts are held to what the last version answers, not taught again.

Their exercises stand beside the general questions that every step holds to the base model (`worker/replay.py`), and the
weights that the run began with say how they are to be answered (learning without forgetting, arXiv 1606.09282): the
whole distribution of each token, where rehearsal gives one right token.

Legend: S learnt tokens, V vocabulary.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import peft
import torch

from knowledge.recipes import Recipe
from worker import replay
from worker.batches import Taught, exercise, logits, pack, turns
from worker.demasking import ChatForm, Sequence
from worker.spec import Lesson


@contextmanager
def held_to_last(adapted: peft.PeftModel, lessons: tuple[Lesson, ...], each_step: int) -> Iterator[None]:
    """Within, training holds so many exercises of the lessons that are not new to the adapter as it is now."""
    earlier = [lesson for lesson in lessons if not lesson.new for _ in range(lesson.size)]
    known = Taught.of(lessons)
    own = [parameter.detach() for parameter in adapted.parameters() if parameter.requires_grad]
    last = [weight.clone() for weight in own]
    general_held, general_teacher = replay.held, replay.teacher

    def held(chat: ChatForm, lessons: tuple[Lesson, ...], recipe: Recipe, seed: int) -> Iterator[list[Sequence]]:
        rng = random.Random(seed)
        facts = turns(earlier, rng)
        for general in general_held(chat, lessons, recipe, seed):
            yield general + [exercise(chat, next(facts), recipe, known, rng) for _ in range(each_step)]

    @torch.no_grad()
    def teacher(model: peft.PeftModel, chat: ChatForm, sequences: list[Sequence]) -> torch.Tensor:
        general, facts = sequences[:-each_step], sequences[-each_step:]
        now = [weight.clone() for weight in own]
        torch._foreach_copy_(own, last)
        facts_SV = logits(model, pack(chat.before_user, facts, own[0].device)).log_softmax(-1)
        torch._foreach_copy_(own, now)
        return torch.cat((general_teacher(model, chat, general), facts_SV))

    if not earlier:
        yield
        return
    with patch.object(replay, "held", held), patch.object(replay, "teacher", teacher):
        yield
