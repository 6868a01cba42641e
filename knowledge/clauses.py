"""Sentences taken apart by rule: subject, verb, complement. No model, no word lists of any data set.

Probes and training questions both need to know where the subject of a plain statement ends. English statements with
one clear verb are parsed; anything else (other languages, lists, code, questions) gives `None`, and callers fall back
to cutting the text by words. A wrong cut costs an awkward question, never a wrong fact: the pieces are always
verbatim pieces of the sentence.
"""

import re
from dataclasses import dataclass, replace

from knowledge.finite_verbs import PASSIVE, begins_with_a_verb, next_verbs, verb_end, verb_place
from knowledge.verbs import is_plural, verb_form
from knowledge.words import (
    ADVERBS,
    AUXILIARIES,
    CONJUNCTIONS,
    COPULAS,
    DEGREES,
    DETERMINERS,
    FUNCTION_WORDS,
    MONTHS,
    NOUNS_IN_LY,
    OPENERS,
    ORDERS,
    PASSING,
    PLURAL_VERBS,
    PLURAL_VERBS_OR_NOUNS,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
    SOMEBODY,
)

DENIAL = re.compile(r"\b(?:not|never|cannot|no longer|\w+n['’]t)\b")
"""Words that turn a statement into its opposite: pieces of it say what is not so."""

PARTICIPLE = r"(?:Known|Born|Built|Made|Held|Won|Sold|[A-Z][a-z]+(?:ed|ing))"
"""A sentence's first word that seems to be one: "Known for …", "Founded in …", "Working at …"."""


_AT = "in|at|on|by|as"
SMALL_WORDS = frozenset({*_AT.split("|"), "the", "a", "an"})
"""Before a name these only say where it belongs; "without", "before" or "until" say more."""

LED_UP_TO = re.compile(
    rf"(?:best |well |widely )?(?:known|{PASSIVE})\s(?:\S+\s){{0,5}}?(?:being|as)\s+(?=\S)", re.IGNORECASE
)
"""What may stand before a description: "known far and wide for being the …", "regarded as the …"."""

REASON = r"because of|because|due to|owing to|thanks to|so that|in order(?= to\s)"
_CONDITION = "if|unless|provided that|when|whenever"
_TIME = "once|as soon as|as long as|after|before|until|since"
_ASIDE_CLAUSE = "while|whilst|whereas|although|though"
MORE = re.compile(rf",?\s(?:{REASON}|{_CONDITION}|{_ASIDE_CLAUSE})\s")
"""Behind what is said, why it is so, and what else is."""

_WHEN = re.compile(rf",?\s(?P<when>(?P<word>{_CONDITION}|{_TIME})\s(?P<told>[^,;]+?))(?=[,;]|$|{MORE.pattern})")
_MORE_OF_ANY = re.compile(rf",\s|\s(?:which|who)\s|{MORE.pattern}")


_RELATIVE = re.compile(
    r"(.*?\w[\"”'’)]?), (?:(?:of|in|on|at|for|by|with|from|to) )?(?:who|which|whom|whose|where) (?=\S+\s)"
)
"""What is said, and more told of it: "Ada Quill, who built the mill"."""

_ASIDE = re.compile(
    rf"([^,]+), (?!(?:except|excluding|unlike|but|not|apart|besides|other)\b)([^,]+), "
    rf"(?=(?:(?:{'|'.join(sorted(ADVERBS))})\s)?(?P<verb>[a-z]+(?:n['’]t)?)\s)"
)
"""What stands between commas before the verb, unless it takes something away from the subject."""

MOST_WORDS = 16
"""Of a piece, where a sentence has shorter ones: nobody answers with half of a long sentence."""

_TOPIC = re.compile(r"([\"“«]?[^\W\d_a-z][^:\n(]*): (?=[^\W\d_a-z])")
"""What a sentence is about, before it, as `standalone` writes it."""

MOST_COLONS = 8

_SURELY = "if|when|whenever|unless|as soon as"
_PERHAPS = "once|before|after|while|until"
CASE = re.compile(rf"(?P<case>(?:(?i:{_SURELY}|{_PERHAPS})|To(?= [a-z])) [^,]+), (?P<then>[^,\s].*)")
"""A sentence that begins with what for, or in which case, what follows is done or holds."""

SURELY_A_CASE = re.compile(rf"(?:{_SURELY})\s", re.IGNORECASE)
"""Behind the others there may be a mere time: "After the war, Ada lived in Wend", "To date, …"."""

_GROUND = re.compile(
    r"(?P<ground>(?:(?:Because|Although|Though|Even though|Now that|Given that|Whereas)|(?P<perhaps>Since|As|While)) "
    r"(?P<told>[^,]+)), (?P<then>[^,\s].*)"
)
"""A sentence that begins with why, or in spite of what, it is so; "Since" and "As" also begin mere times."""

