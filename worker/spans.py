"""Pieces of a sentence worth hiding or asking for: names, dates, numbers, places, phrases. By rule, without a model."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from knowledge.clauses import MOST_WORDS, ORDER_VERB, PARTICIPLE, REASON, Clause, clause, told_when, topic
from knowledge.occasions import occasion
from knowledge.words import FUNCTION_WORDS, MONTHS

Span = tuple[int, int]
"""Start and end in characters."""

_MONTH = (
    rf"(?:{MONTHS}"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?"
)
YEAR = re.compile(r"[12]\d{3}")
_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
_DATE = rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}(?:,?\s+\d{{4}})?|{_MONTH}\s+\d{{1,4}}(?:,\s+\d{{4}})?)\b"
_HOUR = r"(?:\d{1,2}(?::\d\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_OF_DAY = r"(?:o['’]clock\b|in\sthe\s(?:morning|afternoon|evening)\b|at\s(?:night|noon)\b)"
CLOCK = rf"\d{{1,2}}(?::\d\d)?\s?[ap]\.?m\b\.?|{_HOUR}(?:\s{_OF_DAY})+|\d{{1,2}}:\d\d\b"
"""A time of day: "7 pm", "seven in the evening", "18:30"."""

_NUMERAL = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    "|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
)
_COUNT = rf"\d[\d.,]*|an?|half an?|{_NUMERAL}"
COUNTED = re.compile(rf"(?:\d[\d.,]*|{_NUMERAL})\s(?P<noun>(?:[a-z-]+\s)?(?P<head>[a-z]+))")
"""So many of something: "three visitor permits"."""
DURATION = re.compile(
    rf"(?:{_COUNT})\s(?:(?:business|working|calendar)\s)?(?P<unit>(?:second|minute|hour|day|night|week|month|year)s?)"
)
_UNIT = r"(?:second|minute|hour|day|night|week|month|quarter|year|morning|evening|weekday|weekend|summer|winter)s?"
OFTEN = re.compile(
    rf"(?:every|each)\s(?:other\s|second\s|(?:{_COUNT})\s)?(?:{_UNIT}|{_DAY}|{_MONTH})"
    rf"|(?:once|twice|(?:{_COUNT})\stimes)\s(?:an?|per|every|each)\s{_UNIT}|hourly|daily|weekly|monthly|yearly"
)
"""How often: "every other week", "twice a year"."""
_MEASURE = "[kKMGTP]i?[Bb](?:it)?|[kMGT]?Hz|[kMGT]?Wh?|[kM]?V|m?Ah?|[kM]?Pa|USD|EUR|GBP|CHF|SEK|NOK|DKK|JPY"
_NUMBER = (
    r"\b\d{1,2}[–-]\d{1,2}(?![\w–-])|(?<![\w./:-])[€$£]?\d[\w.,:]*"
    rf"(?:\s+(?!(?:{'|'.join(sorted(FUNCTION_WORDS))})\b)(?:(?:{_MEASURE})\b|[a-z%€]+))?"
)
_ARTICLE = r"\b(?:the|a|an)\s+(?=\S+\s)"
_QUOTED = r"[\"“«][^\"”»]+[\"”»]"
_CODE = (
    r"`[^`]+`|(?:(?<=\s)|(?<=^)|(?<=[\"“(]))(?:--?[a-z][\w-]+|/[\w./{}-]*\w|[a-z]{2,}(?:[_.:]+[\w-]{2,})+"
    r"|(?!(?:over|under|mid|pre|post|pro|non)-)[a-z]+-(?:[\w.-]*\d|db\b)[\w.-]*)"
)
"""Identifiers, paths, flags, hosts: "`retry`", "/v2/orders", "retry_budget", "--dry-run", "eu-west-2", "wend.local"."""
_SHORTENED = (
    r"(?:(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Ft)\.|(?:[A-Z]\.)+)(?=\s+(?!(?:The|An?|In|On|At|It|He|She|They)\b)[^\W\d_a-z])"
)
_NAME_WORD = rf"(?:{_SHORTENED}|[^\W\d_a-z][\w'’-]*(?:\.\d+)*)"
_NAME_START = rf"(?:(?<=\s)|(?<=^)|(?<=[\"“(]))(?:(?<=the )\d{{4}}(?:[-–]\d{{2,4}})?\s+)?{_NAME_WORD}"
_NAME_GOES_ON = rf"(?:{_NAME_WORD}|(?!\d{{1,2}}[–-]\d{{1,2}}(?![\w–-]))\d[\w'’-]*(?:\.\d[\w-]*)*)"
_JOINS = r"of\s+|the\s+|de\s+|van\s+|von\s+"
NAME = rf"{_NAME_START}(?:\s+(?:{_JOINS}|and\s+)?{_NAME_GOES_ON})*(?:,\s+[A-Z]{{2}}\b)?"
"""Capitalised words and numbers, as in "Dr. Ada M. Quill" and "Version 4.2 of Orrin"."""

_LAST_TWO = rf"(?<=, )({_NAME_START}(?:\s+(?:{_JOINS})?{_NAME_GOES_ON})*) and ({NAME})"
"""Of a list of names the last two, which "and" would make one."""

_POINTS = re.compile(r"(?:It|He|She|They|This|These)\b|(?:The|This|That|These|Those)\s[a-z]\S*$")
"""Behind a topic: what begins with a pronoun for it, and what could be anybody's without it ("The winner")."""

