"""Which word of a statement is its verb, and where the next verbs of the same subject stand. By rule and dictionary."""

import re

from knowledge.verbs import is_noun, is_plural, never_a_verb, verb_form
from knowledge.words import (
    ADVERBS,
    ADVERBS_OF_MANNER,
    AUXILIARIES,
    BEFORE_A_PARTICIPLE,
    CONJUNCTIONS,
    COPULAS,
    DETERMINERS,
    FREE_RELATIVES,
    FUNCTION_WORDS,
    KNOWN_VERBS,
    MODALS,
    NUMERALS,
    PARTICLES,
    PEOPLE,
    PLURAL_MODIFIERS,
    PLURAL_VERBS,
    PLURAL_VERBS_OR_NOUNS,
    PREPOSITIONS,
    RELATIVES,
    SUBORDINATORS,
    VERBS,
    VERBS_OR_NOUNS,
)

PASSIVE = (
    r"\w+ed|born|made|built|held|sold|led|run|won|found|kept|written|sung|drawn|given|taken|shown|chosen|brought|taught|sent"
    r"|told|paid|laid|set|cut|shot|driven|grown|thrown|worn|begun|seen|spoken|stolen|struck|spent"
    r"|beaten|bought|bound|bred|broken|broadcast|burnt|caught|cast|dealt|done|drunk|dug|eaten|fed|fined|flown|forbidden"
    r"|forgotten|fought|frozen|heard|hidden|hit|hung|hurt|lent|lit|lost|meant|overseen|put|read|rebuilt|ridden|rung"
    r"|sewn|shut|split|spread|spun|swept|swum|thought|torn|undertaken|understood|withdrawn|woken|woven|wound|wrapped"
)
"""A participle behind "is" or "was"."""

_NEXT = re.compile(
    r",?\s(?:and|but)\s(?:(?:also|later|now|soon|then)\s)?(?=(?P<verb>[a-z]+(?:n['’]t)?)\s(?P<after>\S+)(?:\s(?P<then>\S))?)"
)

_COMMA = re.compile(_NEXT.pattern.replace(r",?\s(?:and|but)", ",", 1))

_OBJECT = re.compile(r"(?:the|an?|its|his|her|their|it|no|any|all|every|each|some)\b|[^\W_a-z]")

_NEVER_BEFORE = DETERMINERS | PREPOSITIONS | CONJUNCTIONS
_SURE_VERBS = AUXILIARIES | KNOWN_VERBS | PLURAL_VERBS


def verb_place(words: list[str], quoted: list[bool]) -> int | None:
    """Where the verb of a statement's words stands; None where the rules see none. `quoted` words are no verbs."""
    end = next((place for place, word in enumerate(words) if place and word in SUBORDINATORS), None)
    if end and (place := verb_place(words[:end], quoted)):
        return place  # "Queries time out unless the flag is set"
    relative = 0
    for place, word in enumerate(words):
        if quoted[place]:
            continue
        if word in RELATIVES if place else word in FREE_RELATIVES:
            relative += 1
        verb = place > 0 and word.islower() and (_is_verb(words, place) or _of_a_relative(words, place))
        if verb and relative:
            relative -= 1  # the verb of the relative clause: "The firm that makes X | is Y"
        elif verb and (words[place - 1].lower() not in _NEVER_BEFORE or (place == 1 and _stands_for(words))):
            if word in _SURE_VERBS:
                return place
            if word not in KNOWN_VERBS and is_plural(word) and _behind_a_person(words, place - 1):
                return place - 1  # "Ada Quill repairs clocks in Wend"
            behind_a_name = place > 1 and not words[place - 1].islower()
            several = None if behind_a_name else _verb_of_several(words, place, quoted)
            return _surer_verb(words, place, quoted) or several or place
    heads = (place for place, word in enumerate(words) if word.lower() in PEOPLE or is_plural(word.lower()))
    several = next(heads, None)
    if several is not None and (place := _verb_of_several(words, several, quoted)):
        return place
    return next((place for place in range(2, len(words) - 1) if _follows_a_name(words, place, quoted)), None)


