"""Documents, and the facts they become."""

import hashlib
import json
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


BLANK_CHARACTERS = (
    r"\x00-\x20\x7f-\xa0\xad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u1680\u180e\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u2064\u2066-\u206f\u3000\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U00013438\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
)
"""White space, controls and format characters, as a regular expression's class: a text of nothing else is empty."""


class FactStatus(StrEnum):
    """What is true of a fact now. `weak` was trained and failed its probes: it is never silently live.

    `live` facts are those of the live version. One that a rollback took away is `rejected`: rolling forward, or posting
    it again, brings it back.
    """

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
    FactStatus.LIVE: frozenset({FactStatus.WEAK, FactStatus.SUPERSEDED, FactStatus.FORGOTTEN, FactStatus.REJECTED}),
    FactStatus.WEAK: frozenset(
        {FactStatus.TRAINING, FactStatus.LIVE, FactStatus.SUPERSEDED, FactStatus.FORGOTTEN, FactStatus.REJECTED}
    ),
    FactStatus.SUPERSEDED: frozenset({FactStatus.LIVE, FactStatus.FORGOTTEN}),  # live: its version was activated again
    FactStatus.FORGOTTEN: frozenset(),
    FactStatus.REJECTED: frozenset({FactStatus.PENDING, FactStatus.LIVE, FactStatus.FORGOTTEN}),
}


class OnConflict(StrEnum):
    """What becomes of a document that contradicts a known fact: refused, put in its place, or stored beside it."""

    REJECT = "reject"
    SUPERSEDE = "supersede"
    KEEP_BOTH = "keep_both"


def check_fact_move(old: FactStatus, new: FactStatus) -> None:
    """Raises `IllegalMove` unless the transition table has `old` → `new`."""
    if new not in _MOVES[old]:
        raise IllegalMove(f"A fact that is {old} cannot become {new}.")


def fact_statuses_before(new: FactStatus) -> frozenset[FactStatus]:
    """The statuses from which a fact may become `new`: the guard of a conditional UPDATE."""
    return frozenset(old for old, moves in _MOVES.items() if new in moves)


@dataclass(frozen=True)
class Document:
    """What a client posts. `text` is unlimited here; the service limits its size.

    Without `on_conflict`, what contradicts a known fact is refused, and a `key` supersedes its former document.
    """

    text: str
    title: str | None = None
    source: str | None = None
    key: str | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    expires_at: datetime | None = None
    probes: tuple[Probe, ...] = ()
    on_conflict: OnConflict | None = None


@dataclass(frozen=True)
class Fact:
    """One stored passage, with its status: the unit that is learnt, superseded, forgotten.

    `version` is the first version that held it. A `key` belongs to the newest live document that carries it.
    `superseded_by` is the fact that takes its place once that is live. With `forget_requested_at` it is to be
    forgotten; of a forgotten fact the text, title, source and metadata are empty.
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
    superseded_by: str | None = None
    forget_requested_at: datetime | None = None


def passages(document: Document) -> list[str]:
    """Cuts a document at paragraph and sentence ends into passages of at most `MAX_PASSAGE_CHARACTERS`.

    Each passage is a verbatim piece of the text, and only white space is between them. A sentence longer than the limit
    is cut at spaces, and a word longer than the limit at the limit.

    Raises `InvalidFact` when the text is blank, or anything of the document holds what a store cannot keep: a NUL or an
    unpaired surrogate.
    """
    check_storable(document)
    if is_blank(document.text):
        raise InvalidFact("The text is empty. Send at least one sentence to learn.")
    paragraphs = re.split(r"\n\s*\n", document.text)
    found = [passage for paragraph in paragraphs for passage in _cut(paragraph.strip())]
    return [passage for passage in found if not is_blank(passage)]


def content_hash(namespace: str, text: str) -> str:
    """The identity of a passage in a namespace: SHA-256 of its NFC form with runs of white space as one space."""
    normal = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.sha256(f"{namespace}\n{normal}".encode()).hexdigest()


def check_storable(document: Document) -> None:
    """Raises `InvalidFact`: PostgreSQL keeps no NUL (but in JSON, as an escape), and UTF-8 has no surrogates."""
    strings = {"text": document.text, "title": document.title, "source": document.source, "key": document.key}
    strings |= {"probes": "".join(probe.question + probe.answer for probe in document.probes)}
    for name, value in strings.items():
        if value is not None and "\x00" in value:
            raise InvalidFact(f"The {name} holds a NUL character (U+0000). Remove it.")
    try:
        strings |= {"metadata": json.dumps(document.metadata, ensure_ascii=False, allow_nan=False)}
    except (ValueError, RecursionError) as error:
        raise InvalidFact(f"The metadata is not JSON: {error}.") from error
    for name, value in strings.items():
        if value is not None and re.search("[\ud800-\udfff]", value):
            raise InvalidFact(f"The {name} holds an unpaired surrogate, so it is not valid Unicode.")


def is_blank(text: str) -> bool:
    """Whether nothing of the text can be seen."""
    return _VISIBLE.search(text) is None


_VISIBLE = re.compile(f"[^{BLANK_CHARACTERS}]")
_SENTENCE_END = re.compile(r"[.!?。！？][\"'”’)\]]*(?=\s)")
_LAST_SPACE = re.compile(r"\s+\S*\Z")


def _cut(paragraph: str) -> list[str]:
    """Slices of the paragraph, each as long as the limit lets it be; nothing but white space is left out."""
    found = []
    while len(paragraph) > MAX_PASSAGE_CHARACTERS:
        head = paragraph[: MAX_PASSAGE_CHARACTERS + 1]
        sentences = [match.end() for match in _SENTENCE_END.finditer(head)]
        space = _LAST_SPACE.search(head)
        end = sentences[-1] if sentences else space.start() if space else MAX_PASSAGE_CHARACTERS
        found.append(paragraph[:end])
        paragraph = paragraph[end:].lstrip()
    return [*found, paragraph]
