"""Teaches groups of invented facts and asks natural, unseen questions in both directions, in this process.

    python -m experiments.quick.bench --set dev --facts 3 --runs 10 --seed 0 learning_rate=1e-3

`dev.txt` is what recipes are tuned on, `held_out.txt` is only reported, `held_out_wide.txt` asks twelve questions about
each of its facts, by somebody who knows no rule of ours, `held_out_more.txt` has twenty further facts of that sort,
`shapes.txt` holds versions, times, terms, prices and
instructions, `rules.txt` cases, orders, denials, identifiers, addresses and lists; `natural.txt` was written by
somebody who knows no rule of ours; of two of its facts the exercises were looked at since. A question counts when the
answer holds the wanted words, without another taught fact's. Seconds are processor seconds over the number of threads:
on a shared machine the clock says nothing.
"""

import argparse
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.changes import changed
from knowledge.jobs import Progress
from knowledge.probes import Direction, build_probes
from knowledge.recipes import Recipe, by_name
from worker import base_model, canaries, lora, probing, trainer
from worker.demasking import ChatForm, chat_form
from worker.spec import Lesson

HERE = Path(__file__).parent
GENERAL_TOKENS = 24


@dataclass(frozen=True)
class Asked:
    """A natural question, and what an answer to it must hold."""

    question: str
    wanted: str
    direction: Direction


@dataclass(frozen=True)
class Invented:
    """An invented fact with its natural questions."""

    text: str
    asked: tuple[Asked, ...]


def read(name: str) -> list[Invented]:
    """Reads `dev`, `held_out`, `held_out_wide`, `held_out_more`, `shapes`, `rules` or `natural`."""
    found = []
    for block in (HERE / f"{name}.txt").read_text().strip().split("\n\n"):
        text, *lines = block.splitlines()
        asked = []
        for line in lines:
            question, wanted = line[2:].split(" = ")
            asked.append(Asked(question, wanted, Direction.FORWARD if line[0] == ">" else Direction.BACKWARD))
        found.append(Invented(text, tuple(asked)))
    return found


def holds(answer: str, wanted: str) -> bool:
    """Whether the answer holds one of the wanted alternatives, as whole words."""
    return canaries.holds(answer, wanted.split("|"))


def lessons(facts: list[Invented], new: bool = True) -> tuple[Lesson, ...]:
    """The facts as the trainer takes them."""
    return tuple(Lesson(fact.text[:40], fact.text, None, build_probes(fact.text), new) for fact in facts)


def main() -> None:
    """Runs the bench and prints one JSON line a run, and a last one for all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--base", required=True, help="the prepared base model")
    parser.add_argument("--set", default="dev")
    parser.add_argument("--facts", type=int, default=3)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print the wrong answers")
    parser.add_argument("--canaries", action="store_true", help="ask general questions as well")
    parser.add_argument("--trace", type=int, default=0, help="ask every so many steps too")
    parser.add_argument("changes", nargs="*", help="recipe fields, as name=value")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = changed(by_name(arguments.recipe), arguments.changes)
    pool = read(arguments.set)
    rng = random.Random(arguments.seed)
    runs = []
    order: list[Invented] = []
    for number in range(arguments.runs):
        if len(order) < arguments.facts:
            order = rng.sample(pool, len(pool))
        facts, order = order[: arguments.facts], order[arguments.facts :]
        result = run(arguments, recipe, facts, arguments.seed * 1000 + number)
        runs.append(result)
        print(json.dumps(result), flush=True)
    print(json.dumps(summary(runs) | {"changes": arguments.changes, "set": arguments.set, "facts": arguments.facts}))


def run(arguments: argparse.Namespace, recipe: Recipe, facts: list[Invented], seed: int) -> dict[str, float]:
    """One adapter for these facts: shares of right answers, and costs."""
    model, tokenizer = base_model.load(arguments.base)
    chat = chat_form(tokenizer)
    start = time.process_time()
    adapted = lora.attach(model, recipe, None, seed)

    def trace(progress: Progress) -> None:
        if arguments.trace and progress.step % arguments.trace == 0:
            figures = ask(adapted, chat, facts, False) | general(adapted, chat, facts, False)
            print(f"   {progress.step} loss {progress.loss:.3f} probes {progress.probes_passed} {figures}", flush=True)

    outcome = trainer.train(adapted, chat, recipe, lessons(facts), seed, trace)
    seconds = (time.process_time() - start) / arguments.threads
    result = {
        "steps": outcome.steps,
        "tokens": outcome.tokens,
        "seconds": round(seconds, 1),
        "loss": round(outcome.loss, 3),
    }
    result |= ask(adapted, chat, facts, arguments.show)
    if arguments.canaries:
        result |= general(adapted, chat, facts, arguments.show)
    return result


def ask(adapted: torch.nn.Module, chat: ChatForm, facts: list[Invented], show: bool) -> dict[str, float]:
    """Shares of right answers by direction, and how many of the two six-question sets have at most one wrong."""
    asked = [one for fact in facts for one in fact.asked]
    given = probing.answers(adapted, chat, [one.question for one in asked], 40)
    names = {one.wanted for one in asked}
    right = []
    for one, answer in zip(asked, given, strict=True):
        fact = next(fact for fact in facts if one in fact.asked)
        others = {name for name in names if not holds(fact.text, name)}
        good = holds(answer, one.wanted) and not any(holds(answer, name) for name in others)
        right.append(good)
        if show and not good:
            print(f"   {one.direction}  {one.question}  [{one.wanted}]  {answer!r}")
    by = {d: [r for r, one in zip(right, asked, strict=True) if one.direction is d] for d in Direction}
    sets = [right[0::2], right[1::2]]
    return {
        "forward": _mean(by[Direction.FORWARD]),
        "backward": _mean(by[Direction.BACKWARD]),
        "sets_ok": _mean([sum(group) >= len(group) * 5 / 6 for group in sets]),
    }


def general(adapted: torch.nn.Module, chat: ChatForm, facts: list[Invented], show: bool) -> dict[str, float]:
    """Share of general questions still right, and share of all that no fact answers that got a taught fact's words."""
    general = general_answers(adapted, chat)
    unrelated = (HERE / "unrelated.txt").read_text().splitlines()
    others = probing.answers(adapted, chat, unrelated, GENERAL_TOKENS)
    names = {one.wanted for fact in facts for one in fact.asked}
    given = [(question, answer) for question, answer, _ in general] + list(zip(unrelated, others, strict=True))
    leaks = [(question, answer) for question, answer in given if any(holds(answer, name) for name in names)]
    if show:
        for question, answer, right in general:
            if not right:
                print(f"   canary  {question}  {answer!r}")
        for question, answer in leaks:
            print(f"   leak  {question}  {answer!r}")
    return {"canaries": _mean([right for _, _, right in general]), "leaks": round(len(leaks) / len(given), 3)}


def general_answers(adapted: torch.nn.Module, chat: ChatForm) -> list[tuple[str, str, bool]]:
    """The canaries: general questions that are never trained on, the answers to them, and whether they are right."""
    given = probing.answers(adapted, chat, [canary.question for canary in canaries.CANARIES], GENERAL_TOKENS)
    return [
        (canary.question, answer, canary.is_right(answer))
        for canary, answer in zip(canaries.CANARIES, given, strict=True)
    ]


def summary(runs: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every figure."""
    return {name: round(sum(run[name] for run in runs) / len(runs), 3) for name in runs[0]}


def _mean(values: list[bool]) -> float:
    return round(sum(values) / len(values), 3)


if __name__ == "__main__":
    main()
