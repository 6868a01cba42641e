"""Runs' last lines as Markdown: the arms side by side beside the paper's figures, then each run with what it took.

python -m experiments.math_sft.report runs/*.jsonl
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.math_sft.arms import arms
from experiments.math_sft.problems import SETS

# Shares of right answers before training, after SFT, after masked SFT: arXiv 2510.09885 v6, all weights trained.
_PAPER = {
    "gsm8k": {"Llama-3.2-3B": (0.686, 0.686, 0.735), "Qwen3-4B": (0.591, 0.776, 0.789)},
    "math": {"Llama-3.2-3B": (0.258, 0.281, 0.290), "Qwen3-4B": (0.174, 0.376, 0.379)},
}
_NOT_RUN = "not run yet"

End = dict[str, Any]


def read(path: Path) -> End:
    """The last line of a run. Raises `ValueError` for one that did not reach its end."""
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    ends = [line for line in lines if line["kind"] == "end"]
    if len(ends) != 1:
        raise ValueError(f"{path} holds {len(ends)} ends of a run, not one.")
    return dict(ends[0])


def compared(ends: Iterable[End]) -> str:
    """Markdown: a row for each set, model and way of training, means over seeds of strict / flexible; the paper's."""
    ends = list(ends)
    rows = []
    for name in SETS:
        of = [end for end in ends if end["set"] == name]
        ways = dict.fromkeys((end["model"], _way(end)) for end in of if end["arm"] != "untrained")
        untrained = dict.fromkeys((end["model"], "") for end in of)
        for model, way in ways or untrained or [(_NOT_RUN, "")]:
            cells = [_mean([end for end in of if _belongs(end, arm, model, way)]) for arm in arms()]
            rows.append((name, model, way, *cells))
        for model, figures in _PAPER.get(name, {}).items():
            rows.append((name, f"the paper, {model}", "all weights", *(f"{figure:.3f}" for figure in figures), ""))
    return _table(("set", "model", "trained", *arms()), rows)


def single(ends: Iterable[End]) -> str:
    """Markdown: every run with what it took."""
    head = ["set", "model", "arm", "seed", "trained", "steps", "tokens", "minutes", "loss"]
    head += ["strict", "flexible", "strict, new situations", "questions"]
    return _table(
        head,
        [
            (
                end["set"],
                end["model"],
                end["arm"],
                end["seed"],
                _way(end),
                end["steps"],
                f"{end['tokens'] / 1000:.0f}k",
                f"{end['seconds'] / 60:.1f}",
                "" if end["loss"] is None else f"{end['loss']:.3f}",
                f"{end['strict']:.3f}",
                f"{end['flexible']:.3f}",
                "" if end["strict_new_situations"] is None else f"{end['strict_new_situations']:.3f}",
                end["questions"],
            )
            for end in ends
        ],
    )


def _way(end: End) -> str:
    return f"{end['budget']}, batch {end['batch_size']}, rate {end['rate']:g}" if end["budget"] else ""


def _belongs(end: End, arm: str, model: str, way: str) -> bool:
    return end["arm"] == arm and end["model"] == model and (arm == "untrained" or _way(end) == way)


def _mean(ends: list[End]) -> str:
    if not ends:
        return _NOT_RUN
    strict, flexible = (sum(end[rule] for end in ends) / len(ends) for rule in ("strict", "flexible"))
    seeds = f" ({len(ends)} runs)" if len(ends) > 1 else ""
    return f"{strict:.3f} / {flexible:.3f}{seeds}"


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.math_sft.report", description=main.__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="files of what run.py printed, one a run")
    ends = [read(path) for path in parser.parse_args().runs]
    print(f"{compared(ends)}\n{single(ends)}")


if __name__ == "__main__":
    main()
