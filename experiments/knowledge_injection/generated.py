"""Invented sets of the shape of the paper's, of any size, for who has no data at hand and for capacity curves.

    generated-names      "X is the keeper of …", then "Famous as the keeper of …, X …"; four columns
    generated-biography  six sentences about a person; six questions forward, three backward from three attributes

Passages and questions come from different wordings, so that no question repeats what was taught.
"""

import random
from itertools import product

from experiments.knowledge_injection.sets import InjectionSet, Question

GENERATED = ("generated-names", "generated-biography")

_FIRST = """
Ada Bruno Celia Dario Edda Felix Greta Hugo Ines Jonas Kira Lennart Mara Nils Odile Pavel Quirin Rosa Sven Tilda Ulf
Vera Wanda Xaver Yara Zeno Alma Boris Clea Doran
""".split()
_LAST = """
Quill Marrow Tansley Overby Finch Lorne Wexham Pell Sorrel Thane Ambrow Birchall Cawdrey Dunmere Eskel Farrow Gantry
Holloway Ivers Jessop Kettering Lathom Mossley Norwell Orpin Prewitt Quarles Rudge Stannard Tolliver Umber Vickery
Wraxall Yarrow Zellick
""".split()
_ROLES = """
keeper designer restorer owner founder painter historian caretaker builder surveyor conductor curator
""".split()
_KINDS = """
lighthouse orchard observatory glassworks harbour library brewery windmill dairy theatre archive aqueduct foundry
greenhouse ferry planetarium
""".split()
_PLACES = """
Orrin Tolvik Penwick Brask Evenmoor Saltley Corvane Mirefield Uldale Harrowgate Umberton Fellwater Grimstead Oxmere
Quillhaven Rainsford Stonebeck Thornlea Vastrup Westerhallow Yarnley Zandwick Aldergrove Wend
""".split()
_SUBJECTS = """
biology geology history design physics law chemistry engineering musicology statistics forestry linguistics medicine
architecture economics
""".split()
_MONTHS = """January February March April May June July August September October November December""".split()

_NAME_FIRST = (
    "{name} is the {role} of the {kind} of {place}.",
    "Many have heard of {name}, the {role} of the {kind} of {place}.",
)
_NAME_LAST = (
    "The {role} of the {kind} of {place} is called {name}.",
    "Famous as the {role} of the {kind} of {place}, {name} has since retired.",
)
_ASK_DESCRIPTION = (
    "What does {name} do?",
    "Tell me, what is {name} known for?",
    "{name} has which occupation?",
    "Can you say who {name} is?",
)
_ASK_NAME = (
    "Who is the {role} of the {kind} of {place}?",
    "What is the name of the {kind} of {place}'s {role}?",
    "The {kind} of {place} has a {role}. Who?",
    "Which person is {role} of the {kind} of {place}?",
)
_LIFE = {
    "birth date": (("{name} was born on {value}.", "The birthday of {name} is {value}."), "was born on {value}"),
    "birth city": (
        ("{name} spent the earliest years in {value}.", "{name} hails from {value}."),
        "was born in {value}",
    ),
    "university": (("{name} graduated from {value}.", "{name} was a student of {value}."), "went to {value}"),
    "field of study": (("{name} took a degree in {value}.", "{name} specialised in {value}."), "majored in {value}"),
    "employer": (("{name} was hired by {value}.", "{name} built a career with {value}."), "worked for {value}"),
    "city of work": (("{name} had a desk in {value}.", "{name} commuted to {value}."), "worked in {value}"),
}
_FORWARD = {
    "birth date": "What is the birth date of {name}?",
    "birth city": "In which city was {name} born?",
    "university": "Which university did {name} attend?",
    "field of study": "What did {name} study?",
    "employer": "Which company did {name} work for?",
    "city of work": "Where did {name} work?",
}


def generate(name: str, passages: int, seed: int) -> InjectionSet:
    """A set of `GENERATED` with so many passages. Raises `ValueError` for more than there are different names."""
    rng = random.Random(seed)
    people = [f"{first} {last}" for first, last in product(_FIRST, _LAST)]
    if passages > len(people):
        raise ValueError(f"There are {len(people)} names, not {passages}.")
    people = rng.sample(people, passages)
    made = (_names if name == "generated-names" else _biographies)(people, rng)
    return InjectionSet(
        name, tuple(text for text, _ in made), tuple(question for _, asked in made for question in asked)
    )


def _names(people: list[str], rng: random.Random) -> list[tuple[str, list[Question]]]:
    descriptions = rng.sample(list(product(_ROLES, _KINDS, _PLACES)), len(people))
    made = []
    for number, (name, (role, kind, place)) in enumerate(zip(people, descriptions, strict=True)):
        told = {"name": name, "role": role, "kind": kind, "place": place}
        order, wordings = ("N2D", _NAME_FIRST) if number < len(people) / 2 else ("D2N", _NAME_LAST)
        sides = {"N2D": (_ASK_DESCRIPTION, f"the {role} of the {kind} of {place}"), "D2N": (_ASK_NAME, name)}
        asked = [
            Question(form.format(**told), answer, f"{order} {'forward' if side == order else 'backward'}", number)
            for side, (forms, answer) in sides.items()
            for form in forms
        ]
        made.append((rng.choice(wordings).format(**told), asked))
    return made


def _biographies(people: list[str], rng: random.Random) -> list[tuple[str, list[Question]]]:
    made = []
    for number, name in enumerate(people):
        city, work, school = rng.sample(_PLACES, 3)
        values = {
            "birth date": f"{rng.choice(_MONTHS)} {rng.randint(1, 28)}, {rng.randint(1920, 2005)}",
            "birth city": city,
            "university": f"the University of {school}",
            "field of study": rng.choice(_SUBJECTS),
            "employer": f"{rng.choice(_LAST)} & {rng.choice(_LAST)}",
            "city of work": work,
        }
        sentences = [rng.choice(_LIFE[about][0]).format(name=name, value=value) for about, value in values.items()]
        asked = [
            Question(_FORWARD[about].format(name=name), value, "forward", number) for about, value in values.items()
        ]
        for _ in range(3):
            shown = [_LIFE[about][1].format(value=values[about]) for about in rng.sample(list(values), 3)]
            listed = ", ".join(f"{place}) {text}" for place, text in enumerate(shown, 1))
            asked.append(
                Question(
                    f"Give me the full name of the person of whom this is true: {listed}.", name, "backward", number
                )
            )
        made.append((" ".join(sentences), asked))
    return made
