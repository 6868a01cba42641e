"""What a statement says beside its main point: when, where, by whom; and questions about it, as people ask them.

"The Wend Bridge was opened on 3 May 2026 by Ada Quill" has two adjuncts: "When was the Wend Bridge opened?" asks for
one, "Who was the Wend Bridge opened by?" for the other. By rule, with the limits of `knowledge.clauses`: an adjunct is
a verbatim piece of the sentence. A statement that says what its subject *is* has none: in "the smith of the mill in
Wend" the place belongs to the mill.
"""

import random
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from knowledge.clauses import (
    DENIAL,
    LED_UP_TO,
    MORE,
    MOST_WORDS,
    REASON,
    Clause,
    before_more,
    inside_quotes,
    lower_article,
    told_when,
    topic,
)
from knowledge.finite_verbs import PASSIVE
from knowledge.verbs import is_adjective, is_plural, verb_form
from knowledge.words import AUXILIARIES, DETERMINERS, MONTHS, PLACES, POSSESSIVES, PREPOSITIONS
from worker.classes import class_at
from worker.spans import ADDRESS, CLOCK, COUNTED, DURATION, NAME, NUMBERED, OFTEN, YEAR, Kind

KEPT_SHARE = 0.4
"""How often a question about one adjunct keeps another."""

_DAY_OR_MONTH = MONTHS + "|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?"
_TIME = re.compile(
    rf"\b(?:{YEAR.pattern}s?|\d{{1,2}}(?:st|nd|rd|th|:\d\d)?|[ap]\.?m|the|of|to|and|early|late|mid|about|end|beginning|middle"
    rf"|{_DAY_OR_MONTH}|noon|midnight|spring|summer|autumn|winter|morning|afternoon|evening|night)\b"
)
_NAMED = rf"(?:[Tt]he\s)?(?:{NAME})"
_SMALL = (
    "in|on|at(?! least| most)|near|from|since|until|during|by|with|as|after|before|through|within|under|between"
    "|out of|into|onto|across|against|throughout|towards?|without"
)
_ONLY = r"(?:always|just|mainly|mostly|never|only|usually)\s"
_PREPOSITION = re.compile(rf"(?:(?<=\s)|^)(?:{_ONLY})?({_SMALL}|for|to(?=\s(?:{_NAMED}|{ADDRESS})))\s(?:{_ONLY})?")
_IN_A_NAME = re.compile(r"\b[A-Z]\w*\s(?=for\s[A-Z])")
_NO_ITEM = r"(?:\w+ing|of|but|where|so|then)\b"
_LIST = rf"(?:(?!{_NO_ITEM})[^,]+,\s)*(?!{_NO_ITEM})[^,]+?,?\s(?:and|or)\s"
_END = re.compile(
    rf",\s(?!(?:{_ONLY})?(?:{_SMALL})\s|and\s[A-Z]|{_LIST})(?=[a-z])|\sto\s(?!the\s|an?\s)(?=[a-z])|\s(?:which|who)\s|{MORE.pattern}"
)
"""Where the phrases behind a verb end. A comma before a name only goes on with a place or a list."""
_OF_TIME = frozenset({"in", "on", "at", "from", "since", "until", "during", "by"})
_OF_PLACE = frozenset({"in", "on", "at", "near", "from"})
_OF_OTHERS = frozenset({"by", "to", "with", "for"})
_OF_CLAUSES = frozenset({"after", "before", "until", "since"})
_HOW_LONG = {
    "for": ("how long", "for how long"),
    "within": ("within what time", "how soon"),
    "in": ("how soon", "in what time"),
    "after": ("after how long", "when"),
}
_MONEY = re.compile(
    r"[€$£]\s?\d[\d.,]*(?:\s(?:million|billion))?|\d[\d.,]*(?:\s(?:million|billion))?\s(?:euros?|dollars?|pounds?|cents?)"
)
_BARE_TIME = re.compile(
    rf"(?:^|\s)({OFTEN.pattern}|(?:last|next|this)\s(?:week|month|year|night|spring|summer|autumn|winter|{_DAY_OR_MONTH})"
    rf"|(?:\w+\s){{1,2}}(?:minutes?|hours?|days?|weeks?|months?|years?)\s(?:later|earlier|ago|afterwards))$"
)
"""A time without a preposition, at the end of what is said: "every January", "last winter", "two years later"."""