def _stands_for(words: list[str]) -> bool:
    """Whether a statement begins with "This was", which stands for what was said before."""
    return words[0] in {"This", "That", "These", "Those"} and words[1] in AUXILIARIES


def _behind_a_person(words: list[str], place: int) -> bool:
    """Whether a verb of a third person stands behind two to four capitalised words, which begin the statement."""
    form = verb_form(words[place])
    named = 2 <= place <= 4 and all(word[0].isupper() for word in words[:place]) and words[0].lower() not in DETERMINERS
    return named and form is not None and form.third


def _verb_of_several(words: list[str], head: int, quoted: list[bool]) -> int | None:
    """Where the verb in its bare form stands behind a plural, be it a noun elsewhere: "Buses of line 14 stop at …".

    None where the head is no plural, or none of what stands before it could be of a subject.
    """
    if not (words[head].lower() in PEOPLE or is_plural(words[head].lower())) or any(
        word.lower() in PREPOSITIONS | CONJUNCTIONS | RELATIVES or word.endswith(",") for word in words[:head]
    ):
        return None
    if words[head + 1 : head + 2] and words[head + 1].lower() in DETERMINERS:
        return None  # "manufactures the kayak"
    ends = (place for place in range(head + 1, len(words) - 1) if words[place - 1].endswith((",", ";", ":")))
    here = [place for place in range(head + 1, next(ends, len(words) - 1)) if not quoted[place]]
    found = [place for place in here if _may_begin(words, place)]
    surer = (place for place in here if found and place < found[0] and _is_verb(words, place))
    if place := next(surer, None):
        return place
    if len(found) > 1 and words[found[0] - 2].lower() in DETERMINERS and is_noun(words[found[0]]):
        return found[1]  # "Members of the book club in Wend vote on …"
    return found[0] if found else None


def _may_begin(words: list[str], place: int) -> bool:
    """Whether a bare verb stands here, with what can begin a complement behind it and a noun or a name before it."""
    before, word, after = words[place - 1].lower(), words[place], words[place + 1]
    form = verb_form(word)
    if form is None or form.bare != word or before in FUNCTION_WORDS | ADVERBS or before.endswith(("'s", "’s")):
        return False
    if words[place - 1].islower() and before not in NUMERALS and not is_noun(before) and not is_plural(before):
        return False
    if (
        not words[place - 1].islower()
        and words[place - 2].lower() in DETERMINERS
        and is_noun(word)
        and after in PREPOSITIONS
    ):
        return False  # "the Wend war in June"
    begins = after.lower() in DETERMINERS | PREPOSITIONS - {"of"} or not after[0].islower() or is_plural(after)
    return begins or after in ADVERBS_OF_MANNER | PARTICLES or after.endswith("ly")


def _of_a_relative(words: list[str], place: int) -> bool:
    """Whether a verb follows its "who" or "which", if it looks like a noun too: "who rent a cabin"."""
    return words[place - 1] in {"who", "which"} and verb_form(words[place]) is not None


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


def verb_end(words: list[str], place: int) -> int:
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
    if (
        words[place] in BEFORE_A_PARTICIPLE - COPULAS
        and words[place + 1 : place + 2] == ["to"]
        and place + 3 < len(words)
    ):
        return place + 2 + (words[place + 2] == "be" and re.fullmatch(PASSIVE, words[place + 3]) is None)
    if words[place] in MODALS and place + 3 < len(words) and words[place + 1] in ADVERBS - {"not"}:
        last += 1 if words[place + 2] == "be" else 2
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


def begins_with_a_verb(told: str) -> bool:
    """Whether the first word can be a finite verb, as a statement about one has it."""
    word = told.split()[0]
    form = verb_form(word)
    return word in VERBS or (form is not None and (form.past or form.third))
