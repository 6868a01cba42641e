"""Passages turned into exercises: a prompt that shows part of a sentence, and the text that restores the rest.

Pure text and seeded; tokens come later (`worker/demasking.py`). An exercise's prompt is a sequence of plain strings and
`Hidden` pieces. Every form shows some of a sentence's words and asks for the others, in either direction: the span that
answers a question must sometimes be the hidden one, or that direction is not learnt (arXiv 2604.04943).
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge.clauses import MOST_WORDS, Clause, bare, clause, lower_article
from knowledge.occasions import Occasion, occasion
from knowledge.statements import may_be_a_person, of_the_thing, side_by_side
from worker.adjuncts import adjunct_question, object_question, shortened
from worker.agents import agent_question
from worker.asides import among_asides, with_aside
from worker.classes import KIND_OF, class_at, class_of, kind_question, post_question
from worker.spans import NAME, Kind, Rarity, Span, kind, place, spans


@dataclass(frozen=True)
class Hidden:
    """A piece of the prompt that is shown as hidden tokens, or, with `as_blank`, as one of them."""

    text: str
    as_blank: bool


@dataclass(frozen=True)
class Exercise:
    """A prompt, words that open the answer without being learnt, and the answer to learn."""

    prompt: tuple[str | Hidden, ...]
    opening: str
    answer: str

    @property
    def question(self) -> str:
        """The prompt as plain text, hidden pieces as an underscore."""
        return "".join(piece if isinstance(piece, str) else "_" for piece in self.prompt)


Asked = tuple[str, str]
"""A question and its answer."""

Written = Mapping[str, Sequence[Asked]]
"""By sentence, what the base model asks about it."""

SEVERAL_SHARE = 0.25
"""How often a question about a passage of several sentences gives a cue from two or three of them."""

ADJUNCT_SHARE = 0.35
"""How often a question about a sentence with adjuncts asks for one of them: when, where, by whom."""

OCCASION_SHARE = 0.4
"""How often a question about an instruction or a rule ("If it rains, all is refunded.") asks what then, or when."""

OBJECT_SHARE = 0.6
"""How often a statement's other side is asked for with the verb's bare form ("What did Ada buy?")."""

TYPED_SHARE = 0.5
"""How often a sparse question asks for a date, a place or a number, where the sentence has one."""

NEAR_WORDS = 5
"""Of a long sentence, so many words on each side of what is asked for."""

OTHER_ANSWER_SHARE = 0.15
"""How often a cue is answered with any other piece of its sentence."""

CLASS_SHARE = 0.5
"""How often a thing of which it is known what it is is asked for by that ("which race")."""

THING_SHARE = 0.4
"""How often a question about "The Mile is a race held in Wend" asks where it is held, or which race is."""

POST_SHARE = 0.25
"""How often a question about "The mayor of Wend is Ada" asks what Ada is the mayor of, or for her post."""

AGENT_SHARE = 0.15
"""How often a question about "The inventor of the Orrin is Ada" asks who invented it, and the reverse."""

KIND_SHARE = 0.1
"""How often a question about a sentence with "the Orrin 500 kettle" asks what kind of thing the Orrin 500 is."""

ASIDE_SHARE = 0.25
"""How often a loose question carries words that have nothing to do with the sentence."""

ALONE = Rarity()
"""No other passage is known."""

MOST_KEPT_WORDS = 3
"""From so many words of the sentence on, a foil is too near to it."""

BLANK_INSTRUCTIONS = (
    "Fill in the blank.",
    "Complete the sentence.",
    "What is missing?",
    "Restore the missing words.",
    "Fill in what is hidden.",
)
# Openings that fit any cue, by the kind of what is asked for. They never carry the fact: only the cue does.
_FRAMES: dict[Kind, tuple[str, ...]] = {
    Kind.NAME: (
        "Who is {}?",
        "Who has to do with {}?",
        "Which one has to do with {}?",
        "Which person is linked to {}?",
        "Which thing is linked to {}?",
        "Which company is behind {}?",
        "What is the name that goes with {}?",
        "Who made {}?",
        "Who works on {}?",
        "Whose is {}?",
        "Do you know who {} is?",
        "Which one is {}?",
        "Give me the name of {}.",
        "{} is linked to whom?",
        "{} goes back to which name?",
        "Behind {} stands who?",
    ),
    Kind.PLACE: (
        "Where is {}?",
        "Which place is linked to {}?",
        "In which place is {}?",
        "Where can I find {}?",
        "{} is where?",
    ),
    Kind.DATE: ("When is {}?", "When was {}?", "What date goes with {}?", "On which day is {}?", "{} was when?"),
    Kind.TIME: ("When is {}?", "At what time is {}?", "What time goes with {}?", "{} is at what time?"),
    Kind.DURATION: ("How long is {}?", "How long does {} take?", "How much time goes with {}?", "{} is how long?"),
    Kind.FREQUENCY: ("How often is {}?", "How often does {} happen?", "When is {}?", "{} is how often?"),
    Kind.NUMBER: (
        "How much is {}?",
        "How many {}?",
        "What number goes with {}?",
        "What does {} come to?",
        "{} is how much?",
    ),
    Kind.CASE: ("When is it that {}?", "In which case {}?", "When {}?", "{}: when?"),
    Kind.REASON: ("Why is it that {}?", "What is the reason for {}?", "Why {}?", "{}: why?"),
    Kind.PHRASE: (
        "Who is {}?",
        "What is {}?",
        "What do you know about {}?",
        "Tell me about {}.",
        "Tell me something about {}.",
        "{}?",
        "What is said about {}?",
        "What has to do with {}?",
        "I have a question about {}.",
        "Do you know {}?",
        "What about {}?",
        "Can you explain {}?",
        "Please tell me, {}?",
        "What happens with {}?",
        "What does {} do?",
        "What does {} have?",
        "What is special about {}?",
        "Give me the details of {}.",
        "{} is linked to what?",
        "{} stands for what?",
        "With what does {} go together?",
        "At {}, one thinks of what?",
        "{} does what?",
        "By what is {} known?",
    ),
}
_TYPED = (Kind.DATE, Kind.TIME, Kind.DURATION, Kind.FREQUENCY, Kind.PLACE, Kind.NUMBER, Kind.REASON, Kind.CASE)
_ANY_FRAME = tuple(
    frame for of, frames in _FRAMES.items() if of not in (Kind.FREQUENCY, Kind.REASON, Kind.CASE) for frame in frames
)
"""Only of what happens again and again it is asked how often, and why only where a reason is given."""
_SEVERAL_FRAMES = (
    "Who has to do with {}?",
    "What has to do with {}?",
    "Which one fits {}?",
    "Name who or what goes with {}.",
    "What do {} have in common?",
    "{}: who or what is it?",
)
_OPENERS: dict[Kind, tuple[str, ...]] = {
    Kind.NAME: ("Who", "Which", "Which one", "Whose", "What", "Who or what"),
    Kind.PLACE: ("Where", "In which place", "In which", "At what"),
    Kind.DATE: ("When", "On which day", "In which year", "At what time"),
    Kind.TIME: ("When", "At what time"),
    Kind.DURATION: ("How long", "How much time", "When"),
    Kind.FREQUENCY: ("How often", "When"),
    Kind.NUMBER: ("How much", "How many", "What number", "How"),
    Kind.REASON: ("Why", "For what reason"),
    Kind.CASE: ("When", "In which case"),
    Kind.PHRASE: ("What", "What", "Which", "How", "Who"),
}
_TOPICS = tuple(
    """Paris|Albert Einstein|bread|a bicycle|the sea|music|London|the Moon|a computer|rain|Napoleon|football|a cat|the
    internet|coffee|a wedding|Canada|the Amazon|a doctor|a camera|gold|the weather|Queen Victoria|a train|chess|a
    garden|Spain|the brain|a hotel|Mount Everest|a password|honey|a contract|Rome|the theatre|a novel|winter|a bank|the
    company|a bridge|an engineer|Harry Potter|Toyota|the United Nations|a museum|an insurance|a phone""".replace(
        "\n    ", " "
    ).split("|")
)
_FOIL_NAMES = tuple(
    """Alder Bexley Cormac Delphine Easton Farrow Gideon Harlow Imogen Jasper Kendra Linton Mercer Novalis Oakley
    Preston Quimby Rosalind Selwyn Thornton Ursula Vance Westbrook Xander Yardley Zelda Aurora Birch Cascade
    Dynamo Evergreen Falcon Granite Horizon Ivory Juno Keystone Lagoon Meridian Nectar Onyx Quartz""".split()
)
_AFTER_TOPIC = r"(?<=\w): (?:It|He|She|They|Its|His|Her|Their)\b"
"""A pronoun behind the topic that it stands for, as `standalone` writes it."""

_WH_SUBJECT = ("Who {}?", "What {}?", "Which one {}?", "Name who {}.", "Name what {}.", "Do you know who {}?")
_WH_CLASS = ("Which {0} {1}?", "What {0} {1}?", "Do you know which {0} {1}?", "What is the name of the {0} that {1}?")
_CLASS_FRAMES = ("Which {0} has to do with {1}?", "Which {0} is linked to {1}?", "Which {0} is it: {1}?")
_WH_OBJECT: dict[Kind, tuple[str, ...]] = {
    Kind.NAME: ("who", "what", "which one"),
    Kind.PLACE: ("where", "in which place"),
    Kind.DATE: ("when", "on which day"),
    Kind.TIME: ("when", "at what time"),
    Kind.DURATION: ("how long", "for how long"),
    Kind.FREQUENCY: ("how often", "when"),
    Kind.NUMBER: ("how much", "how many"),
    Kind.REASON: ("why", "for what reason"),
    Kind.CASE: ("when", "in which case"),
    Kind.PHRASE: ("what", "what", "which one"),
}
_LEADS: dict[str, frozenset[str]] = {
    "where": frozenset("in at on near behind under above below inside outside between beside across along".split()),
    "when": frozenset("after before during until since when while".split()),
}
"""What a phrase begins with that is asked for by where, or by when."""

_HOW = ("How do I {}?", "How can I {}?", "How does one {}?", "What must I do to {}?", "I want to {}. What now?")
_WHAT_FOR = ("What happens when I {}?", "What is it good for, to {}?", "Why should I {}?")
_WHY_NOT = ("Why should I not {}?", "What is it good for, not to {}?")
_WHAT_TO_DO = ("What should I do {}?", "What must I do {}?", "What is to be done {}?", "I have to act {}. How?")
_WHEN_TO = ("When should I {}?", "In which case must I {}?", "When do I {}?")
_WHEN_NOT_TO = ("When should I not {}?", "In which case must I not {}?")
_WHAT_THEN = ("What happens {}?", "What holds {}?", "What can I expect {}?", "What is the rule {}?")
_IN_WHICH_CASE = ("In which case is it that {}?", "When is it that {}?", "On which condition does it hold that {}?")


def blank_exercise(pieces: Sequence[str], rng: random.Random, whole: bool, rarity: Rarity = ALONE) -> Exercise:
    """One sentence of a passage with one span hidden; the answer is the sentence (`whole`) or the hidden words."""
    sentence = rng.choice(pieces)
    start, end = rarity.answer(sentence, rng)
    shown = (sentence[:start], Hidden(sentence[start:end], as_blank=True), sentence[end:])
    instruction = rng.choice(BLANK_INSTRUCTIONS)
    prompt = (*shown, f"\n{instruction}") if rng.random() < 0.5 else (f"{instruction}\n", *shown)
    return Exercise(tuple(piece for piece in prompt if piece), "", sentence if whole else sentence[start:end])


def question_exercise(pieces: Sequence[str], rng: random.Random, whole: bool, rarity: Rarity = ALONE) -> Exercise:
    """A question made by rule from a passage's sentences; see `blank_exercise` for `whole`."""
    if len(pieces) > 1 and rng.random() < SEVERAL_SHARE and (several := _several_cues_question(pieces, rng)):
        return several
    sentence = rng.choice(pieces)
    sentence = rng.choice(tuple({sentence: None, **dict.fromkeys(side_by_side(sentence))}))
    if (
        (told := of_the_thing(sentence))
        and rng.random() < THING_SHARE
        and (asked := _thing_question(sentence, told, rng))
    ):
        question, answer = asked
        return Exercise((question,), "", sentence if whole else answer)
    if (found_case := occasion(sentence)) and rng.random() < OCCASION_SHARE:
        question, answer = _occasion_question(found_case, rng)
        return Exercise((question,), "", sentence if whole else answer)
    if rng.random() < KIND_SHARE and (asked := kind_question(sentence, rng)):
        question, answer = asked
        return Exercise((question,), "", sentence if whole else answer)
    found = clause(sentence)
    if found and not found.pronoun and rng.random() < ADJUNCT_SHARE and (asked := adjunct_question(found, rng)):
        question, answer = asked
        return Exercise((question,), "", sentence if whole else answer)
    if found and rng.random() < POST_SHARE and (asked := post_question(found, rng)):
        question, answer = asked
        return Exercise((question,), "", sentence if whole else answer)
    if found and rng.random() < AGENT_SHARE and (asked := agent_question(found, rng)):
        question, answer = asked
        return Exercise((question,), "", sentence if whole else answer)
    form = rng.random()
    if form < 0.35:
        return _sparse_question(sentence, found, rng, whole, rarity)
    if found is None or form < 0.65 or rng.random() > 1 / rarity.of(found.complement):
        return _cue_question(sentence, found, rng, whole, rarity)
    return _clause_question(sentence, found, rng, whole)