MANNER = re.compile(r"(?P<not>never|do not|don['’]t)\s|(?:please|always|immediately|first)\s", re.IGNORECASE)
"""What may stand before the verb of an instruction."""

_BARE_VERBS = sorted(ORDERS | PLURAL_VERBS | PLURAL_VERBS_OR_NOUNS)
ORDER_VERB = rf"(?:{'|'.join(f'[{verb[0].upper()}{verb[0]}]{verb[1:]}' for verb in _BARE_VERBS)})"
_AIMS = sorted({*_BARE_VERBS, *"avoid be ensure fix improve increase save see".split()})
ORDER = re.compile(
    rf"(?P<then>(?:(?i:please|always|never|do not|don['’]t) )?{ORDER_VERB} .+?),? "
    rf"(?P<case>(?:only )?(?:(?:{_SURELY}|before|after) .+|to (?:{'|'.join(_AIMS)}) .+))"
)
"""An instruction with its case behind it: "Call Ada Quill if the lamp blinks"."""


_EARLY = re.compile(
    rf"((?:In|Since|By|Until|During)\s(?:the\s)?(?:[12]\d{{3}}s?|(?:{MONTHS})(?:\s\d{{4}})?))"
    r"\s(?=(?:the|an?)\s|[^\W_a-z])"
)
"""When something was, before the subject and without a comma: "In 1960 the village …"."""

_QUOTES = {'"': '"', "“": "”", "‘": "’", "«": "»", "(": ")"}


@dataclass(frozen=True)
class Clause:
    """A statement as subject, verb group and complement; `opening` is an adverbial that stood before a comma."""

    subject: str
    verb: str
    complement: str
    opening: str

    @property
    def predicate(self) -> str:
        """Everything but the subject, in the sentence's words."""
        predicate = f"{self.verb} {self.complement}"
        return f"{predicate} {self.opening[0].lower()}{self.opening[1:]}" if self.opening else predicate

    @property
    def core(self) -> str:
        """The complement without a leading participle and prepositions: "made by Wend Ltd" → "Wend Ltd".

        Without what is told behind it, of the same subject or of a name (`knowledge.statements` has most of that).
        """
        return _core(_point(self.complement), rf"(?=[a-z])(?:{PASSIVE})")

    @property
    def gist(self) -> str:
        """The complement as people answer with it: "written by Bo" → "Bo", "known as the smith" → "the smith".

        Words that change what is said stay ("made without sugar", "before noon"), all of them behind a negation. A
        description that is led up to stays whole, as in `description`; of others, what comes before the next verb, and
        of long ones what comes before more is told.
        """
        if self.denied:
            return self.complement
        told = re.sub(rf"^(?:(?:{PASSIVE})\s+(?=(?:{_AT})\s))?(?:(?:{_AT})\s+)?(?=\S)", "", self.complement)
        told = told if not re.match("(?:most|least) ", told) else self.complement
        told = re.sub(r"^(?:called|named|titled)\s+(?=\S)", "", told) if self.verb in COPULAS else told
        if led := LED_UP_TO.match(told):
            return told[led.end() :]
        told = _point(told)
        if len(told.split()) <= MOST_WORDS:
            return told
        first = before_more(told, _MORE_OF_ANY)
        return first if " " in first else told

    @property
    def description(self) -> str:
        """What a leading participle says of the subject: "Known for being the smith, Ada …" → "the smith"; or empty."""
        return _core(self.opening, PARTICIPLE) if re.match(rf"{PARTICIPLE}\s", self.opening) else ""

    @property
    def denied(self) -> bool:
        """Whether the verb says that it is not so: "was not", "no longer flies"."""
        return DENIAL.search(self.verb) is not None

    @property
    def plural(self) -> bool:
        """Whether the verb's form belongs to several: "are", "need"."""
        first = self.verb.split()[0]
        return first in {"are", "were", "have", "do"} | PLURAL_VERBS | PLURAL_VERBS_OR_NOUNS

    @property
    def copula(self) -> bool:
        """Whether the statement says what the subject *is*: "X is the director of Y", not "X is opened by Y"."""
        first = self.complement.split()[0].lower().rstrip(",")
        return self.verb in COPULAS and not re.fullmatch(PASSIVE, first)

    @property
    def pronoun(self) -> bool:
        """Whether the subject cannot be understood without an earlier sentence."""
        words = self.subject.lower().split()
        return words[0] in POSSESSIVES or (len(words) == 1 and words[0] in PRONOUNS)