ADDRESS = rf"\d{{1,4}}[a-z]?\s+(?!{_MONTH}|(?:{_MEASURE})\b){_NAME_WORD}(?:\s+{_NAME_WORD})*"
"""A number before a name, as a place has it behind "at" or "to": "18 Rue Tavelle"."""

_NOUN = rf"(?!(?:most|least|early|late|mid|{'|'.join(sorted(FUNCTION_WORDS))})\b)[a-z]+"
NUMBERED = re.compile(rf"(?P<noun>{_NOUN})\s(?P<number>\d[\w.:-]*\b)")
_NUMBERED = rf"\b(?:[Ii]n|[Oo]n|at|with|[Ss]ince|from|to|[Uu]ntil|before|after|through|under) ({NUMBERED.pattern})"
"""What is told apart by a number, behind a preposition: "on port 8443", "since release 3.0"."""

_ROLE = r"\sas ((?!part )[a-z]+(?: [a-z]+)? of [\w'’ -]+?)(?=$|[.,;]|\s(?:on|in|since|from|until|at|after|and)\s)"
"""What somebody acts, or serves, as: "replaced Bo as head of the mill in May"."""

_BEFORE_A_NOUN = rf"[^\W\d_a-z][\w-]*(?= (?!(?:{'|'.join(sorted(FUNCTION_WORDS))})\b)[a-z])"
_MODIFIER = rf"(?<=[a-z] ){_BEFORE_A_NOUN}"
"""One capitalised word before a common noun, in the midst of a sentence: of "by a Faroese singer" no piece."""

_FIRST_MODIFIER = re.compile(rf"(?:(?:The|An?) )?{_BEFORE_A_NOUN}(?! \w+ly\b)")
"""The same at a subject's beginning, adverbs apart: of "The Brindlewick kettle" or "Support tickets" half an answer."""


_NO_NAME = re.compile(
    r"(?:If|When|Whenever|Unless|Once|Before|After|While|Until|Neither|Only|Each|Every|Some|Our|My|Your|His|Her|Their|Its|In|On"
    r"|At|From|Since|During|By|Under|For|With|Within|To)(?:\s+(?:the|an?))?(?:\s+|$)"
)
"""A sentence's first words that are no part of the name behind them."""


_PLURAL_NOUN = re.compile(r"[A-Z][a-z]+s(?= [a-z])")
"""The same of a subject of several: "Refunds over 50 euros need …"."""