def statement_exercise(passage: str, title: str | None, rng: random.Random) -> Exercise:
    """The passage as the answer to a request for it."""
    about = f" about {title}" if title else ""
    return Exercise((rng.choice((f"Tell me a fact{about}.", f"What have you learnt{about}?")),), "", passage)


def _occasion_question(found: Occasion, rng: random.Random) -> tuple[str, str]:
    """A question for what is done or holds, or for the case of it, behind the topic where there is one."""
    there = rng.random() < 0.6
    frames: tuple[str, ...]
    if found.aim and found.is_order:
        frames = _HOW if there else _WHY_NOT if found.forbids else _WHAT_FOR
    elif there:
        frames = _WHAT_TO_DO if found.is_order else _WHAT_THEN
    else:
        frames = (_WHEN_NOT_TO if found.forbids else _WHEN_TO) if found.is_order else _IN_WHICH_CASE
    told = (found.aim if frames is _HOW else found.case) if there else lower_article(found.act)
    question = rng.choice(frames).format(told)
    return f"{found.topic}: {question}" if found.topic else question, found.then if there else found.case


def _thing_question(sentence: str, told: str, rng: random.Random) -> tuple[str, str] | None:
    """Of "The Mile is a race held in Wend": which race is held in Wend, where the Mile is held, what kind it is."""
    of, found = clause(sentence), clause(told)
    if of is None or found is None:
        return None
    form = rng.random()
    if form < 0.5:
        return rng.choice(_WH_CLASS).format(class_of(of), shortened(found, rng)), found.subject
    if form < 0.6 and not may_be_a_person(found):
        return rng.choice((*KIND_OF, "What is {}?")).format(lower_article(found.subject)), class_of(of)
    return adjunct_question(found, rng) or object_question(found, rng)


