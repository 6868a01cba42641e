"""Forms of English verbs, from the dictionary of `lemminflect`: which word can be a finite verb, and of which one.

The dictionary holds no frequencies: that "feeds" may be a noun is all that it says. Where a form belongs to two verbs,
the past is meant ("found" is of "find"): statements tell what was, and seldom order to found.
"""

from dataclasses import dataclass
from functools import lru_cache

from lemminflect import getAllInflections, getAllLemmas, getInflection

from knowledge.words import AUXILIARIES

_DOERS = (("er", ""), ("or", ""), ("r", ""), ("or", "e"), ("ier", "y"))
"""Endings of who does it, and what the verb has instead: a founder founds, a supplier supplies."""


@dataclass(frozen=True)
class VerbForm:
    """A finite form: its bare form, whether it is of the past, and whether the word may be something else too.

    `third` is whether it belongs to one alone: "feeds".
    """

    bare: str
    past: bool
    third: bool
    otherwise: bool

    @property
    def auxiliary(self) -> str:
        """What a question about it begins with: "did", "does", "do"."""
        return "did" if self.past else "does" if self.third else "do"


@lru_cache(maxsize=20_000)
def verb_form(word: str) -> VerbForm | None:
    """The word as a finite verb in the past or of a third person; None for all others, and for unknown words."""
    readings = getAllLemmas(word) if word.islower() else {}
    otherwise = any(of != "VERB" for of in readings)
    for tag in ("VBD", "VBZ", "VBP"):
        for lemma in readings.get("VERB", ()):
            if word in getAllInflections(lemma, "VERB").get(tag, ()):
                return VerbForm(lemma, tag == "VBD", tag == "VBZ", otherwise)
    return None


@lru_cache(maxsize=20_000)
def never_a_verb(word: str) -> bool:
    """Whether the dictionary knows the word and no verb of that form: "drivers"."""
    readings = getAllLemmas(word)
    return bool(readings) and "VERB" not in readings


@lru_cache(maxsize=20_000)
def is_noun(word: str) -> bool:
    """Whether the dictionary knows the word as a noun, and as no adverb: "fever", not "daily"."""
    readings = getAllLemmas(word) if word.islower() else {}
    return "NOUN" in readings and "ADV" not in readings


@lru_cache(maxsize=20_000)
def is_adjective(word: str) -> bool:
    """Whether the dictionary knows the word as an adjective: "free", "due"."""
    return word.islower() and "ADJ" in getAllLemmas(word)


@lru_cache(maxsize=20_000)
def surely_a_noun(word: str) -> bool:
    """Whether the dictionary knows the word as a noun, and neither as an adjective nor as an adverb: "kayak"."""
    readings = getAllLemmas(word) if word.islower() else {}
    return "NOUN" in readings and not {"ADJ", "ADV"} & set(readings)


@lru_cache(maxsize=20_000)
def may_be_a_noun(word: str) -> bool:
    """Whether the dictionary knows the word as a noun or not at all: "firm", "pub", not "largest"."""
    readings = getAllLemmas(word)
    return not readings or "NOUN" in readings


@lru_cache(maxsize=20_000)
def is_unknown(word: str) -> bool:
    """Whether the dictionary has the word in no form, as the name of a new thing: "brallo"."""
    return not getAllLemmas(word.lower())


@lru_cache(maxsize=20_000)
def is_plural(word: str) -> bool:
    """Whether the word is the plural of a noun: "customers"."""
    return any(word != lemma for lemma in getAllLemmas(word).get("NOUN", ()))


def finite(bare: str, *, past: bool) -> str:
    """The verb as its past or as its third person: "invented", "invents"."""
    return str(getInflection(bare, "VBD" if past else "VBZ")[0])


@lru_cache(maxsize=20_000)
def verb_of_doer(noun: str) -> str:
    """The verb that a doer's noun is made of: "invent" of "inventor"; empty where it is of none."""
    for ending, instead in _DOERS:
        stem = noun.removesuffix(ending) if noun.endswith(ending) else ""
        for verb in (stem + instead, stem[:-1] if stem[-1:] == stem[-2:-1] else ""):
            if len(verb) > 2 and verb not in AUXILIARIES and verb in getAllLemmas(verb).get("VERB", ()):
                return verb
    return ""


@lru_cache(maxsize=20_000)
def doer(verb: str) -> str:
    """The noun for who does it: "inventor" of "invent"; empty where the dictionary has none."""
    stems = (verb.removesuffix("e"), verb + verb[-1])
    nouns = (stem + ending for stem in stems for ending in ("er", "or"))
    return next((noun for noun in nouns if surely_a_noun(noun) and verb_of_doer(noun) == verb), "")