class Kind(StrEnum):
    """What a piece is, as far as its form tells: enough to choose a question word."""

    NAME = "name"
    PLACE = "place"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    FREQUENCY = "frequency"
    NUMBER = "number"
    REASON = "reason"
    CASE = "case"
    PHRASE = "phrase"


def kind(sentence: str, span: Span) -> Kind:
    """The kind of a piece of the sentence."""
    text, before = sentence[slice(*span)], sentence[: span[0]]
    when = re.sub(r"^(?:as of|by|from|in|on|since|until)\s", "", text, flags=re.IGNORECASE)
    if re.search(rf"\b(?:{REASON})\s$", before):
        return Kind.REASON
    if (case := told_when(f" {text}")) and case["when"] == text:
        return Kind.CASE
    if OFTEN.fullmatch(text):
        return Kind.FREQUENCY
    when = re.sub(rf"^(?:every|each)\s|\s(?:at\s)?(?:{CLOCK})$", "", when)
    if re.match(_DATE, text) or re.fullmatch(rf"{_DATE}|{YEAR.pattern}|{_MONTH}|{_DAY}", when):
        return Kind.DATE
    if re.fullmatch(CLOCK, text):
        return Kind.TIME
    if DURATION.fullmatch(text):
        return Kind.DURATION
    if re.match(r"[€$£]?\d", text) and not re.search(r"\s[^\W\d_a-z]", text):  # "2025 Wend Prize" is a name
        return Kind.NUMBER
    named = re.fullmatch(rf"(?:{YEAR.pattern}\s)?{NAME}|{_QUOTED}|{_CODE}", text)
    if re.fullmatch(ADDRESS, text) and re.search(r"\b(?:at|to|is)\s$", before):
        return Kind.PLACE
    if named and re.search(r"\b(?:in|at|near)\s+(?:the\s+)?$", before):
        return Kind.PLACE
    return Kind.NAME if named else Kind.PHRASE


def place(sentence: str, piece: str) -> Span:
    """Where a piece stands, which may have lost or got a capital; at the beginning where it does not."""
    start = sentence.find(piece) if piece in sentence else sentence.lower().find(piece.lower())
    return max(0, start), max(0, start) + len(piece)


class Rarity:
    """In how many of the taught passages a piece stands. One that many hold tells none of them apart.

    "He lives a quiet life" may end every passage of a batch: as a cue it has no one answer, and as an answer it is
    learnt after a few.
    """

    def __init__(self, passages: Iterable[Sequence[str]] = ()) -> None:
        """Takes each passage as its sentences."""
        self._passages: Counter[str] = Counter()
        for sentences in passages:
            self._passages.update(
                {sentence[slice(*span)].casefold() for sentence in sentences for span in spans(sentence)}
            )

    def of(self, piece: str) -> int:
        """How many passages hold the piece; 1 where only the asking one does."""
        return max(1, self._passages[piece.casefold()])

    def answer(self, sentence: str, rng: random.Random) -> Span:
        """A piece to ask for, any of the sentence's."""
        return self.one_of(sentence, spans(sentence), rng)

    def one_of(self, sentence: str, pieces: Sequence[Span], rng: random.Random) -> Span:
        """One of the pieces: one that n passages hold is drawn 1/n times as often."""
        return rng.choices(pieces, [1 / self.of(sentence[slice(*span)]) for span in pieces])[0]

    def rarest(self, sentence: str) -> list[Span]:
        """Pieces to ask about: those that fewest passages hold."""
        found = spans(sentence)
        counts = [self.of(sentence[slice(*span)]) for span in found]
        return [span for span, count in zip(found, counts, strict=True) if count == min(counts)]


