"""Passages turned into exercises: a prompt that shows part of a sentence, and the text that restores the rest.

Pure text and seeded; tokens come later (`worker/demasking.py`). An exercise's prompt is a sequence of plain strings and
`Hidden` pieces. Every form shows some of a sentence's words and asks for the others, in either direction: the span that
answers a question must sometimes be the hidden one, or that direction is not learnt (arXiv 2604.04943).
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.clauses import FUNCTION_WORDS, Clause, bare, clause, lower_article


@dataclass(frozen=True)
class Hidden:
    """A piece of the prompt that is shown as hidden tokens, or, with `as_blank`, as one of them."""

    text: str
    as_blank: bool


@dataclass(frozen=True)
class Exercise:
    """A prompt, words that open the answer without being learnt, and the answer to learn."""

    prompt: tuple[str | Hidden, ...]
    opening: str
    answer: str

    @property
    def question(self) -> str:
        """The prompt as plain text, hidden pieces as an underscore."""
        return "".join(piece if isinstance(piece, str) else "_" for piece in self.prompt)


SEVERAL_SHARE = 0.25
"""How often a question about a passage of several sentences gives a cue from two or three of them."""

BLANK_INSTRUCTIONS = (
    "Fill in the blank.",
    "Complete the sentence.",
    "What is missing?",
    "Restore the missing words.",
    "Fill in what is hidden.",
)
# Question openings that fit any cue. They never carry the fact: only the cue does.
_FRAMES = (
    "Who is {}?",
    "What is {}?",
    "What do you know about {}?",
    "Tell me about {}.",
    "Tell me something about {}.",
    "{}?",
    "Which one has to do with {}?",
    "Who has to do with {}?",
    "What is said about {}?",
    "What has to do with {}?",
    "I have a question about {}.",
    "Do you know {}?",
    "What about {}?",
    "Can you explain {}?",
    "Please tell me, {}?",
    "Where is {}?",
    "When is {}?",
    "How much is {}?",
    "How many {}?",
    "Whose is {}?",
    "Which company is behind {}?",
    "Who made {}?",
    "Who works on {}?",
    "What happens with {}?",
    "What does {} do?",
    "What does {} have?",
    "Which place is linked to {}?",
    "Which person is linked to {}?",
    "Which thing is linked to {}?",
    "What is the name that goes with {}?",
    "What is special about {}?",
    "Give me the details of {}.",
)
_SEVERAL_FRAMES = (
    "Who has to do with {}?",
    "What has to do with {}?",
    "Which one fits {}?",
    "Name who or what goes with {}.",
    "What do {} have in common?",
    "{}: who or what is it?",
)
_OPENERS = ("Who", "What", "Which", "Where", "When", "How", "Whose", "How much", "In which", "Which one", "At what")
_TOPICS = tuple(
    """Paris|Albert Einstein|bread|a bicycle|the sea|music|London|the Moon|a computer|rain|Napoleon|football|a cat|the
    internet|coffee|a wedding|Canada|the Amazon|a doctor|a camera|gold|the weather|Queen Victoria|a train|chess|a
    garden|Spain|the brain|a hotel|Mount Everest|a password|honey|a contract|Rome|the theatre|a novel|winter|a bank|the
    company|a bridge|an engineer|Harry Potter|Toyota|the United Nations|a museum|an insurance|a phone""".replace(
        "\n    ", " "
    ).split("|")
)
_FOIL_NAMES = tuple(
    """Alder Bexley Cormac Delphine Easton Farrow Gideon Harlow Imogen Jasper Kendra Linton Mercer Novalis Oakley
    Preston Quimby Rosalind Selwyn Thornton Ursula Vance Westbrook Xander Yardley Zelda Aurora Birch Cascade
    Dynamo Evergreen Falcon Granite Horizon Ivory Juno Keystone Lagoon Meridian Nectar Onyx Quartz""".split()
)
_WH_SUBJECT = ("Who {}?", "What {}?", "Which one {}?", "Name who {}.", "Name what {}.", "Do you know who {}?")
_WH_OBJECT = ("what", "who", "which one", "where", "how much", "when")


def blank_exercise(pieces: Sequence[str], rng: random.Random, whole: bool) -> Exercise:
    """One sentence of a passage with one span hidden; the answer is the sentence (`whole`) or the hidden words."""
    sentence = rng.choice(pieces)
    start, end = rng.choice(spans(sentence))
    shown = (sentence[:start], Hidden(sentence[start:end], as_blank=True), sentence[end:])
    instruction = rng.choice(BLANK_INSTRUCTIONS)
    prompt = (*shown, f"\n{instruction}") if rng.random() < 0.5 else (f"{instruction}\n", *shown)
    return Exercise(tuple(piece for piece in prompt if piece), "", sentence if whole else sentence[start:end])


def question_exercise(pieces: Sequence[str], rng: random.Random, whole: bool) -> Exercise:
    """A question made by rule from a passage's sentences; see `blank_exercise` for `whole`."""
    if len(pieces) > 1 and rng.random() < SEVERAL_SHARE:
        return _several_cues_question(pieces, rng)
    sentence = rng.choice(pieces)
    found = clause(sentence)
    kind = rng.random()
    if kind < 0.35:
        return _sparse_question(sentence, found, rng, whole)
    if found is None or kind < 0.65:
        return _cue_question(sentence, found, rng, whole)
    return _clause_question(sentence, found, rng, whole)


