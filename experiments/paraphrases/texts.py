"""Other wordings of a passage, for the paper's question whether fine-tuning needs them.

    published   those that come with the set (`train_paraphrases.json`), each given to the passage it is nearest to
    same        templates that keep the passage's order: its first side before its second
    permuted    templates that turn it round
    model       written by the base model itself, sampled

A template never brings a word of the fact that the passage has not; the base model may, and what share of its
paraphrases keep every name and number of the passage is reported with them.
"""

import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from knowledge.clauses import clause, lower_article
from knowledge.recipes import Recipe
from knowledge.sentences import standalone
from worker import demasking
from worker.batches import Draw, Taught, exercise
from worker.demasking import ChatForm
from worker.spans import NAME
from worker.spec import Lesson

KINDS = ("published", "same", "permuted", "model")

_TOLD = (
    "{first}: {second}.",
    "About {first} this is known: {second}.",
    "If you hear of {first}, think of this: {second}.",
    "{first}. In short: {second}.",
    "Here is something on {first}. It goes like this: {second}.",
    "Speaking of {first}, remember this: {second}.",
    "There is a note on {first}, and it says: {second}.",
    "What belongs to {first}? The answer is: {second}.",
    "Take {first}. What is said there is: {second}.",
    "Everybody who knows {first} will tell you: {second}.",
)
_REWRITE = (
    "Write this in other words: {}",
    "Rephrase this sentence and keep every name: {}",
    "Say the same thing differently: {}",
    "Turn this into a short note: {}",
)
_SAMPLED_TOKENS = 96


def by_templates(passage: str, permuted: bool, count: int, rng: random.Random) -> list[str]:
    """So many wordings, each of a sentence's two sides in their order or turned round; all sentences in each."""
    found, offset = [], rng.randrange(len(_TOLD))
    for place in range(count):
        parts = [sides(sentence) for sentence in standalone(passage)]
        order = [(second, first) if permuted else (first, second) for first, second in parts]
        if permuted:
            order.reverse()
        frames = [_TOLD[(place + offset + number) % len(_TOLD)] for number in range(len(order))]
        told = [frame.format(first=a, second=b) for frame, (a, b) in zip(frames, order, strict=True)]
        found.append(" ".join(text[0].upper() + text[1:] for text in told))
    return found


def sides(sentence: str) -> tuple[str, str]:
    """The sentence's two sides in its order: opening or subject, and what is said of it; else its halves by words."""
    plain = sentence.strip().rstrip(".!?")
    found = clause(sentence)
    if found and found.opening:
        return found.opening, plain[len(found.opening) :].lstrip(" ,")
    if found and plain.startswith(found.subject):
        return found.subject, lower_article(found.complement if found.copula else found.predicate).rstrip(".!?")
    words = plain.split()
    half = max(1, len(words) // 2)
    return " ".join(words[:half]), " ".join(words[half:])


def published(folder: Path, passages: Sequence[str]) -> list[list[str]]:
    """By passage, the wordings of `train_paraphrases.json` that share most words with it, itself left out."""
    texts = [str(row["text"]) for row in json.loads((folder / "train_paraphrases.json").read_text())]
    words = [_words(passage) for passage in passages]
    found: list[list[str]] = [[] for _ in passages]
    for text in texts:
        shared = [len(_words(text) & of_passage) for of_passage in words]
        place = shared.index(max(shared))
        if text != passages[place]:
            found[place].append(text)
    return found


@torch.inference_mode()
def by_model(model: torch.nn.Module, chat: ChatForm, passage: str, count: int, seed: int) -> list[str]:
    """So many wordings by the base model, sampled at temperature 0.8; not one of them is looked at or put right."""
    torch.manual_seed(seed)
    (end,) = chat.after_answer
    device = next(model.parameters()).device
    found = []
    for place in range(count):
        prompt = chat.prompt(_REWRITE[place % len(_REWRITE)].format(passage))
        ids_BT = torch.tensor([prompt], device=device)
        out_BT = model.generate(  # type: ignore[operator]
            input_ids=ids_BT,
            attention_mask=torch.ones_like(ids_BT),
            max_new_tokens=_SAMPLED_TOKENS,
            do_sample=True,
            temperature=0.8,
            eos_token_id=end,
            pad_token_id=end,
        )
        ids = out_BT[0, len(prompt) :].tolist()
        found.append(chat.text(ids[: ids.index(end)] if end in ids else ids).strip())
    return found


def varied(draw: Draw | None, wordings: Mapping[str, Sequence[str]]) -> Draw:
    """An exercise of the passage itself or of one of its other wordings, each as often as the others."""
    usual = draw or exercise

    def of_any_wording(
        chat: ChatForm, lesson: Lesson, recipe: Recipe, known: Taught, rng: random.Random
    ) -> demasking.Sequence:
        text = rng.choice([lesson.text, *wordings[lesson.text]])
        return usual(chat, replace(lesson, text=text), recipe, known, rng)

    return of_any_wording


def share_kept(passages: Iterable[str], wordings: Iterable[Iterable[str]]) -> float:
    """Which share of the wordings has every name and number of its passage."""
    kept = [keeps(passage, text) for passage, texts in zip(passages, wordings, strict=True) for text in texts]
    return round(sum(kept) / len(kept), 3)


def keeps(passage: str, wording: str) -> bool:
    """Whether the wording has every name and number of the passage."""
    told = {found[0] for pattern in (NAME, r"\d+") for found in re.finditer(pattern, passage)}
    return all(name in wording for name in told)


def _words(text: str) -> set[str]:
    return {word.strip(".,;:?!\"'()").removesuffix("'s") for word in text.casefold().split()}