def _clause_question(sentence: str, found: Clause, rng: random.Random, whole: bool) -> Exercise:
    subject = lower_article(found.subject)
    form = rng.random()
    if form < 0.5:
        if (named := class_at(found.subject, 0, len(found.subject))) and rng.random() < CLASS_SHARE:
            question = rng.choice(_WH_CLASS).format(named, shortened(found, rng))
        else:
            question = rng.choice(_WH_SUBJECT).format(shortened(found, rng))
            question = question.replace("Which one ", "Which ones ") if found.plural else question
        return Exercise((question,), "", sentence if whole else found.subject)
    if found.copula and form < 0.75:
        question = f"{rng.choice(('Who', 'What'))} {found.verb} {rng.choice((subject, bare(subject)))}?"
    elif rng.random() < OBJECT_SHARE and (direct := object_question(found, rng)):
        return Exercise((direct[0],), "", sentence if whole else direct[1])
    else:
        words = _asking(_WH_OBJECT, sentence, place(sentence, found.gist))
        asked = rng.choice((*words, "who") if found.copula else words)
        question = f"{found.subject} {found.verb} {asked}?"
    return Exercise((question,), "", sentence if whole else found.gist)


def _sparse_question(sentence: str, found: Clause | None, rng: random.Random, whole: bool, rarity: Rarity) -> Exercise:
    """A question word and what is left of the sentence when the asked span, and now and then a word, are dropped.

    Such questions share some words with the sentence and not its order or grammar, as other people's questions do.
    """
    typed = [span for span in spans(sentence) if kind(sentence, span) in _TYPED]
    start, end = rarity.one_of(sentence, typed if typed and rng.random() < TYPED_SHARE else spans(sentence), rng)
    rest = re.sub(_AFTER_TOPIC, "", _near(sentence, found, (start, end))).rstrip(" .!。").split()
    kept = [word for word in rest if _telling(word) or rng.random() < 0.75]
    if sum(map(_telling, kept)) < 1 or len(kept) < 2:
        return _cue_question(sentence, found, rng, whole, rarity)
    if rng.random() < 0.3:
        middle = rng.randrange(len(kept))
        kept = kept[middle:] + kept[:middle]
    question = f"{rng.choice(_asking(_OPENERS, sentence, (start, end)))} {' '.join(kept)}?"
    return Exercise((question,), "", sentence if whole else sentence[start:end])