def before_more(told: str, cut: re.Pattern[str]) -> str:
    """What stands before the next verb of the same subject and before what the pattern finds."""
    ends = [found.start() for found in (cut.search(told), *next_verbs(told)[:1]) if found]
    return told[: min(ends, default=len(told))]


def told_when(said: str) -> re.Match[str] | None:
    """When or in which case it is so, where a whole clause tells it: "after she had left", not "after noon"."""
    for found in _WHEN.finditer(said):
        if found["word"] in _CONDITION.split("|") or clause(found["told"]):
            return found
    return None


def _point(complement: str) -> str:
    """What stands before the next verb of the same subject, before why and when, and before more about a name."""
    told = before_more(complement, MORE) or complement
    told = told[: when.start()] if (when := told_when(told)) and when.start() else told
    return told[: found.end(1)] if (found := _RELATIVE.match(told)) else told


def _core(phrase: str, participle: str) -> str:
    if led := LED_UP_TO.match(phrase):
        return phrase[led.end() :]
    words = phrase.split()
    if re.fullmatch(participle, words[0]):
        words = words[1:]
    while words and words[0].lower() in PREPOSITIONS and words[1:2] not in (["most"], ["least"]):
        words = words[1:]
    return " ".join(words) or phrase


PERSON = re.compile(r"[^\W\d_a-z][\w'’-]+(?:\s+[^\W\d_a-z][\w'’.-]*){1,3}")


def topic(sentence: str) -> re.Match[str] | None:
    """What stands before a colon and is no statement: not of "The group has three: Ada, Bo and Cy".

    None of a text with more colons than anybody writes in a sentence.
    """
    found = _TOPIC.match(sentence) if sentence.count(": ") <= MOST_COLONS else None
    return found if found and clause(found[1]) is None else None


def clause(sentence: str) -> Clause | None:
    """Takes one statement apart, or gives `None` where the rules see no clear subject and verb or apposition."""
    body = sentence.strip().rstrip(".!。 ")
    if body.endswith("?") or "\n" in body:
        return None
    if found := topic(body):
        return _about(found[1], body[found.end() :])
    if parsed := _after_participle(body):
        return parsed
    if case := CASE.fullmatch(body):
        then = clause(case["then"])
        if is_order(case["then"]):
            return None
        if SURELY_A_CASE.match(body) or body.startswith("To "):
            return replace(then, opening=case["case"]) if then and not then.opening else None
    if (ground := _GROUND.fullmatch(body)) and (not ground["perhaps"] or clause(ground["told"])):
        then = clause(ground["then"])
        return replace(then, opening=ground["ground"]) if then and not then.opening else None
    if (order := ORDER.fullmatch(body)) and clause(order["then"]) is None:
        return None
    opening, body = _opening(body)
    body = _without_aside(body)
    words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", body)]
    place = verb_place([word for word, _, _ in words], inside_quotes(body, [start for _, start, _ in words]))
    if place is None:
        return _apposition(body, opening)
    last = verb_end([word for word, _, _ in words], place)
    if last + 1 >= len(words):
        return None
    subject, complement = body[: words[place][1]].strip(" ,"), body[words[last][2] :].strip()
    adverb = _adverb(subject)
    subject = re.sub(r"(?<=\S)\s+\([^()]*\)$", "", subject.removesuffix(adverb).rstrip())
    begins = words[place if adverb in PASSING else place - len(adverb.split())][1]  # "never" belongs to the verb
    if not any(map(str.isalnum, subject)) or not any(map(str.isalnum, complement)) or subject.endswith(" there"):
        return None
    return Clause(subject, body[begins : words[last][2]], complement, opening)


def is_told(case: str, then: str) -> bool:
    """Whether a case is one time of the past: "When Ada left, Bo sold the mill" is no rule."""
    found = clause(then)
    form = verb_form(found.verb.split()[0]) if found else None
    return form is not None and form.past and re.match(r"(?:when|once|as soon as)\s", case, re.IGNORECASE) is not None


def is_order(said: str) -> bool:
    """Whether the words tell somebody to do something: "press both keys", "do not open the lid"."""
    words = said[(manner.end() if (manner := MANNER.match(said)) else 0) :].split()
    if len(words) < 2 or not words[0].islower() or words[0] in FUNCTION_WORDS:
        return False
    if words[0] in ORDERS | PLURAL_VERBS | PLURAL_VERBS_OR_NOUNS:
        return words[1] not in AUXILIARIES
    return verb_place(words, [False] * len(words)) is None


def aside(body: str, start: int = 0) -> re.Match[str] | None:
    """What stands between commas between a subject and its verb, as groups: "The mill", "the first of Wend"."""
    found = _ASIDE.match(body, start)
    return found if found and begins_with_a_verb(found["verb"]) else None