_REASON = re.compile(rf",?\s({REASON})\s([^,;]+)")
_IN_A_PLACE = re.compile(r"(?:an?|the)\s[a-z]")
_A_PLACE = re.compile(
    rf"(?:an?|the|{'|'.join(sorted(POSSESSIVES))})\s(?:[\w'’-]+\s){{0,3}}?(?P<noun>{'|'.join(sorted(PLACES))})s?"
    r"(?=$|\s(?:of|for|and)\s|(?P<named>\s[^\sa-z]))"
)
"""A place that needs no name: "the gate", "a quarry of chalk", "the folder /var/lamps"."""

_MAY_OWN = frozenset({"has", "have", "had"})
_BOUND = re.compile(
    rf"(?:(?!(?:{'|'.join(sorted(DETERMINERS | PREPOSITIONS))})\b)[a-z]+\s)?"
    rf"(?:{'|'.join(sorted(PREPOSITIONS - _OF_TIME | {'on', 'from'}))})\s"
)
"""What binds a complement to its verb or adjective: "for " of "calls for eggs", "full of " of "is full of eggs"."""
_ADVERBIAL = re.compile(r"(?:[a-z]+ly|only|also|not|out|up|down|off|away|back|again|well|still|to)\b")
_INDIRECT = ("Do you know {}?", "Can you tell me {}?", "Tell me {}.", "Please tell me {}.", "I would like to know {}.")


@dataclass(frozen=True)
class Adjunct:
    """One phrase behind the verb: its preposition, what it tells, and of what kind that is."""

    preposition: str
    told: str
    kind: Kind

    def __str__(self) -> str:
        """The phrase."""
        return f"{self.preposition} {self.told}".strip()

    @property
    def asked(self) -> tuple[str, ...]:
        """Question words for it; those that end in "…" leave its preposition to the end of the question."""
        if self.kind is Kind.DURATION and (unit := DURATION.match(self.told)):
            many = (f"{self.preposition} how many {unit['unit']}",) if unit["unit"].endswith("s") else ()
            return (*_HOW_LONG[self.preposition], *many)
        if numbered := NUMBERED.fullmatch(self.told):
            return (f"{self.preposition} which {numbered['noun']}", f"{self.preposition} what {numbered['noun']}")
        if self.kind is Kind.REASON:
            return ("why", "for what reason")
        if self.kind is Kind.FREQUENCY:
            return ("how often", "when", *(("in which month",) if re.search(MONTHS, self.told) else ()))
        if self.kind is Kind.CASE:
            return ("when", "when", "in which case")
        if self.kind is Kind.NUMBER:
            return ("for how much", "for how much money")
        since = f"{self.preposition} " if self.preposition in {"since", "until"} else ""
        if self.kind is Kind.TIME and self.preposition in _OF_CLAUSES:
            return ("when", f"{self.preposition} what time", f"{self.preposition} which hour")
        if self.kind is Kind.TIME:
            return ("when", "at what time")
        if self.kind is Kind.DATE:
            day = re.search(r"\d", YEAR.sub("", self.told))
            exactly = (f"{since or 'on '}what date",) if day else ()
            year = (f"{since or 'in '}which year",) if YEAR.fullmatch(self.told) else ()
            return (f"{since}when", *exactly, *year)
        if self.kind is Kind.PLACE:
            away = "from " if self.preposition == "from" else ""
            apart = _A_PLACE.match(self.told)
            named = apart["noun"] if apart and apart["named"] else class_at(self.told, 0, len(self.told))
            where = (f"{away}where", f"{away or 'in '}which place", *(("what …",) if self.preposition == "at" else ()))
            return (*where, f"{self.preposition} which {named}", f"which {named} …") if named else where
        if self.kind is Kind.PHRASE:
            return (f"{self.preposition} what", "what …", "what …")
        to = ("where",) if self.preposition == "to" else ()
        named = class_at(self.told, 0, len(self.told))
        by_class = (f"{self.preposition} which {named}", f"which {named} …") if named else ()
        return (f"{self.preposition} whom", f"{self.preposition} which one", "who …", "what …", *to, *by_class)


