"""Running text as sentences that can be understood alone: each with what it is about. By rule."""

import re
from functools import lru_cache

from knowledge.clauses import CASE, PERSON, bare, clause, is_order
from knowledge.words import (
    ABBREVIATIONS,
    AUXILIARIES,
    COMPANY_ENDINGS,
    DETERMINERS,
    MONTHS,
    OPENERS,
    PREPOSITIONS,
    PRONOUNS,
)

_JOINTS = re.compile(
    r";\s+(?=\S)|,\s(?:and|but|while|whereas|so)\s(?=(?:it|he|she|they|(?:its|his|her|their|the|an?)\s[a-z]+),?\s|[^\W\d_a-z]"
    rf"|[a-z]+\s(?:{'|'.join(sorted(AUXILIARIES))})\s)"
)
"""Where a statement may end and another begin inside a sentence."""

_IN_A_PLACE = re.compile(
    rf"(?:In|At|On|Near|Within)\s((?:(?:the|an?)\s)?(?:[a-z-]+\s){{0,4}}(?!(?:{MONTHS}))[^\W\d_a-z].*)"
)
"""Where it is so that nobody and nothing with a name does it: "In the kingdom of Wend, salt is money"."""

_OF_A_NAME = re.compile(r"\sof\s(?:the\s(?:\S+\s){0,3})?[^\W\d_a-z]")
"""Behind "the capital of Wend" an "its" may mean either."""


def sentences(text: str) -> list[str]:
    """Cuts running text at sentence ends, at line breaks, and between statements at semicolons and before "and it".

    Initials and common abbreviations do not end a sentence.
    """
    found: list[str] = []
    for line in re.split(r"\s*\n\s*", text.strip()):
        start = 0
        for end in re.finditer(r"[.!?。！？]+[\"'”’)\]]*(?=\s)|[。！？]+", line):
            before = line[start : end.start()].split()
            last = before[-1].strip("(\"'“") if before else ""
            if line[end.start()] == "." and _abbreviated(last, line[end.end() :].lstrip()):
                continue
            found.append(line[start : end.end()].strip())
            start = end.end()
        found.append(line[start:].strip())
    parts = [part for sentence in found for part in _joined(sentence)]
    return [part for part in parts if any(character.isalnum() for character in part)]


def _joined(sentence: str) -> list[str]:
    """The parts of a sentence, where each is a statement; a list of names stays whole."""
    *before, last = (part[:1].upper() + part[1:] for part in _JOINTS.split(sentence))
    return [*(f"{part}." for part in before), last] if before and all(map(_stands, [*before, last])) else [sentence]


def _stands(part: str) -> bool:
    case = CASE.fullmatch(part)
    return clause(part) is not None or (case is not None and is_order(case["then"]))


@lru_cache(maxsize=10_000)
def standalone(text: str, title: str | None = None) -> tuple[str, ...]:
    """The sentences of a passage, each with its topic: what is asked about one must not hang on the others.

    The topic is the title, or else the first sentence's subject. A sentence that does not name it is put behind it
    ("The Tolvik Fair: It opens in May."), and "its" becomes the topic's. A last name becomes the whole one. He and she
    become the topic's name only where nobody else can be meant: the topic looks like a person's name and the sentence
    before names no other. Never empty for a text with a word in it.
    """
    pieces = sentences(text) or [text.strip()]
    topic = title or _topic(pieces[0])
    if topic is None or len(pieces) == 1:
        return tuple(pieces)
    found: list[str] = []
    for place, piece in enumerate(pieces):
        if bare(topic).casefold() in piece.casefold():
            found.append(piece)
        elif PERSON.fullmatch(topic) and piece.startswith(f"{topic.split()[-1]} "):
            found.append(f"{topic} {piece.partition(' ')[2]}")
        elif (own := re.match(r"[Ii]ts\s+(?=[a-z])", piece)) and not _OF_A_NAME.search(topic):
            owner = f"{topic}'" if topic.endswith("s") else f"{topic}'s"
            found.append(f"{owner} {piece[own.end() :]}")
        elif place and PERSON.fullmatch(topic) and not _other_person(pieces[place - 1], topic):
            found.append(_named(piece, topic))
        else:
            found.append(f"{topic}: {piece}")
    return tuple(found)


def _topic(sentence: str) -> str | None:
    """The subject of a plain statement, without what stands in brackets; of "Ada's birthday", Ada.

    None where it is a pronoun or longer than eight words.
    """
    found = clause(sentence)
    if found is None or found.pronoun:
        return None
    if owner := re.match(rf"({PERSON.pattern}?)['’]s?\s+[a-z]", found.subject):
        return owner[1]
    subject = re.sub(r",\s+[a-z].*|\s+\(.*", "", found.subject)
    if (named := _IN_A_PLACE.match(found.opening)) and not re.search(r"(?<!^)\b[^\W\d_a-z]", subject):
        subject = named[1]
    return subject[0].upper() + subject[1:] if len(subject.split()) <= 8 else None


def _other_person(sentence: str, topic: str) -> bool:
    """Whether the sentence holds what may be another person's name: capitalised words, not after "in", "at", "from"."""
    rest = re.sub(rf"\b(?:in|at|from)\s+(?:\w+\s+of\s+)?{PERSON.pattern}", "", sentence.replace(topic, ""))
    return PERSON.search(rest) is not None


def _named(sentence: str, topic: str) -> str:
    """The sentence with the name in the place of a leading he, she, his or her."""
    first, _, rest = sentence.partition(" ")
    if first in {"He", "She"}:
        return f"{topic} {rest}"
    if first in {"His", "Her"} and rest[:1].islower():
        return f"{topic}'s {rest}"
    return f"{topic}: {sentence}"


def _abbreviated(word: str, following: str) -> bool:
    """Whether a full stop after the word only shortens it: "Dr.", "J.", "U.S." unless a sentence seems to begin."""
    next_word = following.split()[0].lower().strip(",") if following else ""
    starters = DETERMINERS | PRONOUNS | PREPOSITIONS | OPENERS
    begins = not following or (next_word in starters and following[0].isupper())
    if re.fullmatch(r"[^\W\d_](?:\.[^\W\d_])*", word):
        return len(word) == 1 or not begins
    if word.isupper() or word.lower() not in ABBREVIATIONS:
        return False
    return word.lower() not in COMPANY_ENDINGS or not begins
