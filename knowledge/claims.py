"""Claims: what a fact says that can be true in one way only, so that a fact that says otherwise contradicts it.

Most statements leave room for others: "Ada is a smith" and "Ada is the mayor of Wend" both answer "Who is Ada?". So a
claim is read only from forms that have one answer: who holds a definite role, who made or leads something, where and
when something that happens once took place, a quantity in the present, a thing and its denial. What the rules do not
see raises no alarm: a missed contradiction is stored as any system would, a false one stops somebody's import.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from knowledge.clauses import DENIAL, Clause, clause
from knowledge.probes import Probe, ProbeOrigin, passed, same_question
from knowledge.sentences import standalone
from knowledge.words import COPULAS, MONTHS

Kind = Literal["year", "date", "day", "time", "number", "name", "word"]

_NUMBERS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
} | {"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "hundred": "100", "thousand": "1000"}
_DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_VAGUE = re.compile(r"\b(?:about|around|nearly|almost|over|under|roughly|approximately|some|than|least|most|up to)\b")
_HEDGES = frozenset({"may", "might", "could", "can", "should", "would", "must"})

# A definite description of these does not single out one: "the daughter of Cy" may be one of three.
_SHARED = frozenset(
    """
    son daughter child brother sister sibling twin cousin nephew niece uncle aunt grandson granddaughter grandchild
    parent friend colleague neighbour neighbor student pupil fan member part kind sort type form example result cause
    reason subject focus side way time day year place home one person man woman people
    """.split()
)
_QUALIFIED = re.compile(r"\b(?:vice|deputy|assistant|former|other|next|co\w*-\w+|cofounder|one of)\b", re.IGNORECASE)
# Roles that pass to somebody else are past when the sentence is; these are held for ever.
_LASTING = re.compile(
    r"\b(?:first|second|third|only|last|final|winner|author|inventor|founder|composer|discoverer|architect|painter|creator"
    r"|\d{4})\b"
)
# Of these a plain word is a value, and not one quality among many.
_ATTRIBUTES = frozenset(
    """
    colour color shape material language currency motto password passphrase nickname species genre symbol flavour flavor
    gender nationality profession occupation status format code username cuisine religion breed unit
    """.split()
)
_PLURAL_ONLY = frozenset({"headquarters", "hours", "premises"})

_LEADS = {verb: verb for verb in "leads heads runs chairs captains owns directs manages governs coaches".split()} | {
    "led": "leads", "headed": "heads", "run": "runs", "chaired": "chairs", "captained": "captains", "owned": "owns",
    "directed": "directs", "managed": "manages", "governed": "governs", "coached": "coaches",
}  # fmt: skip
_MAKES = {
    verb: verb
    for verb in "invented wrote composed founded discovered painted designed established created made built".split()
} | {"written": "wrote", "directed": "directed", "authored": "wrote", "won": "won"}

# What happens once, or holds one place or time: the word, whatever auxiliaries stand before it.
_ONCE = {
    form: forms.split()[0]
    for forms in (
        "born", "died", "founded", "established", "built", "opened", "launched", "released", "published", "completed",
        "incorporated", "created", "invented", "discovered", "located", "based", "headquartered", "situated", "buried",
        "written", "signed", "introduced", "lives", "resides", "begins begin", "starts start", "opens open",
        "closes close", "ends end", "leaves leave", "departs depart", "arrives arrive", "expires expire",
        "married", "named", "made", "retired", "lands land", "belongs", "reports", "works",
    )
    for form in forms.split()
}  # fmt: skip
_PLACES = frozenset({"in", "at", "to", "after", "for"})
_PREPOSITION = re.compile(r"\b(in|on|at|to|after|for|by|from|until|as|with)\s+")
_PAST_QUANTITIES = frozenset({"cost", "weighed", "lasted", "measured"})


@dataclass(frozen=True)
class Claim:
    """`question` in normal form, which has one `answer`."""

    question: str
    answer: str


def claims(text: str, title: str | None = None, probes: Iterable[Probe] = ()) -> tuple[Claim, ...]:
    """What a passage claims, and what the client's own probes do. Nothing for most passages."""
    found = [
        claim
        for sentence in standalone(text, title)
        if (parsed := clause(sentence)) and not parsed.pronoun
        for claim in _of_clause(parsed)
    ]
    found += [
        Claim(f"? {same_question(probe.question)}", probe.answer)
        for probe in probes
        if probe.origin == ProbeOrigin.CLIENT and not _asks_for_a_description(probe.question)
    ]
    return tuple({claim.question: claim for claim in reversed(found)}.values())


def contradicts(one: str, other: str) -> bool:
    """Whether two answers to a claim's question exclude each other: neither holds the other's words, or numbers."""
    one, other = _plain(one), _plain(other)
    numbers, others = set(re.findall(r"\d+", one)), set(re.findall(r"\d+", other))
    if numbers and others and not (numbers <= others or others <= numbers):
        return True
    return not passed(one, other) and not passed(other, one)