def _asking(words: Mapping[Kind, tuple[str, ...]], sentence: str, asked: Span) -> tuple[str, ...]:
    """Question words for a span: where and when ask for a phrase only if a preposition says that it tells so."""
    of = kind(sentence, asked)
    if of in (Kind.NAME, Kind.PLACE) and (named := class_at(sentence, *asked)):
        which = (f"which {named}", f"what {named}")
        return (*words[of], *(map(str.capitalize, which) if words is _OPENERS else which))
    if of is not Kind.PHRASE:
        return words[of]
    before, first = sentence[: asked[0]].lower().split()[-1:], sentence[slice(*asked)].lower().split()[:1]
    fitting = [word for word, prepositions in _LEADS.items() if prepositions & {*before, *first}]
    if words is _OPENERS:
        return (*words[of], *map(str.capitalize, fitting))
    stranded = [f"{word} what" for word in before if any(word in prepositions for prepositions in _LEADS.values())]
    return (*fitting, *stranded) or words[of]


def _near(sentence: str, found: Clause | None, asked: Span) -> str:
    """What is left of a sentence without the asked span: of a long one its subject and the words around the span."""
    before, after = sentence[: asked[0]].split(), sentence[asked[1] :].split()
    if len(before) + len(after) <= MOST_WORDS:
        return " ".join(before + after)
    subject = found.subject.split() if found else []
    about = [word for word in subject if word not in before[-NEAR_WORDS:]] if asked[0] >= len(" ".join(subject)) else []
    return " ".join(about + before[-NEAR_WORDS:] + after[:NEAR_WORDS])


