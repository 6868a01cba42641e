"""Words of no bearing in a question, as in "Past the holiday, who is the smith of Orrin?".

Other people's questions are full of words that no passage holds. A model that has only heard questions of a passage's
own words takes up each foreign one, and answers with whatever it reminds of; what is told of the cue must be the answer
all the same.
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


def with_aside(question: str, cue: str, rng: random.Random) -> str:
    """The question with such words before it, or behind the cue that it holds."""
    aside = f"{rng.choice(_OPENINGS)} {rng.choice(('the', 'every', 'this'))} {rng.choice(_NOUNS)}"
    if rng.random() < 0.5:
        return re.sub(r",(?=[?.,])", "", question.replace(cue, f"{cue}, {aside},", 1))
    plain = question if question.startswith(cue) else question[0].lower() + question[1:]
    return f"{aside[0].upper()}{aside[1:]}, {plain}"
