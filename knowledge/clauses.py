"""Sentences taken apart by rule: subject, verb, complement. No model, no word lists of any data set.

Probes and training questions both need to know where the subject of a plain statement ends. English statements with
one clear verb are parsed; anything else (other languages, lists, code, questions) gives `None`, and callers fall back
to cutting the text by words. A wrong cut costs an awkward question, never a wrong fact: the pieces are always
verbatim pieces of the sentence.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from knowledge.verbs import is_noun, is_plural, never_a_verb, verb_form
from knowledge.words import (
    ABBREVIATIONS,
    ADVERBS,
    AUXILIARIES,
    BEFORE_A_PARTICIPLE,
    COMPANY_ENDINGS,
    CONJUNCTIONS,
    COPULAS,
    DEGREES,
    DETERMINERS,
    FUNCTION_WORDS,
    KNOWN_VERBS,
    NOUNS_IN_LY,
    OPENERS,
    ORDERS,
    PARTICLES,
    PASSING,
    PLURAL_MODIFIERS,
    PLURAL_VERBS,
    PLURAL_VERBS_OR_NOUNS,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    SOMEBODY,
    VERBS,
    VERBS_OR_NOUNS,
)

DENIAL = re.compile(r"\b(?:not|never|cannot|no longer|\w+n['’]t)\b")
"""Words that turn a statement into its opposite: pieces of it say what is not so."""

PARTICIPLE = r"(?:Known|Born|Built|Made|Held|Won|Sold|[A-Z][a-z]+(?:ed|ing))"
"""A sentence's first word that seems to be one: "Known for …", "Founded in …", "Working at …"."""

PASSIVE = (
    r"\w+ed|born|made|built|held|sold|led|run|won|found|kept|written|sung|drawn|given|taken|shown|chosen|brought|taught|sent"
    r"|told|paid|laid|set|cut|shot|driven|grown|thrown|worn|begun|seen|spoken|stolen|struck|spent"
)
"""A participle behind "is" or "was"."""

_AT = "in|at|on|by|as"
SMALL_WORDS = frozenset({*_AT.split("|"), "the", "a", "an"})
"""Before a name these only say where it belongs; "without", "before" or "until" say more."""

LED_UP_TO = re.compile(
    rf"(?:best |well |widely )?(?:known|{PASSIVE})\s(?:\S+\s){{0,5}}?(?:being|as)\s+(?=\S)", re.IGNORECASE
)
"""What may stand before a description: "known far and wide for being the …", "regarded as the …"."""

_NEXT = re.compile(r",?\s(?:and|but)\s(?=(?P<verb>[a-z]+(?:n['’]t)?)\s(?P<after>\S+)(?:\s(?P<then>\S))?)")
_COMMA = re.compile(_NEXT.pattern.replace(r",?\s(?:and|but)", ",", 1))
_OBJECT = re.compile(r"(?:the|an?|its|his|her|their|it)\b|[^\W_a-z]")
REASON = r"because of|because|due to|owing to|thanks to|so that|in order(?= to\s)"
_CONDITION = "if|unless|provided that|when|whenever"
_TIME = "once|as soon as|as long as|after|before|until|since"
_ASIDE_CLAUSE = "while|whilst|whereas|although|though"
MORE = re.compile(rf",?\s(?:{REASON}|{_CONDITION}|{_ASIDE_CLAUSE})\s")
"""Behind what is said, why it is so, and what else is."""

_WHEN = re.compile(rf",?\s(?P<when>(?P<word>{_CONDITION}|{_TIME})\s(?P<told>[^,;]+))")
_MORE_OF_ANY = re.compile(rf",\s|\s(?:which|who)\s|{MORE.pattern}")

_JOINTS = re.compile(
    r";\s+(?=\S)|,\s(?:and|but|while|whereas|so)\s(?=(?:it|he|she|they|(?:its|his|her|their|the|an?)\s[a-z]+)\s|[^\W\d_a-z])"
)
"""Where a statement may end and another begin inside a sentence."""

_RELATIVE = re.compile(r"(.*[^\W\d_a-z][\w'’-]*), (?:who|which) (?=\S+\s)")
"""A name, and more told of it: "Ada Quill, who built the mill"."""

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

_OF_A_NAME = re.compile(r"\sof\s(?:the\s(?:\S+\s){0,3})?[^\W\d_a-z]")
"""Behind "the capital of Wend" an "its" may mean either."""

