"""How well texts cover a question, by the words they share.

The score is the share of the question's words that a text has, where a word counts by its rarity among the texts
(Spärck Jones 1972, the idf of BM25) and a name, a number or a word that no dictionary has counts triple. BM25's own sum
has no natural threshold; a share has one, and passages are short and of one length, so BM25's length terms have nothing
to do.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence

from knowledge.verbs import is_unknown

NAME_WEIGHT = 3.0

ENOUGH = 2.0
"""Two ordinary words, or a name: one alone, as the month of "How many months are in a year?", says little."""

_CJK_RANGES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_CJK = re.compile(f"[{_CJK_RANGES}]")
_WORD = re.compile(rf"[{_CJK_RANGES}]+|[^\W_{_CJK_RANGES}]+")
_STOP_WORDS = frozenset(
    "a about am an and any are as at be been being by can could did do does for from had has have he her him his how i "
    "in into is it its many me much my name named of on or our please s she so t tell than that the their them then "
    "there these they this those to us was we were what when where which who whom whose why will with would you your"
    "".split()
)


class Index:
    """Texts made ready for many questions: a question costs as much as the texts that share a word with it."""

    def __init__(self, texts: Sequence[str]) -> None:
        is_unknown("")  # reads the dictionary now, not at the first question
        self._size = len(texts)
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            for stem in set(_stems(text)):
                self._places[stem].append(place)

    def scores(self, question: str) -> dict[int, float]:
        """By a text's place, the share 0..1 of the question's weight that it holds; texts that hold none are absent.

        It is halved where that is one ordinary word of several.
        """
        importances = _weights(question)
        weights = {
            stem: importance * math.log(1 + self._size / max(1, len(self._places.get(stem, ()))))
            for stem, importance in importances.items()
        }
        total = sum(weights.values())
        found: dict[int, float] = defaultdict(float)
        evidence: dict[int, float] = defaultdict(float)
        for stem, weight in weights.items():
            for place in self._places.get(stem, ()):
                found[place] += weight
                evidence[place] += importances[stem]
        return {
            place: weight / total * (1.0 if len(weights) == 1 else min(1.0, evidence[place] / ENOUGH))
            for place, weight in found.items()
        }


def _weights(question: str) -> dict[str, float]:
    """Each distinct stem of the question that says something, with its weight before rarity."""
    weights: dict[str, float] = {}
    for word in _WORD.findall(question):
        if word.lower() in _STOP_WORDS:
            continue
        weight = NAME_WEIGHT if word[0].isupper() or word[0].isdigit() or is_unknown(word) else 1.0
        for stem in _stems(word):
            weights[stem] = max(weight, weights.get(stem, 0.0))
    return weights


def _stems(text: str) -> list[str]:
    """Lower-case words without a plural s, cut to six letters (direct, directed, director); pairs of CJK characters."""
    stems: list[str] = []
    for word in _WORD.findall(text):
        if _CJK.match(word):
            stems += [word[start : start + 2] for start in range(max(1, len(word) - 1))]
        else:
            lower = word.lower()
            stems.append(lower.removesuffix("s")[:6] if len(lower) > 3 else lower)
    return stems
