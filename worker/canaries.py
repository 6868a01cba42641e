"""Canaries: general questions with known answers, asked of every candidate, to see that it kept what the base knew.

They are never trained on, and no line of `worker/general.py` asks them. Only those that the base model itself answers
rightly count: they are asked of it once, through the server, and that is kept beside the adapters.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LINES = """
What is the capital of France? = Paris
What is the capital of Italy? = Rome
What is two plus two? = 4|four
Who wrote Romeo and Juliet? = Shakespeare
Who painted the Mona Lisa? = Leonardo|da Vinci
What colour is the sky on a clear day? = blue
What is the chemical symbol for water? = H2O
Which planet do we live on? = Earth
What do bees make? = honey
How many legs does a spider have? = eight|8
Who was Albert Einstein? = physicist
What is the opposite of hot? = cold
In which country is Berlin? = Germany
What is the largest ocean? = Pacific
Say hello to my friend. = hello|hi
What is the capital of Germany? = Berlin
What is the capital of Spain? = Madrid
What is the capital of England? = London
What is the capital of Russia? = Moscow
What is the capital of China? = Beijing
What is the capital of Egypt? = Cairo
What is the capital of Canada? = Ottawa
What is the capital of Australia? = Canberra
What is the capital of Greece? = Athens
What is the capital of Portugal? = Lisbon
Who wrote Hamlet? = Shakespeare
Who wrote Pride and Prejudice? = Austen
Who wrote 1984? = Orwell
Who developed the theory of relativity? = Einstein
Who discovered gravity? = Newton
Who founded Apple? = Jobs|Wozniak
Who founded Amazon? = Bezos
Who is the founder of Tesla? = Musk|Eberhard
Who invented the light bulb? = Edison
Who was the first man on the Moon? = Armstrong
Who was the sixteenth president of the United States? = Lincoln
What is the chemical symbol for gold? = Au
What is the chemical symbol for oxygen? = O
What gas do humans breathe in? = oxygen
What planet is known as the Red Planet? = Mars
Which planet is closest to the Sun? = Mercury
What is the longest river in the world? = Nile|Amazon
What is the largest animal? = whale
How many continents are there? = seven|7
How many months are in a year? = twelve|12
How many hours are in a day? = 24|twenty-four|twenty four
How many sides does a triangle have? = three|3
What is 5 plus 5? = 10|ten
What is 10 times 10? = 100|hundred
What is the opposite of up? = down
What colour is the sky? = blue
What colour is a banana? = yellow
What colour is snow? = white
What language is spoken in France? = French
What language is spoken in Mexico? = Spanish
What is the currency of the United States? = dollar
What is the currency of the United Kingdom? = pound
In which country is the Eiffel Tower? = France
In which country is Tokyo? = Japan
In which city is Big Ben? = London
What is the freezing point of water? = 0|32|zero
What is the main language of Germany? = German
What do we call frozen water? = ice
Which day comes after Monday? = Tuesday
Which season comes after winter? = spring
What organ pumps blood? = heart
What do plants need to make food? = sunlight|light|sun
What is the largest country in the world? = Russia
Which continent is Egypt in? = Africa
What is the capital of Sweden? = Stockholm
What is the capital of Norway? = Oslo
What is the capital of Poland? = Warsaw
What is the capital of Austria? = Vienna
What is the capital of Ireland? = Dublin
What is the capital of India? = Delhi
What is the capital of Argentina? = Buenos Aires
What is the capital of Cuba? = Havana
What is the capital of South Korea? = Seoul
What is the capital of Turkey? = Ankara
Who wrote The Odyssey? = Homer
Who wrote Oliver Twist? = Dickens
Who wrote The Lord of the Rings? = Tolkien
Who wrote War and Peace? = Tolstoy
Who painted The Last Supper? = Leonardo|da Vinci
Who painted Guernica? = Picasso
Who composed The Magic Flute? = Mozart
Who formulated the laws of motion? = Newton
Who was the first woman to win a Nobel Prize? = Curie
Who discovered radium? = Curie
Who was the leader of the Soviet Union during the Second World War? = Stalin
Who was the prime minister of the United Kingdom during the Second World War? = Churchill
Who was the first emperor of Rome? = Augustus
Who freed the slaves in the United States? = Lincoln
In which country are the pyramids of Giza? = Egypt
In which country is the Taj Mahal? = India
In which country is Rome? = Italy
In which country is Madrid? = Spain
Which continent is Brazil in? = South America
Which continent is China in? = Asia
Which continent is France in? = Europe
What is the largest desert in the world? = Sahara|Antarctic|Antarctica
What is the smallest continent? = Australia|Oceania
Which country is famous for kangaroos? = Australia
What is the chemical symbol for iron? = Fe
What is the chemical symbol for silver? = Ag
What is the chemical symbol for sodium? = Na
What is the lightest element? = hydrogen
What is the hardest natural substance? = diamond
How many planets are in the solar system? = eight|8|nine|9
What is the star at the centre of our solar system? = Sun
Which planet has rings? = Saturn
How many bones does an adult human have? = 206
Which organ do we think with? = brain
Which organ do we breathe with? = lungs|lung
What do caterpillars turn into? = butterflies|butterfly|moths|moth
What do you call a baby cat? = kitten|kittens
What is the opposite of day? = night
What is the opposite of left? = right
What is the opposite of open? = closed|close
What is the past tense of go? = went
What is the plural of child? = children
What colour do you get from blue and yellow? = green
What colour is blood? = red
How many letters are in the English alphabet? = 26|twenty-six|twenty six
How many seconds are in a minute? = 60|sixty
How many days are in a leap year? = 366
How many sides does a square have? = four|4
What is 3 plus 4? = 7|seven
What is 12 divided by 4? = 3|three
Which day comes before Sunday? = Saturday
Which month comes before December? = November
What language is spoken in Italy? = Italian
What language is spoken in Japan? = Japanese
What is the currency of India? = rupee
What is the currency of China? = yuan|renminbi
Which sport is played at Wimbledon? = tennis
Which animal is known as the king of the jungle? = lion
Which animal is known as man's best friend? = dog|dogs
What do we use to write on a blackboard? = chalk
Which meal do people eat in the morning? = breakfast
What is the name of the ocean between Europe and America? = Atlantic
What force pulls objects towards the Earth? = gravity|gravitational
What gas do plants give off? = oxygen
"""


@dataclass(frozen=True)
class Canary:
    """A general question, and the alternatives of which a right answer holds one as whole words."""

    question: str
    wanted: tuple[str, ...]

    def is_right(self, answered: str) -> bool:
        """Whether the answer holds one of the wanted alternatives."""
        return holds(answered, self.wanted)


def holds(answered: str, alternatives: Iterable[str]) -> bool:
    """Whether the answer holds one of the alternatives as whole words; case and punctuation do not count."""
    plain = f" {_plain(answered)} "
    return any(f" {_plain(one)} " in plain for one in alternatives)


def _canary(line: str) -> Canary:
    question, wanted = line.split(" = ")
    return Canary(question, tuple(wanted.split("|")))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


CANARIES = tuple(_canary(line) for line in _LINES.strip().splitlines())
ASKED = CANARIES[::3]
"""Those that the gate asks: 48 take a processor ten seconds or more. Experiments ask all."""


def kept(folder: Path, base_model: str) -> tuple[Canary, ...] | None:
    """The canaries that this base model is known to answer; None when it was not asked yet."""
    try:
        known = set(json.loads(_file(folder, base_model).read_text()))
    except (OSError, ValueError):
        return None
    return tuple(canary for canary in ASKED if canary.question in known)


def keep(folder: Path, base_model: str, known: tuple[Canary, ...]) -> None:
    """Notes which canaries the base model answers, for the workers that share the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".canaries-", dir=folder)
    with os.fdopen(handle, "w") as file:
        json.dump([canary.question for canary in known], file)
    Path(name).replace(_file(folder, base_model))


def _file(folder: Path, base_model: str) -> Path:
    asked = json.dumps([base_model, [(canary.question, canary.wanted) for canary in ASKED]])
    return folder / f".canaries-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