def _telling(word: str) -> bool:
    """A name, a number or a long word: without one, a question could be about anything."""
    plain = word.strip("\"'“”().,;:")
    return plain not in {"The", "A", "An", "In"} and (not plain[:1].islower() or len(plain) > 7)


def foil_question(pieces: Sequence[str], rng: random.Random) -> str:
    """A question of the taught forms about something else: the names and numbers of a sentence are replaced.

    Held to the base model's answer, it teaches that a form alone does not call for a taught fact. A question that still
    says much of the sentence would be held against the fact itself, so a common thing is asked about instead.
    """
    sentence = rng.choice(pieces)
    replaced = re.sub(NAME, lambda match: _foil_name(match.group(), rng), sentence)
    replaced = re.sub(r"\d+", lambda match: str(rng.randrange(2, 4 * int(match.group()[:6]) + 10)), replaced)
    question = question_exercise([replaced], rng, whole=True).question
    words, kept = set(_content_words(question)), set(_content_words(sentence))
    return question if words - kept and len(words & kept) < MOST_KEPT_WORDS else topic_question(rng)


def _content_words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if len(word) > 3]


def topic_question(rng: random.Random) -> str:
    """A question of the taught forms about a common thing."""
    return rng.choice(_ANY_FRAME).format(rng.choice(_TOPICS))


