"""Trains one arm on math word problems and asks test problems; a JSON line now and then, and a last one.

    python -m experiments.math_sft.run --base FOLDER --set generated --arm masked --tokens 60000
    python -m experiments.math_sft.run --base FOLDER --set gsm8k --data FOLDER --arm sft --epochs 7 --dry-run

Tokens count every position computed. Losses are of what an arm learns, so those of two arms do not compare.

Legend: T tokens of a packed row, S learnt tokens, V vocabulary.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import peft
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer

from experiments.knowledge_injection.options import prepared
from experiments.knowledge_injection.run import complete
from experiments.math_sft import needs, problems, scoring
from experiments.math_sft.arms import Draw, arms, asked
from experiments.math_sft.generated import Problem
from experiments.provenance import stamp
from knowledge.recipes import Recipe, paper
from worker import base_model, lora
from worker.batches import logits, pack, turns
from worker.demasking import IGNORED, ChatForm, Sequence, chat_form

EPOCHS = 7.0
"""The paper trains for at most so many."""
WARMUP_SHARE = 0.02
ANSWER_TOKENS = 256
STEPS_COUNTED = 20
LOOKS = 10


@dataclass(frozen=True)
class Spent:
    """What a training took so far. `loss` is the mean over the steps since the look before, in nats a token."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None


def main(words: list[str] | None = None) -> None:
    """Runs one arm, or says what that would need."""
    parser = argparse.ArgumentParser(prog="python -m experiments.math_sft.run", description=main.__doc__)
    parser.add_argument("--base", required=True, help="the prepared base model: a folder or hub name")
    parser.add_argument("--set", default="generated", choices=problems.SETS)
    parser.add_argument("--data", type=Path, help="the folder of gsm8k or math")
    parser.add_argument("--arm", default="masked", choices=list(arms()))
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--tokens", type=int, default=0, help="train for about so many tokens")
    length.add_argument("--epochs", type=float, default=EPOCHS, help="train so often on every problem")
    parser.add_argument(
        "--batch-size", type=int, default=0, help="problems in a step; 0: as the paper, 16 for math or 32"
    )
    parser.add_argument("--rate", type=float, default=paper().learning_rate, help="AdamW's rate")
    parser.add_argument("--questions", type=int, default=0, help="ask at most so many test problems; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: all")
    parser.add_argument("--answers", type=Path, help="also write every question with its answer here, as JSON lines")
    parser.add_argument("--dry-run", action="store_true", help="only say what the run needs")
    arguments = parser.parse_args(words)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = replace(
        paper(),
        name="math",
        learning_rate=arguments.rate,
        batch_size=arguments.batch_size or (16 if arguments.set == "math" else 32),
    )
    if arguments.dry_run:
        print(json.dumps(dry_run(recipe, arguments), indent=2))
        return
    try:
        prepared(arguments.base)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    run(recipe, problems.read(arguments.set, arguments.data), arguments)


def run(recipe: Recipe, data: problems.ProblemSet, arguments: argparse.Namespace) -> None:
    """Trains, if the arm is trained, and asks the test problems."""
    model, tokenizer = base_model.load(arguments.base)
    chat, draw = chat_form(tokenizer), arms()[arguments.arm]
    about = {
        "arm": arguments.arm,
        "set": data.name,
        "model": Path(arguments.base).name,
        "seed": arguments.seed,
        "budget": budget(arguments) if draw else None,
        "batch_size": recipe.batch_size,
        "rate": recipe.learning_rate,
    }
    answering: torch.nn.Module = model
    spent = Spent()
    if draw:
        recipe = planned(recipe, chat, data.train, draw, arguments)
        answering = adapted = lora.attach(model, recipe, None, arguments.seed)

        def look(now: Spent) -> None:
            print(json.dumps({"kind": "look"} | about | asdict(now)), flush=True)

        spent = train(adapted, chat, recipe, batches(chat, recipe, data.train, draw, arguments.seed), look)
    chosen = random.Random(0).sample(data.test, min(arguments.questions or len(data.test), len(data.test)))
    given = answers(answering, chat, [one.question for one in chosen])
    verdicts = [scoring.judge(one.final, answer, data.is_formula) for one, answer in zip(chosen, given, strict=True)]
    if arguments.answers:
        rows = [
            asdict(one) | {"answered": answer} | asdict(verdict)
            for one, answer, verdict in zip(chosen, given, verdicts, strict=True)
        ]
        arguments.answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    new = [verdict.strict for one, verdict in zip(chosen, verdicts, strict=True) if one.new_situation]
    scores = {
        "strict": _share([verdict.strict for verdict in verdicts]),
        "flexible": _share([verdict.flexible for verdict in verdicts]),
        "strict_new_situations": _share(new) if new else None,
        "questions": len(chosen),
    }
    print(json.dumps({"kind": "end"} | about | asdict(spent) | scores | stamp()), flush=True)