def _without_aside(body: str) -> str:
    """Without what stands between commas before the verb, unless that takes something away from the subject.

    "The Wend Cup, also called the Bowl, was …", but "The mills, except Orrin's, are …" stays.
    """
    found = aside(body)
    return f"{found[1]} {body[found.end() :]}" if found else body


def _adverb(subject: str) -> str:
    """The adverb that stands between a subject and its verb: of "Ada Quill never" "never"; or empty."""
    if subject.endswith(" no longer"):
        return "no longer"
    before, _, last = subject.rpartition(" ")
    *earlier, noun = before.split() or [""]
    is_subject = noun.lower() not in DETERMINERS and (noun[:1].isupper() or (earlier and noun not in DEGREES))
    is_adverb = last in ADVERBS or (re.fullmatch(r"[a-z]{3,}ly", last) and last not in NOUNS_IN_LY)
    return last if is_subject and is_adverb else ""


def _about(topic: str, rest: str) -> Clause | None:
    """What is said behind a topic: of the topic where the subject is a pronoun, else of the subject itself.

    One that begins with an article stays with its topic: "the winner" alone could be anybody's.
    """
    opening = ""
    if led := re.match(rf"({PARTICIPLE}\s[^,]+),\s+(?=(?:it|he|she|they)\s)", rest):
        opening, rest = led[1], rest[led.end()].upper() + rest[led.end() + 1 :]
    parsed = clause(rest)
    if parsed is None:
        return None
    first = parsed.subject.split()[0].lower()
    if parsed.pronoun and first not in POSSESSIVES:
        return replace(parsed, subject=topic, opening=opening or parsed.opening)
    alone = parsed.opening or first not in DETERMINERS
    return parsed if alone else replace(parsed, subject=f"{topic}: {parsed.subject}")


def _apposition(body: str, opening: str) -> Clause | None:
    """A name and, after a comma, what it is: "Ada Quill, the smith of Orrin". Read as if "is" stood between them."""
    found = re.fullmatch(r"((?:The\s+)?[^\W\d_a-z][\w'’.-]*(?:\s+[^\W\d_a-z][\w'’.-]*){0,5}),\s+([a-z][^,]*\s.+)", body)
    if found is None or opening or found[2].split()[0] in CONJUNCTIONS | PREPOSITIONS:
        return None
    return Clause(found[1], "is", found[2], "")


def bare(phrase: str) -> str:
    """A noun phrase without its article: "The Corvo 3" → "Corvo 3"."""
    return re.sub(r"^(?:the|a|an)\s+(?=\S)", "", phrase, flags=re.IGNORECASE)


def lower_article(phrase: str) -> str:
    """A phrase as it stands inside a sentence: "The Corvo 3" → "the Corvo 3"; names stay as they are."""
    first, _, rest = phrase.partition(" ")
    common = rest[:1].islower() and (first.lower() in SOMEBODY or is_plural(first.lower()))
    return f"{first.lower()} {rest}" if rest and (common or first.lower() in DETERMINERS | OPENERS) else phrase


def _opening(body: str) -> tuple[str, str]:
    if early := _EARLY.match(body):
        return early[1], body[early.end()].upper() + body[early.end() + 1 :]
    first, comma, rest = body.partition(", ")
    if comma and first.strip() and first.split()[0].lower() in OPENERS and len(first.split()) <= 8 and rest:
        return first, rest
    return "", body


def _after_participle(body: str) -> Clause | None:
    """What follows the last comma that leaves a statement: "Known for her maps, Ada Quill lives in Wend"."""
    if not re.match(rf"{PARTICIPLE}\s", body):
        return None
    for comma in reversed(list(re.finditer(r",\s+(?=[^\W\d_a-z]|(?:the|an?)\s)", body))):
        opening, rest = body[: comma.start()], body[comma.end() :]
        if rest[0].islower() and PERSON.fullmatch(opening.rpartition(", ")[2]):
            continue  # "Known for her maps, Ada Quill, the head of Wend, lives there"
        if not any(inside_quotes(body, [comma.start()])) and (parsed := clause(rest)) and not parsed.opening:
            return replace(parsed, opening=opening)
    return None


def inside_quotes(body: str, starts: list[int]) -> list[bool]:
    """Whether each word stands inside quotation marks or brackets, where verbs belong to titles."""
    inside = [False] * len(body)
    place = 0
    while place < len(body):
        closing = _QUOTES.get(body[place])
        end = body.find(closing, place + 1) if closing else -1
        if end > 0:
            inside[place : end + 1] = [True] * (end + 1 - place)
            place = end
        place += 1
    return [inside[start] for start in starts]