@lru_cache(maxsize=20_000)
def taken_apart(found: Clause) -> tuple[str, tuple[Adjunct, ...]]:
    """What stands between a statement's verb and the first phrase behind it, and its adjuncts; often there are none."""
    states = found.copula and not _PREPOSITION.match(found.complement) and not _is_so(found.complement)
    states = states or re.match(r"(?:that|how|whether|why|what|who|where)\s", found.complement) is not None
    if states or DENIAL.search(f"{found.verb} {found.complement}") or LED_UP_TO.match(found.complement):
        return found.complement, ()
    complement = before_more(found.complement, _END)
    if bare_time := _BARE_TIME.search(complement):
        complement = complement[: bare_time.start()]
    names = [name.end() for name in _IN_A_NAME.finditer(complement)]
    cuts = [cut for cut in _PREPOSITION.finditer(complement) if cut.start() not in names]
    cuts = [cut for cut in cuts if not inside_quotes(complement, [cut.start()])[0]]
    clocks = [clock.span() for clock in re.finditer(CLOCK, complement)]
    cuts = [cut for cut in cuts if not any(start < cut.start() < end for start, end in clocks)]
    bounds = [*(cut.start() for cut in cuts), len(complement)]
    phrases = [(cut[1], complement[cut.end() : end].strip(" ,")) for cut, end in zip(cuts, bounds[1:], strict=True)]
    opening = found.opening[:1].lower() + found.opening[1:]
    if why := _REASON.match(f" {opening}"):
        phrases.append((why[1], why[2]))
    elif before := _PREPOSITION.match(opening):
        phrases.append((before[1], opening[before.end() :]))
    phrases += _further(found.complement)
    phrases += [("", bare_time[1])] if bare_time else []
    passive = re.match(rf"(?:{PASSIVE})\s", complement) is not None
    return complement[: bounds[0]].strip(), tuple(_adjuncts(phrases, passive))


def _is_so(complement: str) -> bool:
    """Whether a quality is told, and then when, where or how long it is so: "free after seven", "due within a week"."""
    first, _, rest = complement.partition(" ")
    return is_adjective(first) and _PREPOSITION.match(rest) is not None


def _further(said: str) -> list[tuple[str, str]]:
    """Why or when it is so, where a whole clause tells it: "because Orrin flooded", "after she had left"."""
    why, when = _REASON.search(said), told_when(said)
    further = [*([(why[1], why[2])] if why else []), *([("", when["when"])] if when else [])]
    return [] if '"' in said else further


def _adjuncts(phrases: list[tuple[str, str]], passive: bool) -> list[Adjunct]:
    """The phrases that rules can ask about.

    A place in a place ("at the mill in Wend") is one adjunct, and so is what a phrase without a kind goes on with ("for
    her work on kilns").
    """
    found: list[Adjunct] = []
    last: Kind | None = None
    for place, (preposition, told) in enumerate(phrases):
        of = _kind(preposition, told, passive)
        if of is None and preposition in _OF_PLACE and _IN_A_PLACE.match(told):
            of = (
                Kind.PLACE
                if [_kind(*other, passive) for other in phrases[place + 1 : place + 2]] == [Kind.PLACE]
                else None
            )
        if (of is Kind.PLACE and last is of) or (of is None and last is Kind.PHRASE and preposition not in _OF_CLAUSES):
            found[-1] = replace(found[-1], told=f"{found[-1].told} {preposition} {told}")
        else:
            found += [Adjunct(preposition, told, of)] if of else []
            last = of
    return found


def _kind(preposition: str, phrase: str, passive: bool) -> Kind | None:
    named = re.match(_NAMED, phrase) is not None
    if not phrase or len(phrase.split()) > MOST_WORDS:
        return None
    if not preposition:
        return Kind.CASE if told_when(f" {phrase}") else Kind.FREQUENCY if OFTEN.fullmatch(phrase) else Kind.DATE
    if _REASON.match(f" {preposition} {phrase}"):
        return Kind.REASON
    if preposition == "to" and re.fullmatch(ADDRESS, phrase):
        return Kind.PLACE
    if preposition in _OF_TIME | _OF_CLAUSES and re.fullmatch(CLOCK, phrase):
        return Kind.TIME
    if preposition in _OF_TIME and not re.search(r"\w", _TIME.sub("", phrase)):
        return Kind.DATE
    if (
        preposition in _HOW_LONG
        and (long := DURATION.match(phrase))
        and re.match(r"$| (?:of|from) ", phrase[long.end() :])
    ):
        return Kind.DURATION
    if preposition == "for" and _MONEY.fullmatch(phrase):
        return Kind.NUMBER
    if NUMBERED.fullmatch(phrase):
        return Kind.NUMBER
    if preposition in _OF_PLACE and (named or _A_PLACE.match(phrase)):
        return Kind.PLACE
    if preposition in _OF_OTHERS and (named or (preposition == "by" and passive)):
        return Kind.NAME
    return Kind.PHRASE if preposition in _OF_OTHERS and passive else None


