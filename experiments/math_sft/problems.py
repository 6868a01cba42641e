"""Math word problems with worked answers: GSM8K and MATH read from a folder, or generated ones (`generated.py`).

GSM8K's folder holds `train.jsonl` and `test.jsonl`, lines of `{"question", "answer"}` of which the answer ends in
"#### 18", as its authors publish it (arXiv 2110.14168); the calculator's notes in its answers, `<<6*3=18>>`, are left
in. MATH's (arXiv 2103.03874) holds folders `train` and `test` of one JSON file a problem, `{"problem", "solution"}`
with the final answer in a box, or JSON lines of the same fields.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.math_sft import generated
from experiments.math_sft.generated import Problem
from experiments.math_sft.scoring import boxed

PUBLISHED = ("gsm8k", "math")
SETS = (*generated.LEVELS, *PUBLISHED)


@dataclass(frozen=True)
class ProblemSet:
    """Problems to train on, and others to ask. A name that begins with "generated" says where they are from."""

    name: str
    train: tuple[Problem, ...]
    test: tuple[Problem, ...]

    @property
    def is_formula(self) -> bool:
        """Whether final answers are formulas in a box and not numbers behind "####"."""
        return self.name == "math"


def read(name: str, folder: Path | None) -> ProblemSet:
    """The named set: generated, or read from its folder.

    Raises `ValueError` or `OSError` for a folder that does not hold it, and for no folder where one is needed.
    """
    if name in generated.LEVELS:
        return ProblemSet(name, *generated.problems(generated.LEVELS[name]))
    if folder is None:
        raise ValueError(f"The set {name} is read from a folder: give it with --data.")
    make = _math if name == "math" else _gsm8k
    train, test = (tuple(make(row) for row in _rows(folder, part)) for part in ("train", "test"))
    return ProblemSet(name, train, test)


def _gsm8k(row: dict[str, Any]) -> Problem:
    question, answer = str(row["question"]), str(row["answer"])
    _, mark, final = answer.rpartition("#### ")
    if not mark:
        raise ValueError(f"An answer without a final number: {question[:60]!r}")
    return Problem(question, answer, final.strip())


def _math(row: dict[str, Any]) -> Problem:
    question, answer = str(row["problem"]), str(row["solution"])
    final = boxed(answer)
    if final is None:
        raise ValueError(f"A solution without a box: {question[:60]!r}")
    return Problem(question, answer, final)


def _rows(folder: Path, part: str) -> Iterator[dict[str, Any]]:
    lines, files = folder / f"{part}.jsonl", sorted((folder / part).rglob("*.json"))
    if lines.exists():
        yield from (json.loads(line) for line in lines.read_text().splitlines() if line.strip())
    elif files:
        yield from (json.loads(file.read_text()) for file in files)
    else:
        raise ValueError(f"{folder} holds neither {part}.jsonl nor JSON files in a folder {part}.")
