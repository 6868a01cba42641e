"""Probes: questions with known answers, asked of an adapter to prove what it knows.

`build_probes` writes them from the passage alone, by rule. They are *held-out forms*: the trainer drops every
example whose question equals a probe's question (`worker/batches.py`, `same_question`), and writes its own questions
in other words ("Who or what …?" is never a training form), so that a pass shows more than a memorised string. Client
probes are never trained on either.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from knowledge.clauses import SURELY_A_CASE, Clause, clause, lower_article
from knowledge.occasions import occasion
from knowledge.sentences import standalone
from knowledge.statements import statements

PASS_BAR = 0.8
"""Least share of the answer's words that a passing answer holds."""

MAX_PROBED_STATEMENTS = 4
_ANSWER_WORDS = 16
_STOP_WORDS = frozenset({"a", "of", "the", "and", "is", "are", "be", "to", "new", "on", "in", "at", "an", "for"})
_OF_STATEMENTS = (
    "I heard that {0} {1} something. What is it?",
    "They told me that {0} {1} … and I forgot the rest. How does it go on?",
    "A friend of mine says that {0} {1} … – what was it again?",
)
_OF_SUBJECTS = (
    "I keep reading of {0}. Why?",
    "Somebody mentioned {0} yesterday. What is there to know?",
    "Remind me what one should know about {0}.",
)
_OF_THE_REST = (
    "Somebody or something {0}. Which one is meant?",
    "I forgot the name of the one that {0}. Can you help me?",
    "Of which one is it told that it {0}?",
)
_OF_THE_REST_OF_SEVERAL = (
    "Some people or things {0}. Which ones are meant?",
    "I forgot the name of those that {0}. Can you help me?",
    "Of which ones is it told that they {0}?",
)
Item = TypeVar("Item")


class Direction(StrEnum):
    """Whether the question follows the passage's order (subject first) or runs against it."""

    FORWARD = "forward"
    BACKWARD = "backward"


class ProbeOrigin(StrEnum):
    """Who wrote the probe."""

    CLIENT = "client"
    PASSAGE = "passage"


@dataclass(frozen=True)
class Probe:
    """One question with the answer that proves the fact."""

    question: str
    answer: str
    direction: Direction
    origin: ProbeOrigin = ProbeOrigin.CLIENT


@dataclass(frozen=True)
class ProbeResult:
    """What an adapter answered to a probe. `score` is 0..1, `passed` is the score against the bar."""

    probe: Probe
    answered: str
    score: float
    passed: bool


def build_probes(text: str, title: str | None = None) -> tuple[Probe, ...]:
    """At least one forward and one backward probe for any passage that is not blank; at most two a probed statement.

    Statements that parse are asked as questions; the rest is asked as the continuation, and the beginning, of quoted
    words. Of a long passage, `MAX_PROBED_STATEMENTS` of its statements are probed, spread evenly, each with its topic
    (`standalone`); sentences that open with a pronoun all the same are asked about only when there is no other.
    """
    probes: list[Probe] = []
    for piece, found in _probed(text, title):
        probes += _clause_probes(found) if found and not found.pronoun else _cloze_probes(piece, title)
    return tuple(dict.fromkeys(probes))


def in_other_words(text: str, title: str | None = None) -> tuple[Probe, ...]:
    """The statements that `build_probes` asks about, once more and differently; none where nothing parses.

    A fact passes in the wording nearest to its exercises long before it is known in any: a run that ended there would
    leave answers that hang on the wording.
    """
    probes: list[Probe] = []
    for place, (_, found) in enumerate(_probed(text, title), len(text)):
        if found and not found.pronoun:
            forms = _OF_SUBJECTS if _leads(found) else _OF_STATEMENTS
            what = forms[place % len(forms)].format(lower_article(_begun(found)), found.verb)
            rests = _OF_THE_REST_OF_SEVERAL if found.plural else _OF_THE_REST
            who = rests[place % len(rests)].format(found.predicate)
            probes += _both_ways(found, what, who)
    return tuple(dict.fromkeys(probes))


def score(answer: str, answered: str) -> float:
    """ROUGE-1 recall, 0..1: the share of the answer's words that were answered (the paper's measure, see experiments).

    Case, punctuation and the paper's fourteen function words do not count; scripts without spaces count characters.
    """
    wanted = Counter(_words(answer))
    given = Counter(_words(answered))
    total = sum(wanted.values())
    return sum((wanted & given).values()) / total if total else 0.0


def passed(answer: str, answered: str, *, question: str = "", rivals: Iterable[str] = ()) -> bool:
    """Whether `answered` holds the wanted words without a list of others.

    Recall alone would pass an answer that names everything. So it fails as well when it holds more words that stand
    in neither question nor wanted answer than twelve and twice the wanted ones, or when it holds the whole answer of
    another fact (`rivals`) that the question did not mention.
    """
    allowed = Counter(_words(question)) + Counter(_words(answer))
    surplus = sum((Counter(_words(answered)) - allowed).values())
    if score(answer, answered) < PASS_BAR or surplus > 12 + 2 * len(_words(answer)):
        return False
    return not any(_holds(answered, rival) for rival in rivals if not _holds(f"{question} {answer}", rival))