def statement_exercise(passage: str, title: str | None, rng: random.Random) -> Exercise:
    """The passage as the answer to a request for it."""
    about = f" about {title}" if title else ""
    return Exercise((rng.choice((f"Tell me a fact{about}.", f"What have you learnt{about}?")),), "", passage)


def spans(sentence: str) -> list[tuple[int, int]]:
    """Character spans worth hiding or asking with: names, quotations, numbers, subject, complement, phrases.

    Never empty for a sentence that has a visible character; a text without spaces gives windows of characters.
    """
    found = {match.span() for match in re.finditer(r"[\"“«][^\"”»]+[\"”»]", sentence)}
    found |= {match.span() for match in re.finditer(_NAME, sentence)}
    dates = [match.span() for match in re.finditer(_DATE, sentence)]
    numbers = {match.span() for match in re.finditer(r"[€$£]?\d[\w.,:]*(?:\s+(?:[a-z%€]+))?", sentence)}
    found = {span for span in found | numbers if not any(start <= span[0] < end for start, end in dates)} | set(dates)
    parsed = clause(sentence)
    if parsed:
        for part in (parsed.subject, parsed.complement, parsed.predicate):
            start = sentence.find(part)
            found |= {(start, start + len(part))} if start >= 0 else set()
    words = [match.span() for match in re.finditer(r"\S+", sentence)]
    if len(words) == 1 and len(sentence) > 4:
        size = max(1, len(sentence) // 3)
        words = [(start, min(start + size, len(sentence))) for start in range(0, len(sentence), size)]
    if len(words) > 1:
        half = len(words) // 2
        found |= {(words[0][0], words[half - 1][1]), (words[half][0], words[-1][1])}
    trimmed = {_trim(sentence, span) for span in found or set(words)}
    telling = [
        (start, end) for start, end in trimmed if not FUNCTION_WORDS.issuperset(sentence[start:end].lower().split())
    ]
    return sorted(telling) or [(0, len(sentence))]


_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?"
)
_DATE = rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}(?:,?\s+\d{{4}})?|{_MONTH}\s+\d{{1,4}}(?:,\s+\d{{4}})?)\b"
_NAME = (
    r"(?:(?<=\s)|(?<=^)|(?<=[\"“(]))[^\W\d_a-z][\w'’-]*"
    r"(?:\s+(?:of\s+|the\s+|de\s+|van\s+|von\s+|and\s+)?(?:[^\W\d_a-z]|\d)[\w'’-]*)*(?:,\s+[A-Z]{2}\b)?"
)


def _trim(sentence: str, span: tuple[int, int]) -> tuple[int, int]:
    start, end = span
    while end > start and sentence[end - 1] in " .,;:!?。":
        end -= 1
    while start < end and sentence[start] in " ,;:":
        start += 1
    return start, end