def _of_clause(found: Clause) -> Iterator[Claim]:
    verbs = found.verb.lower().split()
    if _HEDGES & set(verbs) or found.opening:
        return
    yield _denied(found)
    if found.denied:
        return
    if found.verb in COPULAS:
        yield from _role(found)
    yield from _agent(found)
    yield from _once(found)
    yield from _quantity(found)


def _denied(found: Clause) -> Claim:
    """The statement itself, with yes or no: "The pool is not heated", "The bus no longer stops in Wend"."""
    said = f"{found.verb} {found.complement}"
    denial = DENIAL.search(" ".join(said.split()[:4]))
    affirmed = re.sub(r"\bcan(?:not|['’]t)\b", "can", said)
    affirmed = re.sub(r"\bwon['’]t\b", "will", affirmed)
    affirmed = re.sub(r"(?<=\w)n['’]t\b|\b(?:not|never|no longer)\b", "", affirmed)
    kept = [word for word in _words(affirmed) if word not in {"do", "does", "did"}]
    if kept and kept[0] not in COPULAS:
        kept[0] = _stem(kept[0])
    return Claim(f"whether {_normal(found.subject)} {' '.join(kept)}", "no" if denial else "yes")


def _role(found: Clause) -> Iterator[Claim]:
    """Who holds a role: "The mayor of Wend is Ada", "Ada is the mayor of Wend"."""
    is_past = found.verb in {"was", "were"}
    if (role := _description(found.subject, is_past)) and not _VAGUE.search(found.complement):
        value = re.split(r",\s+(?=[a-z])", found.complement)[0]
        kind = _kind(value)
        if kind not in {"word", "number"} or (_head(role) in _ATTRIBUTES and len(value.split()) == 1):
            yield Claim(role, value)
    complement = re.split(r",|\s(?:since|as of)\s", found.complement)[0]
    is_ended = re.search(r"\b(?:from|until|between)\b", complement)
    if found.verb in {"is", "was"} and not is_ended and " of " in f" {_role_order(complement)} ":
        role = _description(complement, is_past)
        if role and _kind(found.subject) == "name":
            yield Claim(role, found.subject)


def _agent(found: Clause) -> Iterator[Claim]:
    """Who leads or made something: "Ada leads the Observatory", "The Pluvio was invented by Ada"."""
    passive = re.match(r"(\w+)\s+by\s+(.+)", found.complement) if found.verb in COPULAS else None
    if passive:
        verb, agent, patient = passive[1].lower(), passive[2], found.subject
        action = _MAKES.get(verb) or (_LEADS.get(verb) if found.verb in {"is", "are"} else None)
    else:
        verb, agent, patient = found.verb.lower(), found.subject, found.complement
        action = _MAKES.get(verb) or (_LEADS.get(verb) if verb.endswith("s") else None)
    patient, agent = _without_when(patient), _without_when(agent)
    is_one = action != "won" or re.search(r"\d{4}", patient)
    if action and is_one and _is_specific(patient) and _kind(agent) == "name":
        yield Claim(f"who {action} {_normal(patient)}", agent)


def _once(found: Clause) -> Iterator[Claim]:
    """Where and when: "Ada was born in Orrin on 3 May", "The museum opens at 9:00", "The meeting is on Monday"."""
    verbs, rest = found.verb.lower().split(), found.complement
    event = verbs[-1]
    if verbs[-1] in COPULAS | {"be", "been"}:
        first, _, after = rest.partition(" ")
        if first.lower() in _ONCE:
            event, rest = first.lower(), after
        else:
            event = "is"
    if (event != "is" and event not in _ONCE) or _VAGUE.search(rest):
        return
    pieces = _PREPOSITION.split(rest)
    if pieces[0].strip():
        return
    seen: set[str] = set()
    for preposition, phrase in zip(pieces[1::2], pieces[2::2], strict=True):
        value = re.split(r",\s+(?=[a-z])|\s+(?:and|but|where|who|which)\s", phrase)[0].strip(" ,")
        kind = _kind(value)
        if kind == "word" or (kind == "name" and preposition not in _PLACES) or (kind == "number" and event == "is"):
            continue
        how = preposition if kind == "name" else kind
        if how not in seen:
            seen.add(how)
            yield Claim(f"{_normal(found.subject)} {_ONCE.get(event, event)} {how}", value)