def dry_run(recipe: Recipe, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a run needs, as far as its model and its problems are there to tell; `missing` says what is not."""
    told: dict[str, Any] = {
        "arm": arguments.arm,
        "set": arguments.set,
        "data": str(arguments.data) if arguments.data else None,
        "model": arguments.base,
        "budget": budget(arguments),
        "batch_size": recipe.batch_size,
        "missing": [],
    }
    data, draw = None, arms()[arguments.arm]
    try:
        data = problems.read(arguments.set, arguments.data)
        told |= {"train": len(data.train), "test": len(data.test)}
    except (OSError, ValueError) as error:
        told["missing"].append(f"problems: {error}")
    try:
        size = needs.size(arguments.base, recipe)
        chat = chat_form(AutoTokenizer.from_pretrained(arguments.base))
    except (OSError, ValueError) as error:
        told["missing"].append(f"base model: {str(error).strip().splitlines()[0]}")
        return told
    told |= {"weights": size.weights, "adapter_weights": size.adapter}
    if data and draw:
        recipe = planned(recipe, chat, data.train, draw, arguments)
        drawn = batches(chat, recipe, data.train, draw, 0)
        steps = [next(drawn) for _ in range(STEPS_COUNTED)]
        tokens = [_tokens(chat, step) for step in steps]
        learnt = max(sum(label != IGNORED for one in step for label in one.labels_T) for step in steps)
        told |= {
            "steps": recipe.max_steps,
            "tokens": round(recipe.max_steps * sum(tokens) / len(tokens)),
            "memory_gib": round(size.gib(max(tokens), learnt), 2),
        }
    return told


def budget(arguments: argparse.Namespace) -> str:
    """How long a run trains, in words."""
    return f"{arguments.tokens} tokens" if arguments.tokens else f"{arguments.epochs:g} epochs"


def planned(
    recipe: Recipe, chat: ChatForm, train_on: tuple[Problem, ...], draw: Draw, arguments: argparse.Namespace
) -> Recipe:
    """The recipe with the steps of the budget, those of tokens to a few in a hundred, and the paper's warm-up."""
    if arguments.tokens:
        steps = round(arguments.tokens / tokens_of_a_step(chat, recipe, train_on, draw))
    else:
        steps = round(arguments.epochs * len(train_on) / recipe.batch_size)
    steps = max(1, steps)
    return replace(recipe, max_steps=steps, warmup_steps=round(WARMUP_SHARE * steps))


def tokens_of_a_step(chat: ChatForm, recipe: Recipe, train_on: tuple[Problem, ...], draw: Draw) -> float:
    """The mean of some steps."""
    drawn = batches(chat, recipe, train_on, draw, 0)
    return sum(_tokens(chat, next(drawn)) for _ in range(STEPS_COUNTED)) / STEPS_COUNTED


def _tokens(chat: ChatForm, sequences: list[Sequence]) -> int:
    return len(chat.before_user) + sum(len(sequence.ids_T) for sequence in sequences)


def batches(
    chat: ChatForm, recipe: Recipe, train_on: tuple[Problem, ...], draw: Draw, seed: int
) -> Iterator[list[Sequence]]:
    """Endless batches: all problems in random order, again and again."""
    rng = random.Random(seed)
    in_turn = turns(list(train_on), rng)
    while True:
        yield [draw(chat, next(in_turn), recipe, rng) for _ in range(recipe.batch_size)]


def train(
    model: peft.PeftModel,
    chat: ChatForm,
    recipe: Recipe,
    drawn: Iterator[list[Sequence]],
    look: Callable[[Spent], None],
) -> Spent:
    """`recipe.max_steps` of AdamW on the attached adapter, in place, at a constant rate after the warm-up.

    A step whose batch has nothing to learn changes nothing.
    """
    start = time.monotonic()
    device = next(model.parameters()).device
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, betas=(0.9, recipe.beta2), eps=recipe.epsilon, weight_decay=recipe.weight_decay, fused=True
    )
    spent, losses = Spent(), []
    for step in range(1, recipe.max_steps + 1):
        row = pack(chat.before_user, next(drawn), device)
        if len(row.labels_S):
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * min(1.0, step / (recipe.warmup_steps + 1))
            loss = mean_loss(logits(model, row), row.labels_S)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, recipe.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(float(loss.detach()))
        spent = replace(spent, steps=step, tokens=spent.tokens + len(row), seconds=round(time.monotonic() - start, 1))
        if step * LOOKS // recipe.max_steps > (step - 1) * LOOKS // recipe.max_steps and losses:
            spent = replace(spent, loss=round(sum(losses) / len(losses), 4))
            losses = []
            look(spent)
    return spent


def mean_loss(logits_SV: torch.Tensor, labels_S: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the learnt tokens of a whole batch, in nats; 0 for none."""
    return cross_entropy(logits_SV, labels_S.long(), reduction="sum") / max(1, len(labels_S))


def answers(model: torch.nn.Module, chat: ChatForm, questions: list[str]) -> list[str]:
    """Greedy answers in SFT's form, in the questions' order."""
    return complete(model, chat, [chat.prompt(asked(question)) for question in questions], ANSWER_TOKENS)


def _share(right: list[bool]) -> float:
    return round(sum(right) / len(right), 3)


if __name__ == "__main__":
    main()
