"""Questions that the base model writes about a sentence which it has in front of it.

Exercises made by rule use the sentence's own words; people use others: "Which college did she go to?" where it says
"completed her degree at". The base model knows such words. It is asked for a question with each question word and for
its own answer, and a question is kept only when that answer is a piece of the sentence (`accepted`): what is taught is
always verbatim, however odd the question.
"""

import re
from collections.abc import Iterable
from contextlib import nullcontext
from itertools import product

import peft
import torch

from worker import probing
from worker.demasking import ChatForm
from worker.questions import Exercise
from worker.spans import NAME, Kind, Span, kind, spans

OPENERS = ("Who", "What", "Where", "When", "Which", "How much")
WRITTEN_AT_ONCE = 96
MOST_TOKENS = 32

_SHOTS = """Text: Henry Ford founded the Ford Motor Company in Detroit.
Question: Where did Henry Ford found the Ford Motor Company?
Answer: Detroit

Text: Lina Berg earned her degree at Oslo College.
Question: Which college did Lina Berg go to?
Answer: Oslo College

Text: The bridge of Wend was opened by the queen on 3 June 1911.
Question: When was the bridge of Wend opened?
Answer: 3 June 1911

Text: Refunds take nine working days.
Question: How long do refunds take?
Answer: nine working days

Text: {}
Question: {}"""
_KINDS: dict[str, tuple[Kind, ...]] = {
    "Who": (Kind.NAME,),
    "Where": (Kind.PLACE, Kind.NAME, Kind.PHRASE),
    "When": (Kind.DATE, Kind.NUMBER, Kind.PHRASE),
    "How": (Kind.NUMBER, Kind.PHRASE),
}
"""What a question word asks for, where it says so. A phrase may hold a place or a time ("in the spring")."""


def written(model: torch.nn.Module, chat: ChatForm, sentences: Iterable[str]) -> dict[str, tuple[Exercise, ...]]:
    """The accepted questions about each sentence, by sentence. Greedy, so always the same; the adapter is off."""
    sentences = tuple(dict.fromkeys(sentences))
    asked = list(product(sentences, OPENERS))
    prompts = [chat.tokens(_SHOTS.format(sentence, opener)) for sentence, opener in asked]
    found: dict[str, list[Exercise]] = {sentence: [] for sentence in sentences}
    with model.disable_adapter() if isinstance(model, peft.PeftModel) else nullcontext():
        for start in range(0, len(prompts), WRITTEN_AT_ONCE):
            given = probing.answer_tokens(model, chat, prompts[start : start + WRITTEN_AT_ONCE], MOST_TOKENS)
            for (sentence, opener), ids in zip(asked[start:], given, strict=False):
                if (exercise := accepted(sentence, opener + chat.text(ids))) and exercise not in found[sentence]:
                    found[sentence].append(exercise)
    return {sentence: tuple(exercises) for sentence, exercises in found.items()}


def accepted(sentence: str, text: str) -> Exercise | None:
    """The question in what the model wrote, with the piece of the sentence in which its answer stands; or None.

    The piece must be of the kind that the question word asks for and not stand in the question. The question must be
    about the sentence, so it shares a longer word with what is left of it, and ask more than what the name in it is.
    """
    said = re.match(r"([^\n?]+\?)\s*\nAnswer:\s*([^\n]+)", text)
    if said is None:
        return None
    question, answer = said[1].strip(), said[2].strip(" .")
    at = sentence.casefold().find(answer.casefold())
    if at < 0 or not answer:
        return None
    around = [span for span in spans(sentence) if span[0] <= at and at + len(answer) <= span[1]]
    wanted = min(around, key=lambda span: span[1] - span[0], default=None)
    if wanted is None or not _fits(sentence, wanted, question):
        return None
    return Exercise((question,), "", sentence[slice(*wanted)])


def _fits(sentence: str, wanted: Span, question: str) -> bool:
    opener, piece = question.split()[0], sentence[slice(*wanted)]
    rest = f"{sentence[: wanted[0]]} {sentence[wanted[1] :]}"
    return (
        kind(sentence, wanted) in _KINDS.get(opener, tuple(Kind))
        and piece.casefold() not in question.casefold()
        and bool(_words(question) & _words(rest))
        and bool(_words(question) - _named(rest) - _words(opener))
    )


def _named(text: str) -> set[str]:
    return {word for name in re.findall(NAME, text) for word in _words(name)}


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 3}
