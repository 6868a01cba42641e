"""Fits A(1 - exp(-k x)) to the curves of a sweep's looks: A is where an arm ends, 3/k the steps to 95 % of it.

python -m experiments.dynamics.fit dynamics.jsonl --plot dynamics.svg
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from pathlib import Path
from typing import Any

from experiments.sweep import markdown, mean

SLOWEST, FASTEST, TRIED = 1e-4, 10.0, 400


@dataclass(frozen=True)
class Growth:
    """A(1 - exp(-k x)), with the root of the mean squared error that is left."""

    plateau: float
    rate: float
    error: float

    def at(self, x: float) -> float:
        """Its value after x steps."""
        return self.plateau * (1 - exp(-self.rate * x))

    @property
    def to_95_percent(self) -> float:
        """Steps until it is at 95 % of its plateau."""
        return log(20) / self.rate


def fit(points: Sequence[tuple[float, float]], most: float = 1.0) -> Growth:
    """The growth with the least squared error whose plateau is at most `most`.

    Rates are tried on a logarithmic grid, since for a given rate the best plateau is known. Raises `ValueError`
    without a point.
    """
    if not points:
        raise ValueError("There is no point to fit.")
    best = Growth(0.0, SLOWEST, inf)
    for step in range(TRIED + 1):
        rate = SLOWEST * (FASTEST / SLOWEST) ** (step / TRIED)
        shape = [1 - exp(-rate * x) for x, _ in points]
        squares = sum(value * value for value in shape)
        plateau = sum(value * y for value, (_, y) in zip(shape, points, strict=True)) / squares if squares else 0.0
        plateau = min(most, max(0.0, plateau))
        error = mean([(plateau * value - y) ** 2 for value, (_, y) in zip(shape, points, strict=True)]) ** 0.5
        if error < best.error:
            best = Growth(plateau, rate, error)
    return best


def curves(lines: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], list[tuple[float, float]]]:
    """By set, setting and column: steps and ROUGE-1 recall of every look and end, all seeds together."""
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for line in lines:
        for column, scores in line["columns"].items():
            found.setdefault((line["set"], line["setting"], column), []).append((line["steps"], scores["rouge1"]))
    return found


def costs(lines: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """A row for each setting: what one step and a whole run cost, the mean over its seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if line["kind"] == "end":
            groups.setdefault((line["set"], line["setting"]), []).append(line)
    return [
        {
            "set": name,
            "arm": setting,
            "seeds": str(len(runs)),
            "tokens a step": f"{mean([run['tokens'] / run['steps'] for run in runs]):.0f}",
            "GFLOP a step": f"{mean([run['gigaflop_a_token'] * run['tokens'] / run['steps'] for run in runs]):.0f}",
            "seconds a step": f"{mean([run['seconds'] / run['steps'] for run in runs]):.2f}",
            "peak memory, GiB": f"{mean([run['peak_gib'] for run in runs]):.1f}",
        }
        for (name, setting), runs in groups.items()
    ]


def plot(found: dict[tuple[str, str, str], list[tuple[float, float]]], path: Path) -> None:
    """Writes an SVG: every look as a point and every fit as a line; a column of the paper's table each."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "engrain"
    from matplotlib import pyplot

    columns = sorted({(name, column) for name, _, column in found})
    figure, axes = pyplot.subplots(
        1, len(columns), sharey=True, squeeze=False, figsize=(3.2 * len(columns), 3), layout="constrained"
    )
    colours = {setting: f"C{place}" for place, setting in enumerate(dict.fromkeys(key[1] for key in found))}
    for place, (name, column) in enumerate(columns):
        for (of_set, setting, of_column), points in found.items():
            if (of_set, of_column) != (name, column):
                continue
            growth, last = fit(points), max(x for x, _ in points)
            axes[0][place].plot(*zip(*points, strict=True), ".", color=colours[setting], alpha=0.5)
            xs = [last * step / 60 for step in range(61)]
            axes[0][place].plot(xs, [growth.at(x) for x in xs], color=colours[setting], label=setting)
        axes[0][place].set(ylim=(0, 1.02), xlabel="steps", title=column)
        axes[0][place].grid(alpha=0.3)
    axes[0][0].set_ylabel("ROUGE-1 recall")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    """Prints the fits and the costs."""
    parser = argparse.ArgumentParser(prog="python -m experiments.dynamics.fit", description=main.__doc__)
    parser.add_argument("runs", type=Path, help="the file of a sweep")
    parser.add_argument("--plot", type=Path, help="an SVG to write")
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in arguments.runs.read_text().splitlines()]
    sys.stdout.write(f"{fits(curves(lines))}\n{markdown(costs(lines))}")
    if arguments.plot:
        plot(curves(lines), arguments.plot)


def fits(found: dict[tuple[str, str, str], list[tuple[float, float]]]) -> str:
    """Markdown: a row for each curve."""
    rows = []
    for (name, setting, column), points in found.items():
        growth = fit(points)
        rows.append(
            {
                "set": name,
                "arm": setting,
                "column": column,
                "looks": str(len(points)),
                "A": f"{growth.plateau:.2f}",
                "k": f"{growth.rate:.3g}",
                "steps to 95 %": f"{growth.to_95_percent:.0f}" if growth.plateau else "",
                "error": f"{growth.error:.2f}",
            }
        )
    return markdown(rows)


if __name__ == "__main__":
    main()