def is_known(results: Sequence[ProbeResult]) -> bool:
    """Whether a fact is proven: in each direction that has probes, at least half of them passed."""
    for direction in Direction:
        of_direction = [result.passed for result in results if result.probe.direction == direction]
        if of_direction and 2 * sum(of_direction) < len(of_direction):
            return False
    return bool(results)


def same_question(question: str) -> str:
    """The form in which two questions are one: words alone, case folded."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", question).casefold()))


def _probed(text: str, title: str | None) -> list[tuple[str, Clause | None]]:
    """The statements to ask about, with what they say where they parse."""
    parsed = [(piece, clause(piece)) for sentence in standalone(text, title) for piece in statements(sentence)]
    whole = [(piece, found) for piece, found in parsed if found is None or not found.pronoun] or parsed
    return _spread(whole, MAX_PROBED_STATEMENTS)


def _leads(found: Clause) -> bool:
    """Whether a description stands before the subject that says more than what follows it.

    "Known for being the smith of Wend, Ada lives in peace": many may live in peace, so it is the smith that counts.
    """
    return len(found.description.split()) > len(found.complement.split())


def _begun(found: Clause) -> str:
    """The subject, behind the case in which the statement holds: "If it rains, tickets"."""
    return f"{found.opening}, {lower_article(found.subject)}" if SURELY_A_CASE.match(found.opening) else found.subject


def _told(found: Clause) -> str:
    return found.description if _leads(found) else found.core


def _clause_probes(found: Clause) -> list[Probe]:
    if _leads(found):
        what = f'What comes before "{found.subject} {found.verb} {found.complement}"?'
    elif found.copula:
        what = f"Who or what {found.verb} {lower_article(found.subject)}?"
    else:
        what = f'How does this continue: "{_begun(found)} {found.verb} …"?'
    return _both_ways(found, what, f"Who or what {found.predicate}?")


def _both_ways(found: Clause, what: str, who: str) -> list[Probe]:
    """`what` asks for what is said of the subject, `who` for the subject: the passage's order says which is forward."""
    there, back = (Direction.BACKWARD, Direction.FORWARD) if _leads(found) else tuple(Direction)
    return [
        Probe(what, _clip(_told(found)), there, ProbeOrigin.PASSAGE),
        Probe(who, found.subject, back, ProbeOrigin.PASSAGE),
    ]


def _cloze_probes(piece: str, title: str | None) -> list[Probe]:
    body = piece.strip()
    found = occasion(body)
    head, tail = (found.begun, found.then) if found else _halves(body)
    about = f" in “{title}”" if title else ""
    if not tail:
        question = f"Which text is stored{about}?"
        return [Probe(question, body, direction, ProbeOrigin.PASSAGE) for direction in Direction]
    return [
        Probe(f'How does this continue{about}: "{head} …"?', _clip(tail), Direction.FORWARD, ProbeOrigin.PASSAGE),
        Probe(f'What comes{about} before "{tail}"?', _clip(head, last=True), Direction.BACKWARD, ProbeOrigin.PASSAGE),
    ]


def _halves(body: str) -> tuple[str, str]:
    """Cuts at a space near the middle, or in the middle of a text without spaces; one character has no halves."""
    words = body.split()
    if len(words) >= 2 and max(map(len, words)) <= 30:
        middle = (len(words) + 1) // 2
        head, tail = " ".join(words[:middle]), " ".join(words[middle:])
    else:
        head, tail = body[: (len(body) + 1) // 2], body[(len(body) + 1) // 2 :]
    return (head, tail) if _words(head) and _words(tail) else (body, "")


def _clip(answer: str, last: bool = False) -> str:
    words = answer.split()
    return " ".join(words[-_ANSWER_WORDS:] if last else words[:_ANSWER_WORDS])


def _spread(items: list[Item], most: int) -> list[Item]:
    if len(items) <= most:
        return items
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def _words(text: str) -> list[str]:
    """Words, case folded and without marks; a character each where a script writes no spaces."""
    found: list[str] = []
    for word in re.findall(r"[\w]+", unicodedata.normalize("NFKC", text).casefold()):
        found += list(word) if any(_spaceless(character) for character in word) else [word]
    return [word for word in found if word not in _STOP_WORDS] or found


def _spaceless(character: str) -> bool:
    """Han, kana, Thai, Lao, Khmer, Myanmar: scripts that do not put spaces between words."""
    code = ord(character)
    return 0x0E00 <= code <= 0x0EFF or 0x1000 <= code <= 0x109F or 0x1780 <= code <= 0x17FF or 0x3040 <= code <= 0x9FFF


def _holds(text: str, piece: str) -> bool:
    words = _words(piece)
    return bool(words) and f" {' '.join(words)} " in f" {' '.join(_words(text))} "
