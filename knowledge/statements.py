"""A sentence as the statements that it joins: exercises and probes ask for each, as people do. By rule.

"The mill, the first of Wend, was built in May and makes oil": "The mill was the first of Wend.", "The mill was built in
May.", "The mill makes oil."
"""

import re
from functools import lru_cache

from knowledge.clauses import DENIAL, PERSON, Clause, aside, clause, inside_quotes, topic
from knowledge.finite_verbs import PASSIVE, begins_with_a_verb, next_verbs
from knowledge.verbs import is_noun, may_be_a_noun, verb_form
from knowledge.words import COPULAS, FUNCTION_WORDS, MODALS, PREPOSITIONS

_DEPENDENT = re.compile(r"\b(?:that|which|who|whom|whose|where|when|while|because|if|as)\b|\bto\s(?!the\s|an?\s)[a-z]")
_PASSIVE_GOES_ON = re.compile(rf"(?:{PASSIVE})(?=$|\s(?:{'|'.join(sorted(PREPOSITIONS))}|again|later|soon)\b)")

_LASTING = re.compile(
    "abbreviated|based|called|dedicated|found|held|kept|known|led|listed|located|made|named|owned|run|set|situated|spoken|surrounded|used|worn"
)
"""Participles of what goes on: "The mill, owned by Bo" is so still, and "opened by Bo" was once."""

_POST = re.compile(r"(?:[a-z-]+\s){0,2}(\S+)\s(?:of|at|for|in)\s")
"""What somebody is, without an article: "head of the mill"."""

_WHAT_IS_MORE = re.compile(
    r"(?P<thing>an?\s(?P<name>(?:[a-z-]+\s){0,3}[a-z-]+)) (?:that|which|who) (?P<told>[a-z]+\s.+)"
)
"""An object of which more is told: "a black bean that was brought from Peru"."""

_A_NAME = re.compile(r"[\"“]?[^\W\d_a-z][\w'’.-]*(?:\s(?:(?:of|the|and)\s)*[^\W_a-z][\w'’.-]*){0,5}[\"”]?")

_OF_ANOTHER = re.compile(
    rf"(?:(?:{PASSIVE})\sby\s)?(?P<other>{PERSON.pattern}(?=, (?:who|an?|the)\s)"
    r"|(?:the\s(?:[a-z-]+\s){0,3})?[^\W\d_a-z][\w'’-]*(?:\s[^\W\d_a-z][\w'’-]*){0,3}(?=, which\s))"
    r"(?:, (?P<being>(?:an?|the) (?:(?! and )[^,])+))?(?:, wh(?:o|ich) (?P<told>.+))?"
)
"""What ends with a name of which more is told. Behind "the sister of Ada Quill, who" it could be either."""

_BEHIND_IT = "|".join(sorted(PREPOSITIONS | {"each", "every"}))
_DESCRIBED = re.compile(
    rf"(?P<thing>(?:an?|the)\s(?:(?!(?:{'|'.join(sorted(FUNCTION_WORDS))})\b)[\w'’-]+\s){{1,5}}?)"
    rf"(?:(?P<done>(?:{PASSIVE})\s(?:{_BEHIND_IT})\s.+)|(?:that|which|who)\s(?P<told>[a-z]+\s.+)"
    r"|(?P<where>(?:from|in|at|on|near)\s(?:the\s(?:[a-z]+\s){0,2}(?:of\s)?)?[^\W\d_a-z].*))"
)
"""A thing of which more is told: "a race held in Wend", "a band from Wend", "a firm that makes kites"."""

_OF_A_FIELD = re.compile(
    r"\b(?:class|course|degree|diploma|exam|expert|lecture|lecturer|lesson|professor|specialist)\s$"
)
"""Behind these "in Physics" is no place."""


@lru_cache(maxsize=20_000)
def statements(sentence: str) -> tuple[str, ...]:
    """The statements that a sentence makes, each with its subject.

    Those that it joins, and behind them what they tell of the thing that a subject is: of "The Mile is a race held in
    Wend" "The Mile is held in Wend."
    """
    joined = side_by_side(sentence)
    return (*joined, *filter(None, map(of_the_thing, joined)))


def described(found: Clause) -> re.Match[str] | None:
    """What a statement says that its subject is, and what it tells of that: "a race", "held in Wend"; or None."""
    if not found.copula or found.denied or DENIAL.search(found.complement):
        return None
    told = _DESCRIBED.fullmatch(found.complement)
    return told if told and may_be_a_noun(told["thing"].split()[-1]) else None


def may_be_a_person(found: Clause) -> bool:
    """Whether a statement's subject is a name of two words or more, without an article."""
    return PERSON.fullmatch(found.subject) is not None and not found.subject.startswith("The ")


