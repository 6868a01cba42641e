"""Runs' JSON lines as a Markdown table beside the paper's figures, and as plots of every column's course.

    python -m experiments.knowledge_injection.report runs/*.jsonl --plots FOLDER

A file holds one run, as `run.py` prints it. One plot is written for each set: a row for each of steps, tokens and
seconds, a column for each of the paper's columns.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

AXES = ("steps", "tokens", "seconds")

_COLUMNS = {
    "name_description": ("N2D forward", "N2D backward", "D2N forward", "D2N backward"),
    "biography": ("forward", "backward"),
    "wiki": ("forward", "backward"),
}
# Masked fine-tuning of all weights without paraphrases: ROUGE-1 recall, arXiv 2510.09885 v6.
_PAPER: dict[str, dict[str, tuple[float, ...]]] = {
    "name_description": {
        "Llama-3.1-8B": (0.658, 0.949, 0.992, 0.923),
        "Llama-3.2-3B": (0.887, 0.932, 0.992, 0.933),
        "Qwen2.5-7B": (0.870, 0.897, 0.967, 0.929),
        "Qwen3-4B": (0.928, 0.902, 0.950, 0.967),
    },
    "biography": {
        "Llama-3.1-8B": (0.971, 0.598),
        "Llama-3.2-3B": (0.967, 0.738),
        "Qwen2.5-7B": (0.984, 0.754),
        "Qwen3-4B": (0.944, 0.623),
    },
    "wiki": {
        "Llama-3.1-8B": (0.980, 0.930),
        "Llama-3.2-3B": (0.970, 0.908),
        "Qwen2.5-7B": (0.934, 0.896),
        "Qwen3-4B": (0.907, 0.870),
    },
}


@dataclass(frozen=True)
class Run:
    """One run: its looks on the way and its end, as printed."""

    looks: tuple[dict[str, Any], ...]
    end: dict[str, Any]

    @property
    def name(self) -> str:
        """The arm, what was changed of its recipe, a seed other than 0, and of ours the commit whose default it is."""
        arm, about = str(self.end["arm"]), list(self.end["changes"])
        about += [f"seed {self.end['seed']}"] if self.end["seed"] else []
        if arm == "ours" and self.end.get("commit"):
            about.insert(0, self.end["commit"])
        return f"{arm} ({', '.join(about)})" if about else arm


def read(path: Path) -> Run:
    """Reads a run. Raises `ValueError` for one that did not reach its end."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    ends = [line for line in lines if line["kind"] == "end"]
    if len(ends) != 1:
        raise ValueError(f"{path} holds {len(ends)} ends of a run, not one.")
    return Run(tuple(line for line in lines if line["kind"] == "look"), ends[0])


def columns_of(name: str, runs: Iterable[Run]) -> tuple[str, ...]:
    """The paper's columns of its own sets; of others those that were asked."""
    return _COLUMNS.get(name) or tuple(sorted({column for run in runs for column in run.end["columns"]}))


def table(name: str, runs: Iterable[Run]) -> str:
    """Markdown: ROUGE-1 recall, in brackets the share of exact answers; a row behind other turns where it was asked."""
    runs = tuple(runs)
    columns = columns_of(name, runs)
    head = ("", "passages", "steps", "tokens", "minutes", *columns)
    rows = []
    for run in runs:
        spent = (run.end["passages"], run.end["steps"], _thousands(run.end["tokens"]), f"{run.end['seconds'] / 60:.1f}")
        rows.append((run.name, *map(str, spent), *_scores(run.end["columns"], columns)))
        rows += [(f"{run.name}, {key}", *[""] * 4, *_scores(run.end[key], columns)) for key in run.end if "shot" in key]
    for model, values in _PAPER.get(name, {}).items():
        rows.append((f"the paper, {model}", *[""] * 4, *(f"{value:.3f}" for value in values)))
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _scores(found: dict[str, Any], columns: Sequence[str]) -> list[str]:
    return [f"{found[c]['rouge1']:.3f} ({found[c]['exact']:.3f})" if c in found else "" for c in columns]


def _thousands(tokens: int) -> str:
    return f"{tokens / 1000:.0f}k"


def plot(name: str, runs: Sequence[Run], path: Path) -> None:
    """Writes an SVG: ROUGE-1 recall over steps, tokens and seconds; the last point of a run is its end."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "engrain"
    from matplotlib import pyplot, ticker

    columns = columns_of(name, runs)
    figure, axes = pyplot.subplots(
        len(AXES), len(columns), sharey=True, squeeze=False, figsize=(3.2 * len(columns), 7), layout="constrained"
    )
    for run, colour in zip(runs, cycle(mpl.color_sequences["tab20"]), strict=False):
        points = [*run.looks, run.end]
        for row, axis in enumerate(AXES):
            for place, column in enumerate(columns):
                at = [(point[axis], point["columns"].get(column)) for point in points]
                xs, found = zip(*at, strict=True)
                ys = [value["rouge1"] if value else float("nan") for value in found]
                axes[row][place].plot(xs, ys, marker="o", markersize=3, color=colour, label=run.name)
    for row, axis in enumerate(AXES):
        for place, column in enumerate(columns):
            axes[row][place].set(ylim=(0, 1.02), xlabel=axis, title=column if row == 0 else "")
            axes[row][place].xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
            axes[row][place].grid(alpha=0.3)
        axes[row][0].set_ylabel("ROUGE-1 recall")
    lines, names = axes[0][0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=len(columns), fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Prints a table for each set, and writes its plot."""
    parser = argparse.ArgumentParser(prog="python -m experiments.knowledge_injection.report", description=main.__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="files of what run.py printed")
    parser.add_argument("--plots", type=Path, help="folder for <set>.svg")
    arguments = parser.parse_args()
    sets: dict[str, list[Run]] = {}
    for run in map(read, arguments.runs):
        sets.setdefault(run.end["set"], []).append(run)
    for name, runs in sets.items():
        print(f"### {name}\n\n{table(name, runs)}")
        if arguments.plots:
            arguments.plots.mkdir(parents=True, exist_ok=True)
            plot(name, runs, arguments.plots / f"{name}.svg")


if __name__ == "__main__":
    main()