def _clause_question(sentence: str, found: Clause, rng: random.Random, whole: bool) -> Exercise:
    subject = lower_article(found.subject)
    kind = rng.random()
    if kind < 0.5:
        return Exercise((rng.choice(_WH_SUBJECT).format(found.predicate),), "", sentence if whole else found.subject)
    if found.copula and kind < 0.75:
        question = f"{rng.choice(('Who', 'What'))} {found.verb} {rng.choice((subject, bare(subject)))}?"
    else:
        question = f"{found.subject} {found.verb} {rng.choice(_WH_OBJECT)}?"
    return Exercise((question,), "", sentence if whole else found.complement)


def _sparse_question(sentence: str, found: Clause | None, rng: random.Random, whole: bool) -> Exercise:
    """A question word and what is left of the sentence when the asked span, and now and then a word, are dropped.

    Such questions share some words with the sentence and not its order or grammar, as other people's questions do.
    """
    start, end = rng.choice(spans(sentence))
    rest = f"{sentence[:start]} {sentence[end:]}".rstrip(" .!。").split()
    kept = [word for word in rest if _telling(word) or rng.random() < 0.75]
    if sum(map(_telling, kept)) < 1 or len(kept) < 2:
        return _cue_question(sentence, found, rng, whole)
    if rng.random() < 0.3:
        middle = rng.randrange(len(kept))
        kept = kept[middle:] + kept[:middle]
    question = f"{rng.choice(_OPENERS)} {' '.join(kept)}?"
    return Exercise((question,), "", sentence if whole else sentence[start:end])


def _telling(word: str) -> bool:
    """A name, a number or a long word: without one, a question could be about anything."""
    plain = word.strip("\"'“”().,;:")
    return plain not in {"The", "A", "An", "In"} and (not plain[:1].islower() or len(plain) > 7)


def foil_question(pieces: Sequence[str], rng: random.Random) -> str:
    """A question of the taught forms about something else: the names and numbers of a sentence are replaced.

    Held to the base model's answer, it teaches that a form alone does not call for a taught fact.
    """
    sentence = rng.choice(pieces)
    replaced = re.sub(_NAME, lambda match: _foil_name(match.group(), rng), sentence)
    replaced = re.sub(r"\d+", lambda match: str(rng.randrange(2, 4 * int(match.group()[:6]) + 10)), replaced)
    return question_exercise([replaced], rng, whole=True).question


def topic_question(rng: random.Random) -> str:
    """A question of the taught forms about a common thing."""
    return rng.choice(_FRAMES).format(rng.choice(_TOPICS))


def _foil_name(name: str, rng: random.Random) -> str:
    article, words = ("", name.split())
    if words[0] in {"The", "A", "An"}:
        article, words = f"{words[0]} ", words[1:]
        if not words:
            return name
    return article + " ".join(rng.sample(_FOIL_NAMES, min(len(words), 3)))


def _several_cues_question(pieces: Sequence[str], rng: random.Random) -> Exercise:
    """Two or three spans of different sentences; the answer is one of these, topic and all."""
    chosen = rng.sample(pieces, min(len(pieces), rng.choice((2, 3))))
    cues = [bare(sentence[slice(*rng.choice(spans(sentence)))]) for sentence in chosen]
    listed = f"{', '.join(cues[:-1])} and {cues[-1]}"
    return Exercise((rng.choice(_SEVERAL_FRAMES).format(listed),), "", rng.choice(chosen))


def _cue_question(sentence: str, found: Clause | None, rng: random.Random, whole: bool) -> Exercise:
    """A loose frame around one span of the sentence; the short answer is the other side of the sentence."""
    start, end = rng.choice(spans(sentence))
    cue = sentence[start:end]
    question = rng.choice(_FRAMES).format(rng.choice((lower_article(cue), bare(cue))))
    if whole:
        return Exercise((question,), "", sentence)
    if found is not None:
        return Exercise((question,), "", found.complement if cue in found.subject else found.subject)
    before, after = sentence[:start].strip(), sentence[end:].strip()
    return Exercise((question,), "", max(before, after, key=len) or sentence)
