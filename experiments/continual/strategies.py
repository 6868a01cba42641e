"""Teaches batches of invented facts one after the other, in several ways, and asks all questions after each batch.

    python -m experiments.continual.strategies --base FOLDER --strategy continued --batches 4 --facts 3

- `continued`: what a job does while its adapter has room: it goes on, earlier facts are rehearsed.
- `held`: the last adapter goes on, and is held to what it answers about earlier facts (`holding.py`).
- `sequential`: the last adapter goes on with the new facts alone.
- `rebuilt`: an adapter from the base model, of all facts so far.
- `merged`: an adapter from the base model for each batch alone; asked is the sum of all.

The trainer is the one that jobs run. A JSON line for each batch and strategy: right answers of natural questions by the
batch that brought them, canaries, and costs.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import peft
import torch

from experiments.changes import changed
from experiments.continual.holding import held_to_last
from experiments.knowledge_injection.options import of_a_model
from experiments.quick.bench import Invented, general_answers, holds, lessons, read
from knowledge.recipes import Recipe, by_name
from worker import base_model, lora, probing, trainer
from worker.demasking import ChatForm, chat_form
from worker.spec import Lesson

STRATEGIES = ("continued", "held", "sequential", "rebuilt", "merged")
HELD_EACH_STEP = 6
ANSWER_TOKENS = 40
ASKED_AT_ONCE = 40


def main() -> None:
    """Runs one strategy or more."""
    parser = argparse.ArgumentParser(prog="python -m experiments.continual.strategies", description=main.__doc__)
    of_a_model(parser)
    parser.add_argument("--strategy", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    parser.add_argument("--set", default="held_out", help="dev or held_out")
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--facts", type=int, default=3, help="facts in a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: all")
    parser.add_argument("changes", nargs="*", help="recipe fields to change, as name=value")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    pool = read(arguments.set)
    order = random.Random(arguments.seed).sample(pool, arguments.batches * arguments.facts)
    batches = [order[start : start + arguments.facts] for start in range(0, len(order), arguments.facts)]
    recipe = changed(by_name("default"), arguments.changes)
    for strategy in arguments.strategy:
        with tempfile.TemporaryDirectory() as folder:
            teach(strategy, batches, recipe, arguments, Path(folder))


def teach(
    strategy: str,
    batches: Sequence[list[Invented]],
    recipe: Recipe,
    arguments: argparse.Namespace,
    folder: Path,
) -> None:
    """One strategy through all batches; prints a line after each."""
    last: Path | None = None
    if strategy == "held":
        recipe = replace(recipe, rehearsal_share=0.0)
    for number in range(1, len(batches) + 1):
        model, tokenizer = base_model.load(arguments.base)
        chat = chat_form(tokenizer)
        earlier = [fact for batch in batches[: number - 1] for fact in batch]
        start = last if strategy in ("continued", "held", "sequential") else None
        adapted = lora.attach(model, recipe, str(start) if start else None, arguments.seed * 100 + number)
        began = time.monotonic()
        taught = _lessons(strategy, batches[number - 1], earlier)
        with held_to_last(adapted, taught, HELD_EACH_STEP) if strategy == "held" else nullcontext():
            outcome = trainer.train(adapted, chat, recipe, taught, arguments.seed * 100 + number, lambda _: None)
        seconds = time.monotonic() - began
        last = folder / f"{strategy}-{number}"
        lora.save(adapted, last, arguments.base)
        if strategy == "merged" and number > 1:
            _sum(adapted, [folder / f"merged-{earlier}" for earlier in range(1, number)])
        right = {str(n): score(adapted, chat, batch, batches[:number]) for n, batch in enumerate(batches[:number], 1)}
        general = [good for _, _, good in general_answers(adapted, chat)]
        line = {
            "strategy": strategy,
            "batch": number,
            "facts": number * len(batches[0]),
            "steps": outcome.steps,
            "tokens": outcome.tokens,
            "seconds": round(seconds, 1),
            "right": right,
            "canaries": sum(general),
            "changes": arguments.changes,
        }
        print(json.dumps(line), flush=True)


def _lessons(strategy: str, new: list[Invented], earlier: list[Invented]) -> tuple[Lesson, ...]:
    if strategy in ("continued", "held"):
        return lessons(new) + lessons(earlier, new=False)
    return lessons(earlier + new) if strategy == "rebuilt" else lessons(new)


def _sum(adapted: peft.PeftModel, folders: Iterable[Path]) -> None:
    """Adds the change that other adapters make to the weights: each of rank r, so the sum has a rank of their sum."""
    for number, folder in enumerate(folders):
        adapted.load_adapter(str(folder), adapter_name=f"earlier-{number}")
    names = list(adapted.peft_config)
    adapted.add_weighted_adapter(names, [1.0] * len(names), "sum", combination_type="cat")
    adapted.set_adapter("sum")
    for layer in adapted.modules():  # the fast product knows one adapter
        if isinstance(layer, peft.tuners.lora.Linear):
            layer.__dict__.pop("forward", None)


def score(adapted: torch.nn.Module, chat: ChatForm, batch: list[Invented], known: Sequence[list[Invented]]) -> float:
    """Share of a batch's natural questions that are answered rightly, without another taught fact's words."""
    asked = [(fact, one) for fact in batch for one in fact.asked]
    names = {one.wanted for facts in known for fact in facts for one in fact.asked}
    right = 0
    for start in range(0, len(asked), ASKED_AT_ONCE):
        piece = asked[start : start + ASKED_AT_ONCE]
        given = probing.answers(adapted, chat, [one.question for _, one in piece], ANSWER_TOKENS)
        for (fact, one), answer in zip(piece, given, strict=True):
            others = (name for name in names if not holds(fact.text, name))
            right += holds(answer, one.wanted) and not any(holds(answer, name) for name in others)
    return round(right / len(asked), 3)


if __name__ == "__main__":
    main()
