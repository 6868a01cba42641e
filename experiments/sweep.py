"""Runs of one experiment side by side: each setting a process of `experiments.knowledge_injection.run`, in turn.

A sweep's lines go to a file as they come, each with the name of its setting. A setting whose end is in the file already
is not run again, so a sweep that was cut off goes on where it stopped, and one more seed costs one more seed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.knowledge_injection.options import of_a_model, of_data

RUN = "experiments.knowledge_injection.run"
Options = tuple[str, ...]
BATCH: Options = ("batch_size=6",)
"""In small sizes the paper's 64 exercises a step would leave a handful of steps."""

FEW_STEPS: Options = (*BATCH, "learning_rate=2e-3")
"""With these the paper's arms learn something in the few dozen steps of a small size; at 5e-4 they do not."""


@dataclass(frozen=True)
class Size:
    """How much is taught: passages (0: all), tokens of each run, seeds.

    `options` are added to the runs of all arms but ours: those that train by the paper's recipe.
    """

    passages: int
    tokens: int
    seeds: int
    options: Options = ()


@dataclass(frozen=True)
class Sweep:
    """Settings by name, each the options that it adds to a run; `common` are those of all."""

    name: str
    settings: Mapping[str, Options]
    sizes: Mapping[str, Size]
    common: Options = ()

    def main(self) -> None:
        """Reads the command line, runs what is missing, prints a table on standard error."""
        parser = argparse.ArgumentParser(prog=f"python -m experiments.{self.name}.run")
        of_a_model(parser)
        of_data(parser)
        parser.add_argument(
            "--size", default="small", choices=sorted(self.sizes), help=describe(self.sizes) + "; (default: small)"
        )
        parser.add_argument("--only", nargs="*", choices=sorted(self.settings), help="some of the settings")
        parser.add_argument("--output", type=Path, help="JSON lines, added to what is there")
        parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: all")
        parser.add_argument("--dry-run", action="store_true", help="say what each run needs, and end")
        arguments = parser.parse_args()
        size = self.sizes[arguments.size]
        if arguments.dry_run:
            size, seeds, arguments.output = replace(size, seeds=1), size.seeds, None  # seeds differ in nothing here
        lines = _read(arguments.output)
        asked = [(name, seed) for name in self.settings for seed in range(size.seeds)]
        asked = [(name, seed) for name, seed in asked if not arguments.only or name in arguments.only]
        for number, (name, seed) in enumerate(asked, 1):
            about = {"sweep": self.name, "size": arguments.size, "setting": name}
            if _done(lines, about, seed, arguments.data):
                print(f"run {number} of {len(asked)}: {name}, seed {seed}: is in the file", file=sys.stderr)
                continue
            print(f"run {number} of {len(asked)}: {name}, seed {seed}", file=sys.stderr, flush=True)
            told = (*self.common, *self.settings[name])
            try:
                for line in started(arguments, size, seed, (*told, *(() if "ours" in told else size.options))):
                    lines.append(about | line)
                    _write(lines[-1], arguments.output)
            except subprocess.CalledProcessError as error:
                sys.exit(f"{self.name}: the setting {name!r} ended with {error.returncode}; its reason stands above.")
        needed = [line for line in lines if line["kind"] == "needs"]
        ends = [line for line in lines if line["kind"] == "end"]
        print(needs_table(needed, seeds) if arguments.dry_run else table(ends), file=sys.stderr)


def describe(sizes: Mapping[str, Size]) -> str:
    """The sizes in words."""
    told = [
        f"{name}: {size.passages or 'all'} passages, {size.tokens} tokens, {size.seeds} seeds"
        for name, size in sizes.items()
    ]
    return f"{'; '.join(told)}; without it: small"


def started(arguments: argparse.Namespace, size: Size, seed: int, options: Options) -> Iterable[dict[str, Any]]:
    """Starts a run and yields its lines as they come. Raises `CalledProcessError` when it fails."""
    given = {"base": arguments.base, "data": arguments.data, "seed": seed, "threads": arguments.threads}
    given |= {"passages": size.passages, "tokens": size.tokens}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", RUN, *words, *(["--dry-run"] if arguments.dry_run else []), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            yield json.loads(line)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)


def table(ends: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each setting, set and size, the mean over its seeds of ROUGE-1 recall by column.

    Of a seed that was run twice the later run counts. Sizes but the small one stand behind the setting's name.
    """
    groups: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for end in ends:
        size = end.get("size", "small")
        named = end["setting"] if size == "small" else f"{end['setting']} ({size})"
        groups.setdefault((end["set"], named), {})[end["seed"]] = end
    rows = []
    for (name, setting), by_seed in groups.items():
        runs = list(by_seed.values())
        columns = sorted(runs[0]["columns"])
        scores = [mean([run["columns"][column]["rouge1"] for run in runs]) for column in columns]
        row = {"set": name, "setting": setting, "seeds": str(len(runs))}
        row |= {key: f"{mean([run[key] for run in runs]):.0f}" for key in ("steps", "tokens", "seconds")}
        row |= {column: f"{score:.3f}" for column, score in zip(columns, scores, strict=True)}
        row |= {"mean": f"{mean(scores):.3f}"}
        row |= {"canaries": f"{mean([run['canaries'] for run in runs]):.3f}"} if "canaries" in runs[0] else {}
        rows.append(row)
    return markdown(rows)


def needs_table(needed: Sequence[dict[str, Any]], seeds: int) -> str:
    """Markdown: what a run of each setting needs, and all runs together. Weights without activations."""
    rows = [
        {
            "setting": line["setting"],
            "runs": str(seeds),
            "steps a run": f"{line['steps']:,}",
            "tokens": f"{line['tokens']:,}",
            "petaflop": f"{line['petaflop']:,.3f}",
            "weights, GiB": str(line["weights_gib"]),
        }
        for line in needed
    ]
    tokens, petaflop = (seeds * sum(line[key] for line in needed) for key in ("tokens", "petaflop"))
    every = {"setting": "*all*", "runs": str(seeds * len(needed)), "tokens": f"{tokens:,}"}
    return markdown([*rows, every | {"petaflop": f"{petaflop:,.3f}"}])


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """A table whose columns are the rows' keys, in the order in which they are met."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = [head, ["---"] * len(head), *([row.get(key, "") for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value."""
    return sum(values) / len(values)


def _done(lines: Iterable[dict[str, Any]], about: dict[str, str], seed: int, data: str) -> bool:
    wanted = about | {"kind": "end", "seed": seed, "set": Path(data).name}
    return any(wanted.items() <= line.items() for line in lines)


def _read(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def _write(line: dict[str, Any], path: Path | None) -> None:
    text = json.dumps(line)
    print(text, flush=True)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(text + "\n")
