"""Who does what, told by a noun or by a verb: the founder of a thing is who founded it. By rule.

English makes one of the other with an ending, and people ask with either. What was taught with the noun alone is asked
for with the verb as well, and the reverse. Of somebody by name only: "the number of guests" numbs nobody.
"""

import random
import re

from knowledge.clauses import PERSON, Clause, lower_article
from knowledge.verbs import doer, finite, verb_form, verb_of_doer
from knowledge.words import AUXILIARIES
from worker.adjuncts import taken_apart

_DOER = re.compile(r"(?:[Tt]he\s)?(?P<noun>[a-z]+(?:er|or)) of (?P<of>[^,]+)")
_ONCE = frozenset("builder composer creator designer discoverer founder inventor maker painter winner writer".split())
"""What somebody is for what they did once: the inventor of a thing invented it, also while "is" says so."""


def agent_question(found: Clause, rng: random.Random) -> tuple[str, str] | None:
    """Of "The inventor of the Orrin is Ada Quill": who invented the Orrin, what Ada Quill invented; and the answer.

    Of "Ada Quill invented the Orrin", who its inventor is. None where no person does anything.
    """
    if found.denied or found.pronoun:
        return None
    return (_by_verb if found.copula else _by_noun)(found, rng)


def _by_verb(found: Clause, rng: random.Random) -> tuple[str, str] | None:
    for holder, told in ((found.complement, found.subject), (found.subject, found.complement)):
        told_of = _DOER.fullmatch(told)
        if not told_of or not PERSON.fullmatch(holder) or not (bare := verb_of_doer(told_of["noun"])):
            continue
        past = found.verb in {"was", "were"} or told_of["noun"] in _ONCE
        does = finite(bare, past=past)
        if rng.random() < 0.3:
            return f"What {'did' if past else 'does'} {holder} {bare}?", told_of["of"]
        frames = ("Who {0} {1}?", "Who {0} {1}?", "Do you know who {0} {1}?", "Who was it that {0} {1}?")
        return rng.choice(frames[: 4 if past else 3]).format(does, lower_article(told_of["of"])), holder
    return None


def _by_noun(found: Clause, rng: random.Random) -> tuple[str, str] | None:
    form = None if found.verb in AUXILIARIES else verb_form(found.verb)
    if form is None or not PERSON.fullmatch(found.subject):
        return None
    noun, (point, _) = doer(form.bare), taken_apart(found)
    if not noun or not re.match(r"(?:[Tt]he\s)?[^\W\d_a-z]|the\s", point):
        return None
    return f"{rng.choice(('Who is', 'Who was') if form.past else ('Who is',))} the {noun} of {point}?", found.subject
