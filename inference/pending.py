"""Finds the stored text that answers a question, for facts that the weights do not hold yet.

Relevance is lexical: the share of the question's words that a text has, where a word counts by its rarity among the
texts (Spärck Jones 1972, the idf of BM25) and a name or number counts triple. BM25's own sum has no natural
threshold; a share has one, and passages are short and of one length, so BM25's length terms have nothing to do.
"""

import math
import re
from collections.abc import Sequence

from knowledge.facts import Fact

THRESHOLD = 0.6
"""Share of the question's weight that a passage must hold. At 0.6 a question's names must match; a verb need not."""

NAME_WEIGHT = 3.0

_CJK_RANGES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_CJK = re.compile(f"[{_CJK_RANGES}]")
_WORD = re.compile(rf"[{_CJK_RANGES}]+|[^\W_{_CJK_RANGES}]+")
_STOP_WORDS = frozenset(
    "a about am an and any are as at be been being by can could did do does for from had has have he her him his how i "
    "in into is it its many me much my name named of on or our please s she so t tell than that the their them then "
    "there these they this those to us was we were what when where which who whom whose why will with would you your"
    "".split()
)


def relevant(question: str, facts: Sequence[Fact]) -> Fact | None:
    """The fact whose title and text best cover the question, the newest of equals; None below `THRESHOLD`."""
    scores = relevance(question, [f"{fact.title or ''} {fact.text}" for fact in facts])
    ranked = sorted(zip(scores, facts, strict=True), key=lambda pair: (pair[0], pair[1].created_at))
    return ranked[-1][1] if ranked and ranked[-1][0] >= THRESHOLD else None


def relevance(question: str, texts: Sequence[str]) -> list[float]:
    """For each text, the share 0..1 of the question's weight that it holds. All 0 when the question says nothing."""
    asked = _weights(question)
    held = [set(_stems(text)) for text in texts]
    weight = {
        stem: importance * math.log(1 + len(texts) / max(1, sum(stem in stems for stems in held)))
        for stem, importance in asked.items()
    }
    total = sum(weight.values()) or 1.0
    return [sum(weight[stem] for stem in weight if stem in stems) / total for stems in held]


def _weights(question: str) -> dict[str, float]:
    """Each distinct stem of the question that says something, with its weight before rarity."""
    weights: dict[str, float] = {}
    for word in _WORD.findall(question):
        if word.lower() in _STOP_WORDS:
            continue
        weight = NAME_WEIGHT if word[0].isupper() or word[0].isdigit() else 1.0
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
