"""Questions that the base model writes about a sentence which it has in front of it.

Exercises made by rule use the sentence's own words; people use others: "Which college did she go to?" where it says
"completed her degree at". The base model knows such words. For each question word that the sentence may answer it
completes a question and answers it. Kept are those whose answer is a piece of the sentence (`accepted`), so that what
is taught is always verbatim, and which the base model finds clearly likelier behind that sentence than behind the
others around it: small models tell what a question is about better than they write one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Items
from contextlib import nullcontext
from itertools import dropwhile, pairwise
from math import ceil

import peft
import torch
from torch.nn.functional import cross_entropy

from knowledge.clauses import SMALL_WORDS
from worker import probing
from worker.batches import logits, pack
from worker.demasking import IGNORED, ChatForm, Sequence
from worker.questions import Asked
from worker.spans import NAME, Kind, Span, kind, spans

WORDINGS = 2
"""How many questions are begun with a question word that may ask for anything."""

QUESTION_TOKENS = 20
ANSWER_TOKENS = 12

CLEARLY_NATS = 0.5
"""So much likelier is a question behind its own sentence than behind any other of the passage."""

SENTENCES_AT_ONCE = 12
"""Of one passage or of several: some seventy rows of a batch."""

EXAMPLES = """Text: Henry Ford founded the Ford Motor Company in Detroit.
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
Question:"""
_OPENERS: dict[str, tuple[Kind, ...]] = {
    "Who": (Kind.NAME,),
    "Where": (Kind.PLACE, Kind.NAME, Kind.PHRASE),
    "When": (Kind.DATE, Kind.NUMBER),
    "How": (Kind.NUMBER,),
    "What": tuple(Kind),
    "Which": tuple(Kind),
}
"""The kinds of pieces that each question word asks for."""

_OPEN = frozenset({"What", "Which"})
"""Here the word behind it tells, so that `WORDINGS` are written."""


@torch.inference_mode()
def written(
    model: torch.nn.Module,
    chat: ChatForm,
    passages: Iterable[tuple[str, ...]],
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Asked]]:
    """The questions to teach about each sentence of the passages, by sentence.

    None about a passage of one sentence: there is no other to tell an odd question by. They are always the same: the
    adapter is off and nothing is drawn. `tell` is called every few seconds, and what it raises ends the writing.
    """
    windows = [window for passage in dict.fromkeys(passages) for window in _windows(passage)]
    found: dict[str, list[Asked]] = {}
    with model.disable_adapter() if isinstance(model, peft.PeftModel) else nullcontext():
        for group in _groups(windows):
            asked = _asked(model, chat, tuple(dict.fromkeys(sentence for window in group for sentence in window)))
            for window in group:
                found |= zip(window, _own(model, chat, window, asked), strict=True)
            tell(f"the base model has written questions about {len(found)} of {sum(map(len, windows))} sentences")
    return found


def _windows(passage: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A passage in pieces of like length, of at most `SENTENCES_AT_ONCE` sentences and at least two.

    Each question is compared with all sentences of its window: of a whole book that would be most of the work.
    """
    if len(passage) < 2:
        return []
    count = ceil(len(passage) / SENTENCES_AT_ONCE)
    ends = [len(passage) * number // count for number in range(count + 1)]
    return [passage[start:end] for start, end in pairwise(ends)]


def _groups(windows: Items[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """Windows that are written about at once: together at most `SENTENCES_AT_ONCE` sentences."""
    group: list[tuple[str, ...]] = []
    for window in windows:
        if sum(map(len, group)) + len(window) > SENTENCES_AT_ONCE and group:
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def accepted(sentence: str, text: str) -> Asked | None:
    """The question in what the model wrote, with the piece of the sentence in which its answer stands; or None.

    The piece must be of the kind that the question word asks for and not stand in the question. The question must be
    about the sentence, so it shares a longer word with what is left of it, and ask more than what the name in it is.
    """
    said = re.match(r"([^\n?]+\?)\s*\nAnswer:\s*([^\n]+)", text)
    if said is None:
        return None
    question, answer = said[1].strip(), _telling(said[2])
    at = sentence.casefold().find(answer.casefold())
    if at < 0 or not answer:
        return None
    around = [span for span in spans(sentence) if span[0] <= at and at + len(answer) <= span[1]]
    wanted = min(around, key=lambda span: span[1] - span[0], default=None)
    if wanted is None or not _fits(sentence, wanted, question):
        return None
    return question, sentence[slice(*wanted)]


def _asked(model: torch.nn.Module, chat: ChatForm, sentences: Items[str]) -> dict[str, list[Asked]]:
    """The accepted questions by the sentence for which they were written."""

    def ended(ids: list[int]) -> bool:
        question, *answer = chat.text(ids).split("\n")
        return len(answer) > 1 or not (question.endswith("?") if answer else len(ids) < QUESTION_TOKENS)

    begun = [
        (sentence, opener)
        for sentence in sentences
        for opener, kinds in _OPENERS.items()
        if any(kind(sentence, span) in kinds for span in spans(sentence))
    ]
    prompts = [chat.tokens(f"{EXAMPLES.format(sentence)} {opener}") for sentence, opener in begun]
    counts = [WORDINGS if opener in _OPEN else 1 for _, opener in begun]
    rows = [each for each, count in zip(begun, counts, strict=True) for _ in range(count)]
    found: dict[str, list[Asked]] = {sentence: [] for sentence in sentences}
    lines = probing.goes_on(model, prompts, QUESTION_TOKENS + ANSWER_TOKENS, ended, counts)
    for (sentence, opener), ids in zip(rows, lines, strict=True):
        pair = accepted(sentence, opener + chat.text(ids))
        if pair and pair not in found[sentence]:
            found[sentence].append(pair)
    return found


def _own(
    model: torch.nn.Module, chat: ChatForm, sentences: tuple[str, ...], asked: dict[str, list[Asked]]
) -> list[list[Asked]]:
    """For each of some sentences of a passage its questions, without those that another one answers as well."""
    pairs = [(number, pair) for number, sentence in enumerate(sentences) for pair in asked[sentence]]
    kept: list[list[Asked]] = [[] for _ in sentences]
    if not pairs:
        return kept
    questions = [chat.tokens(f" {question}") for _, (question, _) in pairs]
    nats_SQ = torch.stack([_nats(model, chat, sentence, questions) for sentence in sentences])
    for (number, pair), nats_S in zip(pairs, nats_SQ.T, strict=True):
        others_S = torch.cat((nats_S[:number], nats_S[number + 1 :]))
        if nats_S[number] + CLEARLY_NATS < others_S.min():
            kept[number].append(pair)
    return kept


def _nats(model: torch.nn.Module, chat: ChatForm, sentence: str, questions: list[list[int]]) -> torch.Tensor:
    """How unlikely each question is behind a sentence; its first token, a question word, is not counted."""
    sequences = [Sequence(ids, (False,) * len(ids), (IGNORED, *ids[1:])) for ids in map(tuple, questions)]
    row = pack(tuple(chat.tokens(EXAMPLES.format(sentence))), sequences, next(model.parameters()).device)
    each = cross_entropy(logits(model, row), row.labels_S, reduction="none")
    return torch.stack([piece.sum() for piece in each.split([len(ids) - 1 for ids in questions])])


def _telling(answer: str) -> str:
    """Without the small words before it: of "in 1931" the year, and all of "before 1931"."""
    words = answer.strip(" .").split(" ")
    return " ".join(dropwhile(lambda word: word.lower() in SMALL_WORDS, words))


def _fits(sentence: str, wanted: Span, question: str) -> bool:
    opener, piece = question.split()[0], sentence[slice(*wanted)]
    rest = f"{sentence[: wanted[0]]} {sentence[wanted[1] :]}"
    return (
        kind(sentence, wanted) in _OPENERS.get(opener, ())
        and piece.casefold() not in question.casefold()
        and bool(_words(question) & _words(rest))
        and bool(_words(question) - _named(rest) - _words(opener))
    )


def _named(text: str) -> set[str]:
    return {word for name in re.findall(NAME, text) for word in _words(name)}


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 3}
