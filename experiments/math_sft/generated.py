"""Generated word problems in GSM8K's form: invented people and things, one to four steps, a worked answer, "#### 12".

A situation tells of one quantity, which every step changes by + - × or, in the last step alone, an exact ÷. A
question's numbers, whatever their order, are either training's or the test's, by a hash; the last situations are the
test's alone, and half of its questions are about them.
"""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A question, its worked answer as it is taught, which holds the final one, and the final one alone."""

    question: str
    answer: str
    final: str
    new_situation: bool = False
    """Whether training has no problem of this situation; known of generated ones alone."""


@dataclass(frozen=True)
class Level:
    """How hard problems are: most steps, largest quantity, largest number to add or subtract, largest factor."""

    steps: int
    largest: int
    term: int
    factor: int


LEVELS = {"generated": Level(2, 40, 12, 4), "generated-long": Level(4, 400, 60, 9)}
TRAIN, TEST = 4000, 400

Event = tuple[str, str, str]
"""A step: its operator, the question's sentence, and how the answer's sentence begins."""


@dataclass(frozen=True)
class Situation:
    """`first`, if it is given, is always the first step: the opening then counts what holds the things."""

    opening: str
    events: tuple[Event, ...]
    asked: str
    things: tuple[str, ...]
    first: Event | None = None


def problems(level: Level) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Training and test problems of a level, always the same ones. No question occurs twice."""
    rng = random.Random(0)
    known, new = SITUATIONS[:-NEW], SITUATIONS[-NEW:]
    train = dict.fromkeys(_take(TRAIN, _drawn(level, known, False, rng)))
    old = _take(TEST // 2, _drawn(level, known, True, rng))
    unseen = _take(TEST - TEST // 2, _drawn(level, new, True, rng))
    test = [*old, *(Problem(one.question, one.answer, one.final, new_situation=True) for one in unseen)]
    rng.shuffle(test)
    return tuple(train), tuple(test)


def _take(count: int, drawn: Iterator[Problem]) -> list[Problem]:
    taken: dict[str, Problem] = {}
    while len(taken) < count:
        problem = next(drawn)
        taken.setdefault(problem.question, problem)
    return list(taken.values())


def _drawn(level: Level, situations: tuple[Situation, ...], tested: bool, rng: random.Random) -> Iterator[Problem]:
    while True:
        steps = rng.randint(1, level.steps)
        numbers, problem = _tell(level, rng.choice(situations), steps, rng)
        if len(numbers) == steps + 1 and is_tested(numbers) is tested:
            yield problem


def is_tested(numbers: list[int]) -> bool:
    """Whether questions with these numbers are the test's: about one in five is."""
    return zlib.crc32(repr(sorted(numbers)).encode()) % 5 == 0


def _tell(level: Level, situation: Situation, steps: int, rng: random.Random) -> tuple[list[int], Problem]:
    """A problem and the numbers in its question. It has fewer steps than asked for where no more fit."""
    words = {"things": rng.choice(situation.things)}
    words["name"], words["other"] = rng.sample(NAMES, 2)
    now = rng.randint(2, level.term)
    numbers, told = [now], [situation.opening.format(n=now, **words)]
    worked = []
    left = list(situation.events)
    for step in range(steps):
        choices = [situation.first] if step == 0 and situation.first else left
        fitting = [
            (event, sizes)
            for event in choices
            if (event[0] != "/" or step == steps - 1) and (sizes := _sizes(level, event[0], now))
        ]
        if not fitting:
            break
        event, sizes = rng.choice(fitting)
        left = [other for other in left if other != event]
        operator, sentence, so = event
        by = rng.choice(sizes)
        result = _result(operator, now, by)
        told.append(sentence.format(n=by, **words))
        worked.append(f"{so.format(n=by, **words)} {now} {operator} {by} = {result} {words['things']}.")
        numbers.append(by)
        now = result
    told.append(situation.asked.format(**words))
    return numbers, Problem(" ".join(told), "\n".join([*worked, f"#### {now}"]), str(now))


def _sizes(level: Level, operator: str, now: int) -> list[int]:
    """What a quantity can be changed by, so that it stays from 2 to the largest."""
    most = level.factor if operator in "*/" else level.term
    sizes = range(2, most + 1)
    return [
        by for by in sizes if (operator != "/" or now % by == 0) and 2 <= _result(operator, now, by) <= level.largest
    ]


def _result(operator: str, now: int, by: int) -> int:
    return {"+": now + by, "-": now - by, "*": now * by, "/": now // by}[operator]


NAMES = (
    "Mirel Tobren Asko Velda Orrin Junia Pavo Sennet Ilka Darro Quillon Nessa Borin Tavi Lumo Ferra Ondine Kesh Wilmo "
    "Yarrow"
).split()

_STONES = ("glimstones", "torvels", "moon tiles", "ember beads")
_BEASTS = ("sandlings", "puffwings", "marsh nibs", "velvet snails")
_FRUIT = ("pellberries", "sun plums", "knotfruits", "blue quills")
_WARES = ("whistle caps", "copper frills", "paper drakes", "tin larks")

SITUATIONS = (
    Situation(
        "{name} keeps {n} {things} on a shelf.",
        (
            ("+", "{other} brings {n} more.", "With those of {other} there are"),
            ("+", "{name} finds another {n} in a drawer.", "With the found ones there are"),
            ("-", "{n} of them fall down and break.", "Without the broken ones there are"),
            ("-", "{other} borrows {n}.", "Without the borrowed ones there are"),
            ("*", "A trader swaps each of them for {n} new ones.", "After the swap there are"),
            ("/", "{name} packs them evenly into {n} boxes and leaves one box there.", "One box holds"),
        ),
        "How many {things} are on the shelf now?",
        _STONES,
    ),
    Situation(
        "{n} {things} live in the pond of {name}.",
        (
            ("+", "In spring {n} more arrive.", "After spring there are"),
            ("+", "{other} sets another {n} free there.", "With those set free there are"),
            ("-", "A heron carries off {n}.", "After the heron there are"),
            ("-", "{n} move to a lake.", "After some moved there are"),
            ("*", "Over the summer they become {n} times as many.", "After the summer there are"),
            ("/", "After a dry year only one in every {n} is left.", "After the dry year there are"),
        ),
        "How many {things} live in the pond at the end?",
        _BEASTS,
    ),
    Situation(
        "{name} picks {n} {things} in the morning.",
        (
            ("+", "At noon {name} picks {n} more.", "At noon that makes"),
            ("+", "{other} gives {name} another {n}.", "With the gift that makes"),
            ("-", "{name} eats {n} of them.", "After eating that leaves"),
            ("-", "{n} turn out to be rotten.", "Without the rotten ones that leaves"),
            ("*", "By evening {name} has {n} times as many.", "By evening that makes"),
            ("/", "{name} shares them equally among {n} baskets and takes one basket home.", "One basket holds"),
        ),
        "How many {things} does {name} have then?",
        _FRUIT,
    ),
    Situation(
        "{name} loads {n} carts.",
        (
            ("+", "{other} adds {n} {things} to the load.", "With the added ones there are"),
            ("-", "{n} are lost on the road.", "Without the lost ones there are"),
            ("-", "A guard keeps {n} as a toll.", "After the toll there are"),
            ("/", "The load is split evenly among {n} shops, and one of them is the shop of {name}.", "One shop gets"),
        ),
        "How many {things} reach the shop of {name}?",
        _WARES,
        ("*", "Each cart carries {n} {things}.", "The carts carry"),
    ),
    Situation(
        "A workshop makes {n} {things} on the first day.",
        (
            ("+", "On the next day it makes {n} more.", "With the next day that makes"),
            ("+", "{name} makes another {n} at night.", "With the night that makes"),
            ("-", "{n} of them fail the test.", "Without the failed ones that leaves"),
            ("-", "{other} buys {n}.", "After the sale that leaves"),
            ("*", "Within a month the stock grows to {n} times that.", "After a month that makes"),
            ("/", "A thief leaves only one in every {n}.", "After the thief that leaves"),
        ),
        "How many {things} does the workshop have in the end?",
        _WARES,
    ),
    Situation(
        "There are {n} {things} in the jar of {name}.",
        (
            ("+", "{other} pours in {n} more.", "After pouring there are"),
            ("-", "{name} takes out {n}.", "After taking some out there are"),
            ("-", "{n} roll away.", "Without those that rolled away there are"),
            ("*", "A spell turns each one into {n}.", "After the spell there are"),
            ("/", "{name} divides them fairly among {n} jars.", "Each jar has"),
        ),
        "How many {things} are in the jar of {name} now?",
        _STONES,
    ),
    Situation(
        "{name} plants {n} rows.",
        (
            ("+", "{other} plants {n} more {things} at the fence.", "With those at the fence there are"),
            ("-", "Snails eat {n}.", "After the snails there are"),
            ("-", "A storm takes {n} of them.", "After the storm there are"),
            ("/", "Only one plant in every {n} bears.", "Bearing plants are"),
        ),
        "How many {things} does {name} harvest, one from each plant?",
        _FRUIT,
        ("*", "In each row stand {n} {things}.", "In the rows there are"),
    ),
    Situation(
        "The club of {name} owns {n} {things}.",
        (
            ("+", "It wins {n} more in a contest.", "With the prize it owns"),
            ("+", "{other} donates another {n}.", "With the gift it owns"),
            ("-", "It sells {n} to pay the rent.", "After the sale it owns"),
            ("*", "A year later it owns {n} times as many.", "A year later it owns"),
            ("/", "It is divided into {n} clubs, which share everything equally.", "Each club owns"),
        ),
        "How many {things} does the club of {name} own in the end?",
        _STONES,
    ),
    Situation(
        "{name} sees {n} {things} on the way to school.",
        (
            ("+", "On the way back {name} sees {n} others.", "With the way back that makes"),
            ("+", "{other} points at {n} more behind a hedge.", "With those behind the hedge that makes"),
            ("-", "{n} of them were only shadows.", "Without the shadows that leaves"),
            ("*", "In the whole week {name} sees {n} times as many.", "In the week that makes"),
        ),
        "How many {things} does {name} see in all?",
        _BEASTS,
    ),
    Situation(
        "A ship sails with {n} {things} for {name}.",
        (
            ("+", "In the first harbour it takes on {n} more.", "After the first harbour there are"),
            ("-", "In a storm {n} go overboard.", "After the storm there are"),
            ("-", "The captain keeps {n}.", "After the captain there are"),
            ("*", "On an island each is traded for {n} others.", "After the island there are"),
            ("/", "The cargo is divided equally among {n} owners, {name} being one.", "Each owner gets"),
        ),
        "How many {things} does {name} get?",
        _WARES,
    ),
    Situation(
        "{name} feeds {n} {things} in the park.",
        (
            ("+", "{n} more come out of the trees.", "With those from the trees there are"),
            ("-", "A dog scares {n} away.", "After the dog there are"),
            ("*", "The next day {n} times as many come.", "The next day there are"),
            ("/", "They form {n} equal groups, and only one group stays.", "One group has"),
        ),
        "How many {things} are in the park now?",
        _BEASTS,
    ),
    Situation(
        "{name} buys {n} bags.",
        (
            ("+", "{other} has {n} {things} to add.", "With those of {other} there are"),
            ("-", "{name} gives {n} to a neighbour.", "After the gift there are"),
            ("/", "{name} and some friends, {n} people in all, share them equally.", "Each person gets"),
        ),
        "How many {things} does {name} have now?",
        _FRUIT,
        ("*", "Every bag has {n} {things} in it.", "In the bags there are"),
    ),
)
NEW = 3
"""So many of the last situations are the test's alone."""