@lru_cache(maxsize=20_000)
def of_the_thing(sentence: str) -> str:
    """What a statement tells of the thing that its subject is, as a statement of its own; or empty."""
    found = clause(sentence)
    told = described(found) if found and not found.pronoun and not found.opening else None
    if found is None or told is None:
        return ""
    if told["where"] and (" to " in told["where"] or _OF_A_FIELD.search(told["thing"])):
        return ""
    if told["where"] and may_be_a_person(found) and not told["where"].startswith("from "):
        return ""  # a smith in Wend may be anywhere
    verb = found.verb
    if told["done"] and (not _LASTING.match(told["done"]) or re.search(r"\b[12]\d{3}\b", told["done"])):
        verb = {"is": "was", "are": "were"}.get(verb, verb)
    said = f"{found.subject} {'' if told['told'] else f'{verb} '}{told['told'] or told['done'] or told['where']}."
    parsed = clause(said)
    return said if parsed and parsed.subject == found.subject else ""


@lru_cache(maxsize=20_000)
def side_by_side(sentence: str) -> tuple[str, ...]:
    """The statements that a sentence joins; the sentence alone where the rules see only one.

    A participle without an object goes on with the passive before it ("was built and sold"). What stands behind "that",
    "who" or "to" may belong to somebody else: there no verb is taken for the subject's.
    """
    found = clause(sentence)
    body = sentence.rstrip(" .!。")
    if found is None or found.pronoun or not body.endswith(found.complement):
        return (sentence,)
    if (named := _OF_ANOTHER.fullmatch(found.complement)) and (named["being"] or named["told"]):
        other = named["other"][0].upper() + named["other"][1:]
        verb = found.verb if found.verb in COPULAS else "is"
        more = [f"{other} {verb} {named['being']}."] if named["being"] else []
        more += [f"{other} {named['told']}."] if named["told"] else []
        if all((parsed := clause(each)) and len(parsed.subject) == len(other) for each in more):
            return (*side_by_side(f"{body[: named.end('other') - len(found.complement)]}."), *more)
    if not found.copula and (thing := _WHAT_IS_MORE.fullmatch(found.complement)):
        other = f"The {thing['name']} {thing['told']}."
        if (parsed := clause(other)) and parsed.subject == f"The {thing['name']}":
            return (*side_by_side(f"{body[: thing.end('thing') - len(found.complement)]}."), other)
    led = topic(body)
    behind = led.end() if led else 0
    between = None if found.opening else aside(body, behind)
    told, asides = found.complement, [_of_aside(body[:behind], between, found.verb)] if between else []
    main = body[: between.end(1)] + " " + body[between.end() :] if between else body
    joins = [join for join in next_verbs(told) if not any(inside_quotes(told, [join.start()]))]
    if not joins or _DEPENDENT.search(told[: joins[-1].start()]) or DENIAL.search(f"{found.verb} {told}"):
        return (*filter(None, asides), f"{main}.") if any(asides) else (sentence,)
    ends = [*(join.start() for join in joins[1:]), len(told)]
    parts = [told[join.end() : end] for join, end in zip(joins, ends, strict=True)]
    passive = f"{found.verb} " if found.verb.split()[-1] in {*COPULAS, "be", "been"} else ""
    if found.copula and any(map(_PASSIVE_GOES_ON.match, parts)):
        return (sentence,)  # "is in Wend and owned by Bo" and "is big and lived in Orrin" cannot be told apart
    modal = found.verb.split()[0] if found.verb.split()[0] in MODALS else ""
    first = main[: len(main) - len(told) + joins[0].start()]
    subject = found.subject[0].upper() + found.subject[1:]
    subject = f"{led[1]}: {subject}" if led and not subject.startswith(led[1]) else subject
    leads = [
        passive if _PASSIVE_GOES_ON.match(part) else f"{modal} " if modal and _is_bare(part) else "" for part in parts
    ]
    others = (f"{subject} {lead}{part}." for lead, part in zip(leads, parts, strict=True))
    return (*filter(None, asides), f"{first}.", *others)


def _is_bare(part: str) -> bool:
    """Whether a verb stands first in its bare form, which goes on behind "must" or "will"."""
    form = verb_form(part.split()[0])
    return form is not None and form.bare == part.split()[0]


def _of_aside(topic: str, between: re.Match[str], verb: str) -> str:
    """What is said between commas behind a subject, as a statement about it; empty for what the rules do not know."""
    subject, said = between[1], between[2]
    if (relative := re.match(r"(?:who|which)\s+(?=\S+\s)", said)) and begins_with_a_verb(said[relative.end() :]):
        return f"{topic}{subject} {said[relative.end() :]}."
    if whose := re.match(r"whose\s+(?=\S+\s)", said):
        return f"{topic}{subject}'s {said[whose.end() :]}."
    if re.match(rf"(?:the|an?|known|{PASSIVE})\s", said):
        once = re.match(PASSIVE, said) and (not _LASTING.match(said) or re.search(r"\b[12]\d{3}\b", said))
        return f"{topic}{subject} {verb if verb in COPULAS else 'was' if once else 'is'} {said}."
    if PERSON.fullmatch(subject) and (post := _POST.match(said)) and (post[1].isupper() or is_noun(post[1])):
        return f"{topic}{subject} {verb if verb in COPULAS else 'is'} {said}."
    owned = subject.split()[0] in {"The", "A", "An", "Our", "My", "His", "Her", "Its", "Their"} or "'s " in subject
    if owned and not PERSON.fullmatch(subject) and _A_NAME.fullmatch(said):
        return f"{topic}{subject} {verb if verb in COPULAS else 'is'} {said}."
    return ""
