"""Benchmark: what a training run takes, by rank and number of facts: memory, processor time, adapter size.

`python -m experiments.sizing --base FOLDER --ranks 8 32 --facts 1 10` prints rows for the sizing table of
docs/operations.md. Each run is the production trainer in its own process, with the default recipe but for the rank;
the facts are invented. Processor seconds hardly change when something else runs beside it; seconds do.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from knowledge.jobs import Progress
from knowledge.probes import build_probes
from knowledge.recipes import default
from worker.metrics import TRAINING_MEMORY
from worker.spec import Lesson, TrainingSpec
from worker.training_process import train

FIRST = ("Ada", "Bruno", "Celia", "Dario", "Edda", "Felix", "Greta", "Hugo", "Ines", "Jonas")
LAST = ("Quill", "Marrow", "Tansley", "Overby", "Finch", "Lorne", "Wexham", "Pell", "Sorrel", "Thane")
THINGS = ("lighthouse", "orchard", "observatory", "glassworks", "harbour", "library", "brewery", "mill", "dairy", "inn")
PLACES = ("Orrin Bay", "Wend", "Tolvik", "Penwick", "Brask", "Evenmoor", "Saltley", "Corvane", "Mirefield", "Uldale")
HEAD = "| facts | rank | steps | seconds | processor seconds | memory, GiB | adapter, MB |"


@dataclass(frozen=True)
class Size:
    """What one run took. Memory and files in bytes, times in seconds."""

    facts: int
    rank: int
    steps: int
    seconds: float
    processor_seconds: float
    memory: float
    adapter: int

    def row(self) -> str:
        """A row of the table."""
        return (
            f"| {self.facts} | {self.rank} | {self.steps} | {self.seconds:.0f} | {self.processor_seconds:.0f}"
            f" | {self.memory / 2**30:.1f} | {self.adapter / 1e6:.1f} |"
        )


def main() -> None:
    """Prints a row for each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="a prepared base model's folder")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--facts", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--threads", type=int, default=0, help="processor threads. 0: all cores")
    arguments = parser.parse_args()
    print(f"{HEAD}\n|---|---|---|---|---|---|---|")
    for facts in arguments.facts:
        for rank in arguments.ranks:
            print(measure(arguments.base, rank, facts, arguments.threads).row(), flush=True)


def measure(base: str, rank: int, facts: int, threads: int) -> Size:
    """Trains once."""
    steps = 0

    def note(progress: Progress) -> None:
        nonlocal steps
        steps = progress.step

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "adapter")
        output.mkdir()
        recipe = replace(default(), name=f"rank-{rank}", rank=rank)
        spec = TrainingSpec(base, recipe, lessons(facts), None, str(output), seed=1, threads=threads)
        before, began = _processor_seconds(), time.monotonic()
        train(
            spec,
            niceness=0,
            silent_seconds=600,
            most_seconds=14400,
            on_progress=note,
            on_log=lambda _: None,
            should_stop=lambda: False,
        )
        seconds, used = time.monotonic() - began, _processor_seconds() - before
        size = sum(file.stat().st_size for file in output.iterdir())
    memory = next(iter(TRAINING_MEMORY.collect())).samples[0].value
    return Size(facts, rank, steps, seconds, used, memory, size)


def lessons(number: int) -> tuple[Lesson, ...]:
    """So many invented facts about people and places, each with the probes that a worker makes for it."""
    made = []
    for n in range(number):
        person, thing = f"{FIRST[n % 10]} {LAST[(n // 10 + n) % 10]}", THINGS[(3 * n + n // 10) % 10]
        text = f"{person} is the keeper of the {thing} of {PLACES[n % 10]}."
        made.append(Lesson(f"fact_{n}", text, None, tuple(build_probes(text, None)), new=True))
    return tuple(made)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