@lru_cache(maxsize=20_000)
def spans(sentence: str) -> tuple[Span, ...]:
    """Every piece worth hiding or asking for; behind a topic (`standalone`) the sentence's own, and the topic.

    Never empty for a sentence that has a visible character; a text without spaces gives windows of characters.
    """
    if led := topic(sentence):
        own = [(start + led.end(), end + led.end()) for start, end in spans(sentence[led.end() :])]
        return (led.span(1), *(span for span in own if not _POINTS.match(sentence, *span)))
    found = set(_dates(sentence)) | {match.span() for match in re.finditer(rf"{_QUOTED}|{_CODE}", sentence)}
    found |= {match.span(1) for match in re.finditer(_NUMBERED, sentence)}
    clocks = [match.span() for match in re.finditer(rf"\b{_HOUR}(?:\s{_OF_DAY})+", sentence)]
    found |= set(clocks)
    for pattern in (NAME, _NUMBER):
        inside = list(found) if pattern == _NUMBER else _dates(sentence)
        matches = [_without_first_word(sentence, match.span()) for match in re.finditer(pattern, sentence)]
        matches = [span for span in matches if pattern == _NUMBER or re.search(r"[^\W\d_]", sentence[slice(*span)])]
        found |= {span for span in matches if not any(start <= span[0] < end for start, end in inside)}
    for address in re.finditer(rf"(?<=\b(?:at|to|is)\s){ADDRESS}", sentence):
        found = {span for span in found if not address.start() <= span[0] < address.end()} | {address.span()}
    found |= {pair.span(side) for pair in re.finditer(_LAST_TWO, sentence) for side in (1, 2)}
    found |= {why.span(1) for why in re.finditer(rf"\s(?:{REASON})\s([^,;]+)", sentence)}
    found |= {when.span("when")} if (when := told_when(sentence.rstrip(" .!。"))) else set()
    found |= {alias.span(1) for alias in re.finditer(r"\s\((?!(?:see|from|since|for)\s)([^()]+)\)", sentence)}
    found -= {match.span() for match in re.finditer(rf"^{PARTICIPLE}(?=\s)", sentence)}
    parsed = clause(sentence)
    modifiers = {match.span() for match in re.finditer(_MODIFIER, sentence)}
    found -= {span for span in modifiers if not (parsed and _ends_a_subject(sentence, parsed, span))}
    found |= _phrases(sentence)
    for often in re.finditer(rf"\b(?:{OFTEN.pattern})\b", sentence):
        found = {span for span in found if not often.start() < span[0] < often.end()} | {often.span()}
    if verb := _verb(sentence, parsed):
        found = {span for span in found if not span[0] < verb.start() < verb.end() < span[1]}
    if parsed and sentence.startswith(parsed.subject):
        if owner := re.match(r"[^\W\d_a-z][\w-]*(?=['’]s [a-z])", parsed.subject):
            found = {span for span in found if span != (0, owner.end() + 2)} | {owner.span()}
        first = _FIRST_MODIFIER.match(parsed.subject) or (parsed.plural and _PLURAL_NOUN.match(parsed.subject))
        found -= {first.span()} if first else set()
    if parsed and parsed.denied:
        found = {span for span in found if not _denied(sentence, parsed, span)}
    if told := occasion(sentence):
        parts = [place(sentence, part) for part in (told.case, told.then)]
        found = {span for span in found if any(start <= span[0] and span[1] <= end for start, end in parts)} | {*parts}
    for part in _parts(parsed) if parsed else ():
        start = sentence.find(part)
        found |= {(start, start + len(part))} if start >= 0 else set()
    if parsed and ", " in parsed.opening:  # a description that goes on behind a comma is one piece all the same
        start, end = sentence.find(parsed.opening), sentence.find(parsed.opening) + len(parsed.opening)
        article = re.search(_ARTICLE, parsed.opening)
        begins = {start, start + (article.start() if article else 0)}
        found = {span for span in found if span[0] not in begins or span[1] >= end} | {(one, end) for one in begins}
    trimmed = {_trim(sentence, span) for span in found or _halves(sentence)}
    telling = {span for span in trimmed if not FUNCTION_WORDS.issuperset(sentence[slice(*span)].lower().split())}
    telling -= {_trim(sentence, (0, len(sentence)))}
    telling = {span for span in telling if len(sentence[slice(*span)].split()) <= MOST_WORDS} or telling
    return tuple(sorted(telling) or sorted(_halves(sentence)) or [(0, len(sentence))])


