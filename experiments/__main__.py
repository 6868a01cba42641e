"""One page of everything that was measured, from the result files alone.

    python -m experiments report
    python -m experiments report --html report.html

Each experiment keeps its results in `experiments/<name>/results/*.jsonl`, as its runs print them; those of diffusion
and of training all weights are in knowledge injection's. `REPORT.md` has a section for each: its table, its plots, and
where each number comes from.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import claims, sweep
from experiments.dynamics import fit
from experiments.knowledge_injection import report as injection
from experiments.math_sft import report as problems

HERE = Path(__file__).parent
TITLES = {
    "knowledge_injection": "Knowledge injection",
    "paraphrases": "Paraphrases",
    "mask_ratio": "The hidden ratio",
    "learning_rate": "The learning rate",
    "dynamics": "How it is learnt, and what it costs",
    "editing": "What else changes",
    "math_sft": "Masked SFT on math word problems",
}


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("report", help="write REPORT.md and its plots")
    asked.add_argument("--html", type=Path, help="also write the page as HTML, its plots inside it")
    arguments = parser.parse_args()
    text, report = page(HERE), HERE / "REPORT.md"
    print(f"{report}: {'as it was' if report.exists() and report.read_text() == text else 'written anew'}")
    report.write_text(text)
    if arguments.html:
        arguments.html.write_text(as_html(text, HERE))


def page(folder: Path) -> str:
    """The report of the results below `folder`, whose plots it writes beside them."""
    parts = ["# What was measured\n\nWritten by `python -m experiments report` from `*/results/*.jsonl`.\n"]
    results = {name: read(folder / name) for name in TITLES}
    parts.append(f"## The paper's claims\n\n{claims.table(results)}")
    parts += [f"## {title}\n\n{section(name, results[name], folder / name)}" for name, title in TITLES.items()]
    return "\n".join(parts)


def read(folder: Path) -> list[dict[str, Any]]:
    """All lines of the folder's result files, in the order of the files' names."""
    files = sorted((folder / "results").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line.startswith("{")]


def section(name: str, lines: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """Tables, plots and origins of one experiment."""
    told = [dict(line) | {"setting": line.get("setting", line.get("arm", ""))} for line in lines]
    ends = [line for line in told if line["kind"] == "end"]
    if not ends:
        return "Not run yet.\n"
    if name == "knowledge_injection":
        parts = _injection(folder)
    elif name == "editing":
        parts = [locality_table(ends)]
    elif name == "math_sft":
        parts = [problems.compared(ends), problems.single(ends)]
    elif name == "dynamics":
        fit.plot(fit.curves(told), folder / "results" / "dynamics.svg")
        curves = fit.fits(fit.curves(told))
        parts = [curves, sweep.markdown(fit.costs(told)), f"![accuracy by steps]({name}/results/dynamics.svg)\n"]
    else:
        parts = [sweep.table(ends)]
    return "\n".join([*parts, origins(ends)])


def _injection(folder: Path) -> list[str]:
    sets: dict[str, list[injection.Run]] = {}
    for file in sorted((folder / "results").glob("*.jsonl")):
        run = injection.read(file)
        sets.setdefault(run.end["set"], []).append(run)
    parts = []
    for name, runs in sets.items():
        injection.plot(name, runs, folder / "results" / f"{name}.svg")
        parts.append(f"### {name}\n\n{injection.table(name, runs)}")
        parts.append(f"![{name}: recall by steps, tokens and seconds]({folder.name}/results/{name}.svg)\n")
    return parts


def locality_table(ends: Iterable[Mapping[str, Any]]) -> str:
    """A row for each run: what was learnt, and what changed beside it."""
    rows = []
    for end in ends:
        canaries, neighbours = end["locality"]["canaries"], end["locality"]["neighbours"]
        recall = sweep.mean([scores["rouge1"] for scores in end["columns"].values()])
        rows.append(
            {
                "arm": end["setting"],
                "seed": str(end["seed"]),
                "recall of the facts": f"{recall:.3f}",
                "canaries kept": f"{canaries['kept']} of {canaries['base']}",
                "gained": str(canaries["gained"]),
                "same to the letter": f"{canaries['same']} of {canaries['asked']}",
                "neighbours unchanged": f"{neighbours['same']} of {neighbours['asked']}",
                "neighbours that got a taught answer": f"{neighbours['leaks']} ({neighbours['base_leaks']} before)",
            }
        )
    return sweep.markdown(rows)


def origins(ends: Iterable[Mapping[str, Any]]) -> str:
    """Where the numbers come from: machine and commit, then the commands."""
    found: dict[tuple[str, str], list[str]] = {}
    for end in ends:
        made = (end.get("machine", "not noted"), end.get("commit", "not noted"))
        found.setdefault(made, []).append(end.get("command", "not noted"))
    told = []
    for (machine, commit), commands in found.items():
        told.append(f"Machine: {machine}. Commit: {commit}.\n\n")
        told.append("".join(f"    {command}\n" for command in dict.fromkeys(commands)))
    return "".join(told)


def as_html(text: str, folder: Path) -> str:
    """The Markdown page as one HTML file; SVG plots stand in it."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark").enable("table").render(text)
    for plot in folder.glob("*/results/*.svg"):
        name = plot.relative_to(folder).as_posix()
        start = body.find(f'<img src="{name}"')
        if start >= 0:
            end = body.index(">", start) + 1
            drawing = plot.read_text()
            body = f"{body[:start]}{drawing[drawing.index('<svg') :]}{body[end:]}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>What was measured</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ border: 1px solid #8884; padding: .2rem .6rem; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
svg {{ max-width: 100%; height: auto; }} pre {{ overflow-x: auto; }}
:root {{ color-scheme: light dark; }} svg {{ background: #fff; }}
</style></head><body>
{body}</body></html>
"""


if __name__ == "__main__":
    main()