def adjunct_question(found: Clause, rng: random.Random) -> tuple[str, str] | None:
    """A question about one adjunct of a statement, and its answer; None where it has none."""
    point, adjuncts = taken_apart(found)
    if not adjuncts:
        return None
    asked = rng.choice(adjuncts)
    kept = [str(other) for other in adjuncts if other != asked and rng.random() < KEPT_SHARE]
    words, stranded, _ = rng.choice(asked.asked).partition(" …")
    rest = " ".join(filter(None, [point, *kept, asked.preposition if stranded else ""]))
    return _asked(found, words, rest, rng), asked.told


def object_question(found: Clause, rng: random.Random) -> tuple[str, str] | None:
    """A question for what stands behind the verb, as people ask it, and its answer: "What did Ada buy in Wend?".

    Of "is allergic to nuts" it is asked what it is allergic to. None where something else comes first, an adverb or a
    phrase with a question of its own.
    """
    point, adjuncts = taken_apart(found)
    bound = _BOUND.match(found.complement) if found.copula or not point else None
    if bound:
        told = before_more(found.complement[bound.end() :], _END)
        if not told or any(re.match(rf"(?:{_ONLY})?{re.escape(adjunct.told)}", told) for adjunct in adjuncts):
            return None
        return _asked(found, _what(told, rng), bound[0].strip(), rng), told
    if found.copula or not point or _ADVERBIAL.match(point) or _PREPOSITION.match(f"{point} "):
        return None
    participle = re.match(rf"(?:{PASSIVE})(?:$|\s(?=\S))", point)
    if found.verb.split()[-1] in _MAY_OWN:
        own = participle[0] if participle else ""
    elif participle or found.verb.split()[-1] in AUXILIARIES:
        return None
    else:
        own = ""
    told = point[len(own) :]
    if not told:
        return None
    kept = [str(other) for other in adjuncts if rng.random() < KEPT_SHARE]
    return _asked(found, _what(told, rng), " ".join([own.strip(), *kept]).strip(), rng), told


def _what(told: str, rng: random.Random) -> str:
    """A question word for a thing, or for what may be a person."""
    if DURATION.fullmatch(told):
        return "how long"
    if (counted := COUNTED.fullmatch(told)) and is_plural(counted["head"]) and rng.random() < 0.7:
        return f"how many {counted['noun']}"
    if (named := class_at(told, 0, len(told))) and rng.random() < 0.5:
        return rng.choice((f"which {named}", f"what {named}"))
    person = re.match(_NAMED, told) is not None
    return rng.choice(("who", "what", "which one") if person else ("what", "what", "what", "which one", "who"))


def _asked(found: Clause, words: str, rest: str, rng: random.Random) -> str:
    """The question word before the verb as questions have it ("When did Ada buy it?"), or an indirect question."""
    first, _, others = found.verb.partition(" ")
    subject = _subject(found)
    owns = (found.verb in _MAY_OWN and not re.match(rf"(?:{PASSIVE})\b", found.complement)) or others.startswith("to ")
    form = verb_form(first) if first not in AUXILIARIES or owns else None
    if rng.random() < 0.75 and (form or first in AUXILIARIES):
        verb = (form.auxiliary, subject, form.bare, others) if form else (first, subject, others)
        question = " ".join(filter(None, [words, *verb, rest])) + "?"
        return question[0].upper() + question[1:]
    return rng.choice(_INDIRECT).format(" ".join(filter(None, [words, subject, found.verb, rest])))


def shortened(found: Clause, rng: random.Random) -> str:
    """The predicate, every second time with some of its adjuncts only: "is closed until May", as people ask for it."""
    point, adjuncts = taken_apart(found)
    if not adjuncts or rng.random() < 0.5:
        return found.predicate
    kept = rng.sample(adjuncts, rng.randint(0 if " " in point else 1, len(adjuncts)))
    return " ".join(filter(None, [found.verb, point, *(str(each) for each in adjuncts if each in kept)]))


def _subject(found: Clause) -> str:
    """The subject inside a question; behind a topic ("The Wend Cup: The winner") "the winner of the Wend Cup"."""
    led = topic(found.subject)
    if led is None:
        return lower_article(found.subject)
    of = re.sub(rf"^(?:{'|'.join(POSSESSIVES)})\s", "the ", lower_article(found.subject[led.end() :]))
    return f"{of} of {lower_article(led[1])}"