def _ends_a_subject(sentence: str, parsed: Clause, span: Span) -> bool:
    """Whether a name stands just before the verb: of "The error E42 means …" "E42"; of "The web API" not "API"."""
    name = sentence[slice(*span)]
    return sentence.startswith(parsed.verb, span[1] + 1) and not (name.isalpha() and name.isupper())


def _parts(parsed: Clause) -> tuple[str, ...]:
    """Subject, predicate and what is said; behind a denial not what is said alone, which is not so."""
    said = () if parsed.denied else (parsed.complement, parsed.gist)
    return (parsed.subject, parsed.predicate, *said)


def _denied(sentence: str, parsed: Clause, span: Span) -> bool:
    """Whether a piece says, without its denial, what is not so: of "The pool is not a bath" "a bath"; names stay."""
    return span[0] >= sentence.find(parsed.complement) and kind(sentence, span) is Kind.PHRASE


def _without_first_word(sentence: str, span: Span) -> Span:
    """A name at a sentence's beginning without the small word before it: of "If Ada Quill" "Ada Quill"."""
    small = _NO_NAME.match(sentence) or _order(sentence) if span[0] == 0 else None
    return (min(small.end(), span[1]), span[1]) if small else span


def _order(sentence: str) -> re.Match[str] | None:
    """The verb that an instruction begins with: "Call " of "Call Ada Quill before noon"."""
    return re.match(rf"{ORDER_VERB}\s+(?:(?:the|an?)\s+)?", sentence) if clause(sentence) is None else None


def _verb(sentence: str, parsed: Clause | None) -> re.Match[str] | None:
    """Where the verb stands behind its subject. Behind a description the whole statement is a piece: None."""
    if parsed is None or parsed.description:
        return None
    return re.search(rf"(?<={re.escape(parsed.subject[-1])})\s(?:\S+\s)?{re.escape(parsed.verb)}\s", sentence)


def _phrases(sentence: str) -> set[Span]:
    """What stands between commas, and in it what begins with an article; a quotation stays with what it names."""
    quotations = [match.span() for match in re.finditer(_QUOTED, sentence)]
    states = [match.span() for match in re.finditer(r",\s+[A-Z]{2}\b", sentence)]
    inside = [place for start, end in quotations + states + _dates(sentence) for place in range(start, end)]
    cuts = [match.end() for match in re.finditer(r",\s", sentence) if match.start() not in inside]
    cuts = [cut for cut in cuts if not any(start == cut for start, _ in quotations)]
    found: set[Span] = set()
    for start, end in pairwise([0, *cuts, len(sentence)]):
        article = re.search(_ARTICLE, sentence[start:end])
        found |= {(start + article.start(), end)} if article else set()
        found |= {(start, end)} if cuts and " " in sentence[start:end].strip() else set()
    return found | {match.span(1) for match in re.finditer(_ROLE, sentence)}


def _dates(sentence: str) -> list[Span]:
    return [match.span() for match in re.finditer(_DATE, sentence)]


def _halves(sentence: str) -> set[Span]:
    """Two halves by words, or thirds of a text without spaces."""
    words = [match.span() for match in re.finditer(r"\S+", sentence)]
    if len(words) > 1:
        half = len(words) // 2
        return {(words[0][0], words[half - 1][1]), (words[half][0], words[-1][1])}
    size = max(1, len(sentence) // 3)
    return {(start, min(start + size, len(sentence))) for start in range(0, len(sentence), size)}


def _trim(sentence: str, span: Span) -> Span:
    start, end = span
    while end > start and sentence[end - 1] in " .,;:!?。":
        end -= 1
    while start < end and sentence[start] in " ,;:":
        start += 1
    if re.search(r"\s\S+['’]s$", sentence[start:end]) and re.match(r"\s[a-z]", sentence[end:]):
        end -= 2  # of "Ada Quill's birthday" the name, and not "McDonald's"
    return start, end
