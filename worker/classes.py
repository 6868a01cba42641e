"""What sort of thing a name belongs to, as people ask for it: "which race", "which university". By rule."""

import random
import re

from knowledge.clauses import MOST_WORDS, PERSON, Clause, lower_article
from knowledge.statements import described
from knowledge.verbs import surely_a_noun
from knowledge.words import CLASSES, DETERMINERS, FUNCTION_WORDS, LEADING_CLASSES
from worker.spans import NAME, spans

_BEHIND_A_NAME = re.compile(
    rf"(?P<name>[Tt]he\s(?:{NAME}))\s(?P<noun>(?:(?!(?:{'|'.join(sorted(FUNCTION_WORDS))})\b)[a-z-]+\s)?[a-z]+)"
)
"""The nouns that a thing's name may end with: of "The Orrin 500 washing machine" "washing machine"."""

_OF_A_NAME = re.compile(rf"(?P<noun>\w+) of {NAME}")

_BEFORE_A_NAME = re.compile(rf"\b(?:{'|'.join(sorted(DETERMINERS))})\s(?:[a-z-]+\s){{0,2}}?(?P<noun>[a-z]+)\s$")
"""A noun with its own name: "her ship Tern", "the folding kayak Ottolo"."""

_POST = re.compile(
    rf"(?P<post>the\s(?:(?!(?:{'|'.join(sorted(FUNCTION_WORDS))})\b)[\w'’-]+\s){{1,4}}?(?:of|at|in|for|on|behind)) "
    r"(?P<of>[^,]+)",
    re.IGNORECASE,
)
"""What somebody or something is, of what: "the head nurse at Sunder Clinic"."""

_ARTICLE = re.compile(r"(?:the|an?)\s", re.IGNORECASE)

_KIN = re.compile(
    r"\b(?:sister|brother|mother|father|parent|son|daughter|child|wife|husband|widow|widower|uncle|aunt|friend)s?\b"
)
"""What somebody is to another, and no post."""

KIND_OF = ("What kind of thing is {}?", "What sort of thing is {}?", "{} is what kind of thing?")
"""Questions for the kind of a thing. Not "What is {}?", which asks as well for all else that is told of it."""

_POST_OF = ("What {1} {0}'s post?", "What {1} {0}'s job?", "What {1} the role of {0}?", "Which post {1} {0}'s?")


def class_of(found: Clause) -> str:
    """What a statement says that its subject is, without an article: "running race"; empty where it does not."""
    thing = described(found)
    return _ARTICLE.sub("", thing["thing"].rstrip(), count=1) if thing else ""


def class_at(sentence: str, start: int, end: int) -> str:
    """The noun by which a name is asked for, from its own words or the one before it; empty where none is known."""
    piece = _ARTICLE.sub("", sentence[start:end], count=1)
    if (of := _OF_A_NAME.fullmatch(piece)) and of["noun"].lower() in CLASSES:
        return of["noun"].lower()
    if (behind := _BEHIND_A_NAME.fullmatch(sentence[start:end])) and surely_a_noun(behind["noun"].split()[-1]):
        return behind["noun"]
    if not re.fullmatch(NAME, piece):
        return ""
    words = piece.lower().split()
    if len(words) > 1 and (words[-1] in CLASSES or words[0] in LEADING_CLASSES):
        return words[-1] if words[-1] in CLASSES else words[0]
    before = _BEFORE_A_NAME.search(sentence[:start])
    return before["noun"] if before and surely_a_noun(before["noun"]) else ""


def kind_question(sentence: str, rng: random.Random) -> tuple[str, str] | None:
    """What kind of thing a name is that stands beside its noun, and that noun; None where none does.

    Of "The Orrin 500 washing machine" a washing machine; "Wend Bridge" tells it itself.
    """
    told = []
    for start, end in spans(sentence):
        if behind := _BEHIND_A_NAME.fullmatch(sentence[start:end]):
            told.append((behind["name"], class_at(sentence, start, end)))
        elif _BEFORE_A_NAME.search(sentence[:start]):
            told.append((sentence[start:end], class_at(sentence, start, end)))
    told = [(name, noun) for name, noun in told if noun and noun not in name.lower() and name[-2:] not in {"'s", "’s"}]
    if not told:
        return None
    name, noun = rng.choice(told)
    question = rng.choice(KIND_OF).format(lower_article(name))
    return question[0].upper() + question[1:], noun


def post_question(found: Clause, rng: random.Random) -> tuple[str, str] | None:
    """Of "The mayor of Wend is Ada Quill", either way round, Ada's post or what she is the mayor of, and the answer."""
    if not found.copula or found.denied or found.pronoun or len(found.complement.split()) > MOST_WORDS:
        return None
    for holder, told in ((found.complement, found.subject), (found.subject, found.complement)):
        post = _POST.fullmatch(told)
        if post and re.fullmatch(rf"(?:[Tt]he )?{NAME}", holder) and re.search(NAME, post["of"]):
            if rng.random() < 0.5 and PERSON.fullmatch(holder) and not _KIN.search(post["post"]):
                return rng.choice(_POST_OF).format(holder, found.verb), told
            named = class_at(post["of"], 0, len(post["of"]))
            what = rng.choice((f"which {named}", f"what {named}")) if named else rng.choice(("what", "which one"))
            who, as_what = lower_article(holder), lower_article(post["post"])
            question = rng.choice((f"{what} {found.verb} {who} {as_what}?", f"{who} {found.verb} {as_what} {what}?"))
            return question[0].upper() + question[1:], post["of"]
    return None