_EARLY = re.compile(
    r"((?:In|Since|By|Until|During)\s(?:the\s)?(?:[12]\d{3}s?|(?:January|February|March|April|May|June|July|August"
    r"|September|October|November|December)(?:\s\d{4})?))\s(?=(?:the|an?)\s|[^\W_a-z])"
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
        return words[0] in {"his", "her", "its", "their"} or (len(words) == 1 and words[0] in PRONOUNS)


def next_verbs(told: str) -> list[re.Match[str]]:
    """Where the next verbs of the same subject begin: at "and makes oil", not in "bread and roasted nuts"."""
    joins = [join for join in _NEXT.finditer(told) if _goes_on(join)]
    commas = [comma for comma in _COMMA.finditer(told, 0, joins[0].start()) if _goes_on(comma)] if joins else []
    return commas + joins


def _goes_on(join: re.Match[str]) -> bool:
    """Whether a word behind "and" is a verb, by itself or by what stands around it: "in Wend and feeds on algae".

    A word that may be a noun is one where an object follows, or a phrase behind which or before which no list can be.
    """
    verb, after = join["verb"], join["after"]
    if verb in AUXILIARIES:
        return True
    has_object = _OBJECT.match(after) is not None
    has_adverbial = after in PREPOSITIONS - {"of"}
    surely = _behind_a_name(join.string[: join.start()]) or (join["then"] or "").isdigit()
    if re.fullmatch("[a-z]{3,}ed", verb):
        return after != "of" if verb in KNOWN_VERBS else has_object or has_adverbial
    if verb in KNOWN_VERBS - VERBS_OR_NOUNS:
        return after != "of"
    form = verb_form(verb)
    if form is None:
        return False
    if takes_a_noun(verb, after):
        return True
    if not (form.past or form.third):
        return not form.otherwise and (has_object or has_adverbial)
    return has_object or (has_adverbial and (not form.otherwise or surely))


def takes_a_noun(word: str, after: str) -> bool:
    """Whether a verb takes a bare noun as its object: "causes fever". Few plurals stand before another noun."""
    form, noun = verb_form(word), after.strip(",.")
    return (
        form is not None
        and form.third
        and word not in PLURAL_MODIFIERS
        and is_noun(noun)
        and noun not in FUNCTION_WORDS
    )


def _behind_a_name(before: str) -> bool:
    """Whether a name or a number ends there: with those no plural noun is joined."""
    return re.search(r"(?:^|\s)[\"“(]?[^\W_a-z]\S*$", before) is not None


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
    return subject[0].upper() + subject[1:] if len(subject.split()) <= 8 else None


PERSON = re.compile(r"[^\W\d_a-z][\w'’-]+(?:\s+[^\W\d_a-z][\w'’.-]*){1,3}")


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
    if (order := ORDER.fullmatch(body)) and clause(order["then"]) is None:
        return None
    opening, body = _opening(body)
    body = _without_aside(body)
    words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", body)]
    place = _verb_place([word for word, _, _ in words], inside_quotes(body, [start for _, start, _ in words]))
    if place is None:
        return _apposition(body, opening)
    last = _verb_end([word for word, _, _ in words], place)
    if last + 1 >= len(words):
        return None
    subject, complement = body[: words[place][1]].strip(" ,"), body[words[last][2] :].strip()
    adverb = _adverb(subject)
    subject = re.sub(r"(?<=\S)\s+\([^()]*\)$", "", subject.removesuffix(adverb).rstrip())
    begins = words[place if adverb in PASSING else place - len(adverb.split())][1]  # "never" belongs to the verb
    if not any(map(str.isalnum, subject)) or not any(map(str.isalnum, complement)):
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
    return _verb_place(words, [False] * len(words)) is None


def aside(body: str, start: int = 0) -> re.Match[str] | None:
    """What stands between commas between a subject and its verb, as groups: "The mill", "the first of Wend"."""
    found = _ASIDE.match(body, start)
    return found if found and begins_with_a_verb(found["verb"]) else None


def begins_with_a_verb(told: str) -> bool:
    """Whether the first word can be a finite verb, as a statement about one has it."""
    word = told.split()[0]
    form = verb_form(word)
    return word in VERBS or (form is not None and (form.past or form.third))


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
    if parsed.pronoun:
        return replace(parsed, subject=topic, opening=opening or parsed.opening)
    alone = parsed.opening or parsed.subject.split()[0].lower() not in DETERMINERS
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
    for comma in reversed(list(re.finditer(r",\s+(?=[^\W\d_a-z])", body))):
        opening, rest = body[: comma.start()], body[comma.end() :]
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


def _verb_place(words: list[str], quoted: list[bool]) -> int | None:
    relative = 0
    for place, word in enumerate(words):
        if quoted[place]:
            continue
        if place and word in RELATIVES:
            relative += 1
        verb = place > 0 and word.islower() and _is_verb(words, place)
        if verb and relative:
            relative -= 1  # the verb of the relative clause: "The firm that makes X | is Y"
        elif verb and words[place - 1].lower() not in DETERMINERS | PREPOSITIONS | CONJUNCTIONS:
            return place if word in _SURE_VERBS else _surer_verb(words, place, quoted) or place
    return next((place for place in range(2, len(words) - 1) if _follows_a_name(words, place, quoted)), None)


def _surer_verb(words: list[str], guessed: int, quoted: list[bool]) -> int | None:
    """A known verb behind a guessed one that may be a noun: of "Call centres in Wend are open" "are"."""
    for place in range(guessed + 2, len(words) - 1):
        word = words[place]
        if word in CONJUNCTIONS | RELATIVES or words[place - 1].endswith((",", ";", ":")) or quoted[place]:
            return None
        if word in COPULAS and words[guessed + 1] in PREPOSITIONS and words[guessed].endswith("s"):
            return place
    return None


def _follows_a_name(words: list[str], place: int, quoted: list[bool]) -> bool:
    """Whether a word looks like the verb where no surer one stands: "Version 4.2 of Quillfish drops support for …"."""
    before, word, after = words[place - 1 : place + 2]
    if any(quoted[place - 1 : place + 1]) or after.lower() in {"of", "and", "or"} or before.lower() in FUNCTION_WORDS:
        return False
    if takes_a_noun(word, after) and not is_plural(before):
        return True
    ends_so = re.fullmatch(r"[a-z]{3,}[^su\W]s", word) is not None and not _is_plural_noun(word)
    form = verb_form(word)
    surely = form is not None and (form.past or form.third) and not form.otherwise and word != form.bare
    return (ends_so or surely) and re.match(r"[^\W_a-z]", before) is not None


def _is_verb(words: list[str], place: int) -> bool:
    ambiguous = (
        words[place] in PLURAL_VERBS_OR_NOUNS and words[place + 1 : place + 2] and words[place + 1] in DETERMINERS
    )
    if words[place] in PLURAL_VERBS or ambiguous:
        return any(
            re.search(r"[^su'’]s$|ies$|^(?:people|and|they|we|you|these|those)$", word.lower())
            for word in words[:place]
        )
    form = verb_form(words[place])
    changed = form is not None and words[place] != form.bare and not words[place].endswith("ed")
    irregular = form is not None and form.past and not form.otherwise and changed
    return irregular or words[place] in AUXILIARIES | KNOWN_VERBS or _looks_finite(words, place)


_SURE_VERBS = AUXILIARIES | KNOWN_VERBS | PLURAL_VERBS


def _looks_finite(words: list[str], place: int) -> bool:
    """A regular verb by its ending, when what follows can start a complement and what stands before is no article."""
    word, before = words[place], words[place - 1].lower()
    if not re.fullmatch(r"[a-z]{2,}(?:ed|[^s\W]s)", word) or _is_plural_noun(word):
        return False
    if before in DETERMINERS | PREPOSITIONS | CONJUNCTIONS:
        return False
    if place + 1 >= len(words):
        return False
    after = words[place + 1]
    starts_complement = after.lower() in DETERMINERS | PREPOSITIONS or not after[0].islower()
    plural_noun = word.endswith("s") and after.lower() in {"of", "and", "or"}
    return starts_complement and not plural_noun


def _is_plural_noun(word: str) -> bool:
    """By the dictionary, or else by its ending: "drivers", "elections"."""
    ends_so = re.search(r"(?:tion|ment|[aeiou]\w*ing|[cdgnrt]ist|alist|ness|ship|[^aeiou]er|or)s$", word) is not None
    return never_a_verb(word) or (ends_so and verb_form(word) is None)


def _verb_end(words: list[str], place: int) -> int:
    """Last word of the verb group: "will be", "has been", "was not" hold together; the participle is complement."""
    last = place
    if (
        words[place] in {"take", "takes", "took"}
        and words[place + 1 : place + 2] == ["place"]
        and place + 2 < len(words)
    ):
        return place + 1
    after = words[place + 2 : place + 3]
    if (
        words[place + 1 : place + 2]
        and words[place + 1] in PARTICLES
        and after
        and _OBJECT.match(after[0])
        and not after[0][0].isdigit()
    ):
        return place + 1
    while last + 2 < len(words) and words[last + 1] in {"be", "been", "not", "also", "being"}:
        last += 1
    if words[last] in COPULAS | {"been", "be"} and last + 2 < len(words) and re.fullmatch(PASSIVE, words[last + 2]):
        last += words[last + 1] in ADVERBS or re.fullmatch(r"[a-z]{3,}ly", words[last + 1]) is not None
    if words[last + 1 : last + 3] == ["no", "longer"] and last + 3 < len(words):
        last += 2
    full = re.sub(r"n['’]t$", "", words[last])
    if words[last] in AUXILIARIES and full not in BEFORE_A_PARTICIPLE and last + 2 < len(words):
        last += 1
    return last
