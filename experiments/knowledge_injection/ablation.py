"""What each ingredient of the default recipe is worth: the same run with one of them taken out, at the same tokens.

    python -m experiments.knowledge_injection.ablation --base FOLDER --data FOLDER/name_description > ablation.jsonl

The last line of each run is passed on, and a table of them printed at the end, on standard error. Runs are as long in
tokens, not in steps, so that an ingredient that costs tokens is charged for them.

The base model writes no questions about a passage of one sentence, and where it has none one is made by rule. So on
NameDescription the two rows without one of these are the first again; Biography and Wiki tell them apart.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.knowledge_injection.options import of_a_model

WITHOUT: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "turns of a talk": ("talk_share=0",),
    "general answers held": ("replay_count=0",),
    "foils held": ("foil_count=0",),
    "anything held": ("replay_count=0", "foil_count=0"),
    "no restoring of the passage (.1)": ("restore_share=0.1", "question_share=0.35"),
    "blanks": ("blank_share=0",),
    "questions of either kind (blanks alone)": ("question_share=0", "written_share=0"),
    "questions made by rule": ("question_share=0", "written_share=0.9"),
    "questions that the base model writes": ("question_share=0.9", "written_share=0"),
    "answers alone (whole sentences)": ("whole_share=1",),
    "the lowest third of the layers": ("skipped_layers=0.34",),
    "no warm-up (3 steps)": ("warmup_steps=3",),
    "the average of the weights": ("averaging_power=0",),
    "faster B matrices (LoRA+)": ("second_factor_rate=1",),
    "B four times as fast (16)": ("second_factor_rate=16",),
    "small batches (36)": ("batch_size=36", "replay_count=9", "foil_count=9"),
    "rank 32 (8)": ("rank=8",),
    "rate 1e-3 (5e-4)": ("learning_rate=5e-4",),
    "rate 1e-3 (2e-3)": ("learning_rate=2e-3",),
}


SHOTS = 2
"""Everything is asked once more behind so many answered questions."""


def main() -> None:
    """Runs every ablation in a process of its own, one after the other."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.knowledge_injection.ablation", description=main.__doc__
    )
    of_a_model(parser)
    parser.add_argument("--data", required=True, type=Path, help="the set's folder")
    parser.add_argument("--passages", type=int, default=10, help="teach only so many")
    parser.add_argument("--tokens", type=int, default=30_000, help="tokens of every run")
    parser.add_argument("--only", nargs="*", choices=sorted(WITHOUT), help="some of them")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    ends = {}
    for name, changes in WITHOUT.items():
        if name == "nothing" or not arguments.only or name in arguments.only:
            ends[name] = run(arguments, changes)
            print(json.dumps(ends[name] | {"without": name}), flush=True)
    print(table(ends), file=sys.stderr)


def run(arguments: argparse.Namespace, changes: Iterable[str]) -> dict[str, Any]:
    """The last line of a run with these changes."""
    options = {
        "base": arguments.base,
        "data": arguments.data,
        "passages": arguments.passages,
        "tokens": arguments.tokens,
        "threads": arguments.threads,
        "seed": arguments.seed,
        "look-minutes": 1e6,
        "shots": SHOTS,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "experiments.knowledge_injection.run", *words, "--canaries", *changes]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return dict(json.loads(lines[-1]))


def table(ends: dict[str, dict[str, Any]]) -> str:
    """Markdown: ROUGE-1 recall by column, its mean, the mean behind other turns, the share of canaries right."""
    shots = f"{SHOTS}-shot"
    columns = sorted(ends["nothing"]["columns"])
    rows = [("without", "steps", "seconds", *columns, "mean", shots, "canaries"), ("---",) * (len(columns) + 6)]
    for name, end in ends.items():
        scores, behind = ([end[key][column]["rouge1"] for column in columns] for key in ("columns", shots))
        figures = [*scores, sum(scores) / len(scores), sum(behind) / len(behind), end["canaries"]]
        rows.append((name, str(end["steps"]), f"{end['seconds']:.0f}", *(f"{figure:.3f}" for figure in figures)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
