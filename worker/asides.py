"""Words of no bearing in a question, as in "Past the holiday, who is the smith of Orrin?".

Other people's questions are full of words that no passage holds, and the question word may stand among them, as in
"Beside the lamp of what, Ada Quill waits?". A model that has only heard questions of a passage's own words takes up
each foreign one, and answers with whatever it reminds of; what is told of the cue must be the answer all the same.
"""

import random
import re

_OPENINGS = """after against along amid before behind below beside despite during for from in near on over past through
    under with without""".split()
_NOUNS = """answer afternoon anchor basket bell candle chapter clock cloud corner crowd curtain dream evening feather
    fence flame friendship game hammer harbour holiday hope hunger journey kitchen ladder lamp laughter letter luck map
    market meadow meeting melody mirror moment morning needle parade patience photograph pocket promise puzzle question
    quiet ribbon river road rumour sail season secret signal silence sky smile song spirit spring stage storm story
    stranger summer surprise table thread threshold thunder trouble truth village voice wall wheel window wonder
    word""".split()
_VERBS = (
    "arrives|begins again|carries on|comes home|goes far|keeps going|listens|looks back|never rests|returns|sleeps well"
    "|smiles|stands alone|stays calm|takes part|travels on|waits|walks by|wins|works on"
).split("|")


def with_aside(question: str, cue: str, rng: random.Random) -> str:
    """The question with such words before it, or behind the cue that it holds."""
    aside = f"{rng.choice(_OPENINGS)} {_thing(rng)}"
    if rng.random() < 0.5:
        return re.sub(r",(?=[?.,])", "", question.replace(cue, f"{cue}, {aside},", 1))
    plain = question if question.startswith(cue) else question[0].lower() + question[1:]
    return _capital(f"{aside}, {plain}")


def among_asides(cue: str, word: str, rng: random.Random) -> str:
    """A question of such words alone but for the cue and its question `word`."""
    aside, verb = f"{rng.choice(_OPENINGS)} {_thing(rng)}", rng.choice(_VERBS)
    forms = (
        f"{aside} of {word}, {cue} {verb}?",
        f"{_thing(rng)} of {word} {verb} with {cue}?",
        f"{cue} {verb} {aside} of {word}?",
        f"{aside}, {cue} {verb} as {word}?",
    )
    return _capital(rng.choice(forms))


def _thing(rng: random.Random) -> str:
    return f"{rng.choice(('the', 'every', 'this'))} {rng.choice(_NOUNS)}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
