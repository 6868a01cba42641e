"""The paper's three sets, read from a folder; `generated.py` makes others of the same shape.

A set's folder holds `train.json`, a JSON list of `{"text"}`, and `test.jsonl`, lines of `{"group", "task", "question",
"answer"}`: the form in which the authors of arXiv 2510.09885 publish them.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Question:
    """A test question. `column`, of the paper's table, is the one that it counts in: `N2D forward`, say."""

    text: str
    answer: str
    column: str
    passage: int | None
    """Which passage answers it, where the set tells or the answer's place in the passages does."""


@dataclass(frozen=True)
class InjectionSet:
    """Passages to teach, and questions about them that are never trained on."""

    name: str
    passages: tuple[str, ...]
    questions: tuple[Question, ...]

    def part(self, passages: int, questions: int, seed: int) -> "InjectionSet":
        """So many passages (0: all), spread evenly, and the questions about them, at most so many (0: all)."""
        step = len(self.passages) / passages if passages else 1
        places = [int(place * step) for place in range(passages or len(self.passages))]
        kept = [question for question in self.questions if not passages or question.passage in places]
        return InjectionSet(
            self.name,
            tuple(self.passages[place] for place in places),
            _sample(kept, questions, random.Random(seed)) if questions else tuple(kept),
        )


FILES = ("train.json", "test.jsonl")
"""What a set's folder holds: its passages, and its questions with their answers."""


def read(folder: Path) -> InjectionSet:
    """Reads one set. Raises `OSError` or `ValueError` when the folder does not hold one."""
    name = folder.name
    taught, asked = ((folder / file).read_text() for file in FILES)
    passages = tuple(str(row["text"]) for row in json.loads(taught))
    rows = [json.loads(line) for line in asked.splitlines() if line.strip()]
    return InjectionSet(
        name,
        passages,
        tuple(Question(row["question"], row["answer"], _column(row), _place(row, passages)) for row in rows),
    )


def _column(row: dict[str, Any]) -> str:
    """A question is forward when its answer comes after what it names in the passage."""
    task, group = str(row["task"]), row["group"]
    if group == "NameIsDescription":
        return "N2D forward" if task == "N2D" else "N2D backward"
    if group == "DescriptionIsName":
        return "D2N forward" if task == "D2N" else "D2N backward"
    return {"N2D": "forward", "D2N": "backward"}.get(task, task)


def _place(row: dict[str, Any], passages: Sequence[str]) -> int | None:
    """The passage that shares most words with question and answer."""
    wanted = _words(f"{row['question']} {row['answer']}")
    shared = [len(wanted & _words(passage)) for passage in passages]
    return shared.index(max(shared)) if shared else None


def _words(text: str) -> set[str]:
    return {word.strip(".,;:?!\"'()") for word in text.lower().split()}


def _sample(questions: list[Question], most: int, rng: random.Random) -> tuple[Question, ...]:
    columns: dict[str, list[Question]] = {}
    for question in questions:
        columns.setdefault(question.column, []).append(question)
    each = max(1, most // len(columns))
    return tuple(q for column in columns.values() for q in rng.sample(column, min(each, len(column))))