def _quantity(found: Clause) -> Iterator[Claim]:
    """How many for this subject, verb and unit: "The Corvo 3 costs 49 euros"."""
    verb = found.verb.lower()
    now = verb in {"is", "are", "has", "have", "take", "cost"} or (verb.endswith("s") and verb not in COPULAS)
    if not (now or verb in _PAST_QUANTITIES) or _VAGUE.search(found.complement):
        return
    complement = _plain(found.complement)
    measure = re.match(r"an? (\w+(?: \w+)?) of (?=\W?\d)", complement)  # "has a range of 320 kilometres"
    amount = re.match(r"[^\w\s]?\s?(\d+(?:[.:/–-]\d+)*)(?!\w)", complement[measure.end() if measure else 0 :])
    if amount and (measure or _kind(found.complement.split(",")[0]) == "number"):
        after = complement[(measure.end() if measure else 0) + amount.end() :].split(",")[0]
        unit = " ".join(_stem(word) for word in _words(f"{measure[1] if measure else ''} {after}"))
        yield Claim(f"{_normal(found.subject)} {_stem(verb)} {unit}", amount[1])


def _description(phrase: str, is_past: bool) -> str | None:
    """The normal form of a phrase that singles out one thing: "the mayor of Wend", "Wend's mayor"; else None."""
    if not re.match(r"(?:the|our|their|my)\s", phrase, re.IGNORECASE) and not re.search(r"['’]s?\s", phrase):
        return None
    role = _normal(_role_order(phrase))
    head = _head(role)
    plural = re.search(r"[^su]s$", head) and head not in _PLURAL_ONLY
    if not head or plural or head in _SHARED or _QUALIFIED.search(phrase) or (is_past and not _LASTING.search(role)):
        return None
    return role


def _role_order(phrase: str) -> str:
    """With the owner behind: "Wend's mayor" → "mayor of Wend"."""
    owned = re.fullmatch(r"(.+?)['’]s?\s+([a-z].*)", phrase)
    return f"{owned[2]} of {owned[1]}" if owned else phrase


def _head(role: str) -> str:
    """The noun of a description in normal form: what stands before its first preposition; empty for none."""
    before = re.split(r" (?:of|for|in|at|to|on|from|with|that|who|which) ", f" {role} ")[0].split()
    return before[-1] if before else ""


def _kind(phrase: str) -> Kind:
    """What an answer looks like: two answers of different kinds answer different questions."""
    body = re.sub(r"^(?:the|a|an)\s+", "", phrase.strip(), flags=re.IGNORECASE)
    first = body.split()[0].strip("“\"'‘,") if body.split() else ""
    if re.search(rf"\b(?:{MONTHS})\b", body) and (re.search(r"\d", body) or re.fullmatch(MONTHS, first)):
        return "date"
    if re.match(rf"(?:{_DAYS})", first):
        return "day"
    if re.match(r"\d{1,2}[:.]\d\d\b|\d{1,2}(?:[:.]\d\d)?\s?[ap]\.?m\b|noon\b|midnight\b", body):
        return "time"
    if re.fullmatch(r"\d{4}", body):
        return "year"
    if re.match(r"\W?\d", body) or first.lower() in _NUMBERS:
        return "number"
    is_adjective = len(body.split()) == 1 and re.search(r"(?:ian|ish|ese|ic)$", first)
    return "name" if first[:1].isupper() and not is_adjective and not phrase.startswith(("a ", "an ")) else "word"


def _is_specific(phrase: str) -> bool:
    """Whether it names something: "the Tolvik Observatory" and not "the team"."""
    return re.search(r"(?:^|\s)[“\"'‘]?(?:[^\W\d_a-z]|\d)", re.sub(r"^(?:The|A|An)\s", "", phrase)) is not None


def _without_when(phrase: str) -> str:
    """Without what follows a comma, and without a time: "Acme in 1990" → "Acme"."""
    return re.split(rf",|\s(?:in|on|at|since|with)\s(?=\d|{MONTHS}|{_DAYS})|\s(?:with|together|alongside)\s", phrase)[0]


def _asks_for_a_description(question: str) -> bool:
    """Whether it has many answers: "Who is Ada?" has, and "Who is the mayor of Wend?" has one."""
    asked = re.match(r"(?:who|what)\s+(?:is|are|was|were)\s+(.+)", question.strip(), re.IGNORECASE)
    return asked is not None and _description(asked[1].rstrip(" ?"), is_past=False) is None


def _plain(phrase: str) -> str:
    """Numbers as digits without separators."""
    joined = re.sub(r"(?<=\d)[,\u00a0\u202f](?=\d{3}\b)", "", phrase)
    return re.sub(r"[A-Za-z]+", lambda word: _NUMBERS.get(word[0].lower(), word[0]), joined)


def _words(phrase: str) -> list[str]:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", phrase).casefold())
    return [word for word in words if word not in {"a", "an", "the"}]


def _normal(phrase: str) -> str:
    return " ".join(_words(phrase))


def _stem(word: str) -> str:
    return re.sub(r"(?<=[^s])s$", "", word)
