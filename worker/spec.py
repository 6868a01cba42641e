"""What crosses from the worker to the training process (a JSON file), and back (JSON lines on its standard output)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from knowledge.probes import Direction, Probe, ProbeOrigin
from knowledge.recipes import Recipe
from knowledge.sentences import standalone

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")
"""What a training run leaves, in PEFT's format."""

WORDS_OF_A_SENTENCE = 15


@dataclass(frozen=True)
class Lesson:
    """One fact to train on. `new` is false for a fact of an earlier version that is rehearsed."""

    fact_id: str
    text: str
    title: str | None
    probes: tuple[Probe, ...]
    new: bool

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is taught of it, sentence by sentence (`standalone`)."""
        return standalone(self.text, self.title)

    @property
    def size(self) -> int:
        """How much it says, in sentences of common length: one of thirty words counts as two."""
        return sum(max(1, round(len(sentence.split()) / WORDS_OF_A_SENTENCE)) for sentence in self.sentences)


@dataclass(frozen=True)
class TrainingSpec:
    """Everything the training process needs. It sees neither store nor broker nor network.

    `base_model` is a folder or hub name, `warm_start` an adapter folder to continue from, `output` the folder that
    receives `adapter_config.json` and `adapter_model.safetensors`, `threads` the processor threads (0: all). SIGTERM
    writes the run's state to the file `checkpoint`, and a run that finds one there goes on from it (empty: neither).
    `memory_gib` bounds the process's own memory (0: nothing does).
    """

    base_model: str
    recipe: Recipe
    lessons: tuple[Lesson, ...]
    warm_start: str | None
    output: str
    seed: int
    threads: int
    checkpoint: str = ""
    memory_gib: float = 0.0

    def write(self, path: Path) -> None:
        """Writes the spec as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what `write` wrote."""
        data = json.loads(path.read_text())
        data["recipe"] = Recipe(**data["recipe"])
        data["lessons"] = tuple(
            Lesson(**{**lesson, "probes": tuple(_probe(probe) for probe in lesson["probes"])})
            for lesson in data["lessons"]
        )
        return cls(**data)


def _probe(data: dict[str, str]) -> Probe:
    return Probe(data["question"], data["answer"], Direction(data["direction"]), ProbeOrigin(data["origin"]))
