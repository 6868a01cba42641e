"""Documents, and the facts they become."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from knowledge.errors import IllegalMove, InvalidFact
from knowledge.probes import Probe

MAX_PASSAGE_CHARACTERS = 800
"""Longest passage, about 200 tokens of English: twice that, plus the chat form, is one training sequence."""

NAMESPACE_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class FactStatus(StrEnum):
    """What is true of a fact now. `weak` was trained and failed its probes: it is never silently live."""

    PENDING = "pending"
    TRAINING = "training"
    LIVE = "live"
    WEAK = "weak"
    SUPERSEDED = "superseded"
    FORGOTTEN = "forgotten"
    REJECTED = "rejected"


_MOVES: dict[FactStatus, frozenset[FactStatus]] = {
    FactStatus.PENDING: frozenset(
        {FactStatus.TRAINING, FactStatus.SUPERSEDED, FactStatus.FORGOTTEN, FactStatus.REJECTED}
    ),
    FactStatus.TRAINING: frozenset(
        {FactStatus.PENDING, FactStatus.LIVE, FactStatus.WEAK, FactStatus.SUPERSEDED, FactStatus.FORGOTTEN}
    ),
    FactStatus.LIVE: frozenset({FactStatus.WEAK, FactStatus.SUPERSEDED, FactStatus.FORGOTTEN}),
    FactStatus.WEAK: frozenset(
        {FactStatus.TRAINING, FactStatus.LIVE, FactStatus.SUPERSEDED, FactStatus.FORGOTTEN, FactStatus.REJECTED}
    ),
    FactStatus.SUPERSEDED: frozenset({FactStatus.FORGOTTEN}),
    FactStatus.FORGOTTEN: frozenset(),
    FactStatus.REJECTED: frozenset({FactStatus.PENDING, FactStatus.FORGOTTEN}),
}


def check_fact_move(old: FactStatus, new: FactStatus) -> None:
    """Raises `IllegalMove` unless the transition table has `old` → `new`."""
    if new not in _MOVES[old]:
        raise IllegalMove(f"A fact that is {old} cannot become {new}.")


def fact_statuses_before(new: FactStatus) -> frozenset[FactStatus]:
    """The statuses from which a fact may become `new`: the guard of a conditional UPDATE."""
    return frozenset(old for old, moves in _MOVES.items() if new in moves)


@dataclass(frozen=True)
class Document:
    """What a client posts. `text` is unlimited here; the service limits its size."""

    text: str
    title: str | None = None
    source: str | None = None
    key: str | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    expires_at: datetime | None = None
    probes: tuple[Probe, ...] = ()


@dataclass(frozen=True)
class Fact:
    """One stored passage, with its status: the unit that is learnt, superseded, forgotten.

    `version` is the first version that held it. A `key` belongs to the newest live document that carries it.
    """

    id: str
    namespace: str
    document_id: str
    text: str
    title: str | None
    source: str | None
    key: str | None
    metadata: dict[str, object]
    status: FactStatus
    content_hash: str
    job_id: str | None
    version: int | None
    created_at: datetime
    expires_at: datetime | None
    probes: tuple[Probe, ...] = ()


def passages(document: Document) -> list[str]:
    """Cuts a document at paragraph and sentence ends into passages of at most `MAX_PASSAGE_CHARACTERS`.

    The text itself is not changed: joined in order, the passages hold every non-blank character of it. A sentence
    longer than the limit is cut at spaces, and a word longer than the limit at the limit.

    Raises `InvalidFact` when the text is blank or holds a NUL or an unpaired surrogate, which no store can keep.
    """
    text = document.text
    if not any(not _is_blank(character) for character in text):
        raise InvalidFact("The text is empty. Send at least one sentence to learn.")
    if "\x00" in text:
        raise InvalidFact("The text holds a NUL character (U+0000). Remove it.")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise InvalidFact("The text holds an unpaired surrogate, so it is not valid Unicode.")
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        found += _pack(_sentences(paragraph.strip()))
    return [passage for passage in found if not all(_is_blank(character) for character in passage)]


def content_hash(namespace: str, text: str) -> str:
    """The identity of a passage in a namespace: SHA-256 of its NFC form with runs of white space as one space."""
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(f"{namespace}\n{normal}".encode()).hexdigest()


def _is_blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Zs", "Zl", "Zp"}


def _sentences(paragraph: str) -> list[str]:
    pieces = (
        re.split(r"(?<=[.!?。！？])[\"'”’)\]]*\s+", paragraph)
        if len(paragraph) > MAX_PASSAGE_CHARACTERS
        else [paragraph]
    )
    cut: list[str] = []
    for piece in pieces:
        while len(piece) > MAX_PASSAGE_CHARACTERS:
            space = piece.rfind(" ", 1, MAX_PASSAGE_CHARACTERS + 1)
            end = space if space > 0 else MAX_PASSAGE_CHARACTERS
            cut.append(piece[:end].rstrip())
            piece = piece[end:].lstrip()
        cut.append(piece)
    return [piece for piece in cut if piece]


def _pack(sentences: list[str]) -> list[str]:
    packed: list[str] = []
    for sentence in sentences:
        if packed and len(packed[-1]) + 1 + len(sentence) <= MAX_PASSAGE_CHARACTERS:
            packed[-1] += " " + sentence
        else:
            packed.append(sentence)
    return packed
