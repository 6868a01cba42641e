"""What keeps other answers as they were: the adapter is held to the base model on things that are not taught.

Each step adds general questions with plain answers, and bare questions in the taught forms about something else. The
base model, the adapter switched off, gives the distribution that the adapter must keep (KL divergence): a hold that
costs nothing until the adapter changes such answers. Nothing is generated, so every step can bring new ones.

Legend: S learnt tokens, V vocabulary.
"""

import random
from collections.abc import Iterator

import peft
import torch

from knowledge.recipes import Recipe
from worker.batches import logits, pack, turns
from worker.demasking import ChatForm, Sequence, bare, said
from worker.general import GENERAL
from worker.questions import foil_question, topic_question
from worker.spec import Lesson


def held(chat: ChatForm, lessons: tuple[Lesson, ...], recipe: Recipe, seed: int) -> Iterator[list[Sequence]]:
    """Endless batches of `replay_count` general answers and `foil_count` bare questions, half of them foils."""
    rng = random.Random(seed)
    general = turns(list(GENERAL), rng)
    about = [lesson.sentences for lesson in lessons]
    while True:
        pairs = [next(general) for _ in range(recipe.replay_count)]
        questions = [
            foil_question(rng.choice(about), rng) if rng.random() < 0.5 else topic_question(rng)
            for _ in range(recipe.foil_count)
        ]
        yield [said(chat, question, chat.tokens(answer)) for question, answer in pairs] + [
            bare(chat, question) for question in questions
        ]


@torch.no_grad()
def teacher(model: peft.PeftModel, chat: ChatForm, sequences: list[Sequence]) -> torch.Tensor:
    """The base model's log-probabilities (S, V) for the tokens to learn of `sequences`, in their order."""
    device = next(model.parameters()).device
    with model.disable_adapter():
        return logits(model, pack(chat.before_user, sequences, device)).log_softmax(-1)