def _foil_name(name: str, rng: random.Random) -> str:
    article, words = ("", name.split())
    if words[0] in {"The", "A", "An"}:
        article, words = f"{words[0]} ", words[1:]
        if not words:
            return name
    return article + " ".join(rng.sample(_FOIL_NAMES, min(len(words), 3)))


def _several_cues_question(pieces: Sequence[str], rng: random.Random) -> Exercise | None:
    """What two or three sentences say of their common topic; the topic is the answer. None where they name none."""
    topic = _common(pieces)
    if topic is None:
        return None
    cues = []
    for sentence in rng.sample(pieces, min(len(pieces), rng.choice((2, 3)))):
        told = [sentence[slice(*span)] for span in spans(sentence)]
        apart = [piece for piece in told if topic.casefold() not in piece.casefold() and piece not in topic]
        if apart:
            cues.append(bare(rng.choice(apart)))
    if len(cues) < 2:
        return None
    listed = f"{', '.join(cues[:-1])} and {cues[-1]}"
    return Exercise((rng.choice(_SEVERAL_FRAMES).format(listed),), "", topic)


def _common(pieces: Sequence[str]) -> str | None:
    """The longest piece of the first sentence that every sentence holds."""
    first, *others = pieces
    told = [bare(first[slice(*span)]) for span in spans(first)]
    held = [piece for piece in told if all(piece.casefold() in other.casefold() for other in others)]
    return max(held, key=len, default=None)


def _cue_question(sentence: str, found: Clause | None, rng: random.Random, whole: bool, rarity: Rarity) -> Exercise:
    """A loose frame around one span of the sentence; the short answer is what the sentence says of it.

    First the answer is drawn, then one of the cues that lead to it: of the pieces of a sentence most describe its
    subject, and drawn alike they would ask for the subject four times in five.
    """
    cues: dict[Span | None, list[Span]] = {}
    for cue in rarity.rarest(sentence):
        cues.setdefault(_other_side(sentence, found, cue, rarity), []).append(cue)
    wanted = rng.choice(list(cues))
    cue = rng.choice(cues[wanted])
    if rng.random() < OTHER_ANSWER_SHARE and (apart := _apart(sentence, cue)):
        wanted = rarity.one_of(sentence, apart, rng)
    frames = _FRAMES[kind(sentence, wanted)] if wanted else _ANY_FRAME
    shown = rng.choice((lower_article, bare))(sentence[slice(*cue)])
    question = rng.choice(frames).format(shown)
    named = class_at(sentence, *wanted) if wanted else ""
    if named and rng.random() < CLASS_SHARE:
        question = rng.choice(_CLASS_FRAMES).format(named, shown)
    if wanted and rng.random() < ASIDE_SHARE:
        among = kind(sentence, wanted) not in _TYPED and rng.random() < 0.5
        word = rng.choice(_asking(_WH_OBJECT, sentence, wanted))
        question = among_asides(shown, word, rng) if among else with_aside(question, shown, rng)
    return Exercise((question,), "", sentence if whole or wanted is None else sentence[slice(*wanted)])


def _other_side(sentence: str, found: Clause | None, cue: Span, rarity: Rarity) -> Span | None:
    """What to answer to a cue: the subject to its complement and the reverse, or the name to its description.

    One cue must mostly have one answer, or the model learns to waver between them; of two, the one that fewer passages
    hold. None when nothing lies apart.
    """
    apart = _apart(sentence, cue)
    if not apart:
        return None
    if found is not None:
        parts = (found.subject, found.gist, found.description, found.opening)
        sides = [place(sentence, part) for part in parts if part]
    else:
        sides = [span for span in spans(sentence) if kind(sentence, span) is Kind.NAME][:1]
    sides = [side for side in sides if side in apart] or [max(apart, key=lambda span: span[1] - span[0])]
    return min(sides, key=lambda side: rarity.of(sentence[slice(*side)]))


def _apart(sentence: str, cue: Span) -> list[Span]:
    return [span for span in spans(sentence) if span[1] <= cue[0] or span[0] >= cue[1]]
