"""Benchmark: the usual training loop (transformers' Trainer with PEFT, the paper's recipe) against ours.

    python -m experiments.knowledge_injection.bench --base FOLDER

Each run is a process of its own, so that its peak memory is its own. First both loops take a few steps of the same work
in turn, the paper's exercises in batches of the same size, for tokens a second: those of the exercises with the chat
template's start, without padding, however a loop computes them. Then each trains from nothing, ours with our own
recipe, until 90 % of the probes of both directions pass, asked every so often with the clock stopped. The reference is
given up at `--patience` times our seconds. Ours has the environment of a job's training (`HUGE_PAGES`), the reference
the plain one. Ends with one line of JSON.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import peft
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from experiments.knowledge_injection.options import of_a_model
from experiments.quick.bench import read
from knowledge.probes import Direction, Probe, build_probes, passed
from knowledge.processor import float_type
from knowledge.recipes import Recipe, default, paper
from worker import base_model, lora, probing, trainer
from worker.batches import exercise, turns
from worker.demasking import IGNORED, ChatForm, Sequence, chat_form, restore
from worker.spec import Lesson
from worker.training_process import HUGE_PAGES

ENOUGH = 0.9
GFLOP_A_TOKEN_AND_WEIGHT = 4e-9
"""Forward, and backward to the inputs alone: the base is frozen. A loop that shares the exercises' common start needs
less than that for each of their tokens; the adapter's own part, under a tenth, is left out."""


class Over(Exception):
    """The steps, seconds or probes of a run are reached."""


class Course:
    """A run's clock and its end: after so many steps, or when enough is known, or after so many seconds.

    `ask` gives the share of right answers by direction; the clock stands still meanwhile.
    """

    def __init__(self, steps: int, seconds: float, every: float, ask: Callable[[torch.nn.Module], dict[str, float]]):
        self.steps, self.tokens, self.seconds = 0, 0, 0.0
        self.known: dict[str, float] = {}
        self._most_steps, self._most_seconds, self._every, self._ask = steps, seconds, every, ask
        self._next, self._since = every, time.monotonic()

    @property
    def enough(self) -> bool:
        """Whether both directions are known."""
        return bool(self.known) and min(self.known.values()) >= ENOUGH

    def step(self, adapted: torch.nn.Module) -> None:
        """Counts a step. Raises `Over` when it was the last."""
        self.steps += 1
        self.seconds += time.monotonic() - self._since
        if self._most_steps and self.steps >= self._most_steps:
            raise Over
        if not self._most_steps and self.seconds >= self._next:
            self._next += self._every
            self.known = self._ask(adapted)
            if self.enough or self.seconds >= self._most_seconds:
                raise Over
        self._since = time.monotonic()


def main() -> None:
    """Runs both loops, each in processes of its own, and prints a line a run and a last one."""
    parser = argparse.ArgumentParser(prog="python -m experiments.knowledge_injection.bench", description=main.__doc__)
    of_a_model(parser)
    parser.add_argument("--facts", type=int, default=6, help="passages, from experiments/quick/dev.txt")
    parser.add_argument("--steps", type=int, default=4, help="steps of a round that measures speed")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--reference-batch", type=int, default=paper().batch_size, help="sequences of a step")
    parser.add_argument(
        "--patience", type=float, default=4.0, help="give the reference up at so many times our seconds"
    )
    parser.add_argument("--ask-every", type=float, default=20.0, help="seconds of training between probes")
    parser.add_argument("--one", choices=["reference", "same work", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments)))
        return
    peak = peak_gflops()
    speeds: dict[str, list[float]] = {"reference": [], "same work": []}
    memory: dict[str, float] = {}
    for _ in range(arguments.rounds):
        for name, found in speeds.items():
            result = _child(arguments, name)
            found.append(result["tokens_per_second"])
            memory[name] = max(memory.get(name, 0.0), result["peak_gib"])
    ours = _child(arguments, "ours", steps=0, seconds=3600.0)
    reference = _child(arguments, "reference", steps=0, seconds=arguments.patience * ours["seconds"])
    mean = {name: sum(found) / len(found) for name, found in speeds.items()}
    print(
        json.dumps(
            {
                "bench": "injection",
                "facts": arguments.facts,
                "tokens_per_second": {name: round(value, 1) for name, value in mean.items()},
                "tokens_per_second_ratio": round(mean["same work"] / mean["reference"], 2),
                "peak_gib": memory,
                "peak_gflops": round(peak, 1),
                "floor_gflop_per_second": {
                    name: round(value * result["weights"] * GFLOP_A_TOKEN_AND_WEIGHT, 1) for name, value in mean.items()
                },
                "seconds_to_90_percent": {"ours": ours["seconds"], "reference": reference["seconds"]},
                "reached": {"ours": ours["known"], "reference": reference["known"]},
                "seconds_ratio": round(reference["seconds"] / ours["seconds"], 2),
                "seconds_ratio_is_a_lower_bound": not reference["enough"],
            }
        )
    )


def _child(arguments: argparse.Namespace, name: str, **changes: float) -> dict[str, Any]:
    values = {**vars(arguments), "one": name, **changes}
    words = [
        word
        for field, value in values.items()
        if value is not None
        for word in (f"--{field.replace('_', '-')}", str(value))
    ]
    command = [sys.executable, "-m", "experiments.knowledge_injection.bench", *words]
    environment = os.environ if name == "reference" else HUGE_PAGES | os.environ
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment).stdout
    line = out.strip().splitlines()[-1]
    print(line, flush=True)
    return dict(json.loads(line))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One loop in this process: some steps for its speed, or, with `--steps 0`, until it knows enough."""
    texts = [fact.text for fact in read("dev")[: arguments.facts]]
    lessons = tuple(Lesson(text[:40], text, None, build_probes(text), new=True) for text in texts)
    probes = [probe for lesson in lessons for probe in lesson.probes]
    model, tokenizer = base_model.load(arguments.base)
    weights = sum(p.numel() for name, p in model.named_parameters() if "embed" not in name)
    chat = chat_form(tokenizer)
    course = Course(
        arguments.steps, arguments.seconds, arguments.ask_every, lambda adapted: known(adapted, chat, probes)
    )
    with contextlib.suppress(Over):
        same = replace(paper(), batch_size=arguments.reference_batch)
        if arguments.one == "reference":
            reference(model, chat, lessons, course, same)
        else:
            ours(model, chat, lessons, course, same if arguments.one == "same work" else default())
    return {
        "loop": arguments.one,
        "steps": course.steps,
        "tokens": course.tokens,
        "seconds": round(course.seconds, 1),
        "tokens_per_second": round(course.tokens / course.seconds, 1),
        "known": course.known,
        "enough": course.enough,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "weights": weights,
    }


def ours(model: torch.nn.Module, chat: ChatForm, lessons: tuple[Lesson, ...], course: Course, recipe: Recipe) -> None:
    """The production loop; the course asks the probes in the place of the loop."""
    recipe = replace(recipe, probe_every_steps=0, steps_per_sentence=0)
    adapted = lora.attach(model, recipe, None, seed=0)

    def draw(*about: Any) -> Sequence:
        sequence = exercise(*about)
        course.tokens += len(sequence.ids_T) + len(chat.before_user)
        return sequence

    trainer.train(adapted, chat, recipe, lessons, 0, lambda _: course.step(adapted), draw)


def reference(
    model: torch.nn.Module, chat: ChatForm, lessons: tuple[Lesson, ...], course: Course, recipe: Recipe
) -> None:
    """What one would write with the two libraries: padded batches, all logits, PEFT's own layers."""
    config = peft.LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules="all-linear", task_type="CAUSAL_LM")
    model.set_attn_implementation("sdpa")  # type: ignore[operator]
    adapted = peft.get_peft_model(model, config).train()

    collated: deque[int] = deque()  # tokens of the batches in hand: one is made ahead of the step that takes it

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            course.tokens += collated.popleft()
            adapted.eval()
            course.step(adapted)
            adapted.train()

    def collate(sequences: list[Sequence]) -> dict[str, torch.Tensor]:
        collated.append(sum(len(sequence.ids_T) + len(chat.before_user) for sequence in sequences))
        return padded(chat, sequences)

    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=recipe.warmup_steps,
            weight_decay=recipe.weight_decay,
            adam_beta2=recipe.beta2,
            max_steps=recipe.max_steps,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        data = Exercises(chat, lessons, recipe)
        Trainer(adapted, options, data_collator=collate, train_dataset=data, callbacks=[Watch()]).train()


class Exercises(torch.utils.data.IterableDataset[Sequence]):
    """The paper's exercises without end, each passage in turn."""

    def __init__(self, chat: ChatForm, lessons: tuple[Lesson, ...], recipe: Recipe) -> None:
        super().__init__()
        self._chat, self._lessons, self._recipe = chat, lessons, recipe

    def __iter__(self) -> Iterator[Sequence]:
        rng = random.Random(0)
        for lesson in turns(list(self._lessons), rng):
            ratio = rng.uniform(self._recipe.hidden_low, self._recipe.hidden_high)
            yield restore(self._chat, lesson.text, ratio, rng)


def padded(chat: ChatForm, sequences: list[Sequence]) -> dict[str, torch.Tensor]:
    """Sequences as rows of equal length, (B, T), each with the chat template's start."""
    start = list(chat.before_user)
    rows = [([*start, *s.ids_T], [*[IGNORED] * len(start), *s.labels_T]) for s in sequences]
    longest = max(len(ids) for ids, _ in rows)
    (end,) = chat.after_answer
    fill = [(ids, labels, longest - len(ids)) for ids, labels in rows]
    return {
        "input_ids": torch.tensor([ids + [end] * missing for ids, _, missing in fill]),
        "labels": torch.tensor([labels + [IGNORED] * missing for _, labels, missing in fill]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * missing for ids, _, missing in fill]),
    }


def known(adapted: torch.nn.Module, chat: ChatForm, probes: list[Probe]) -> dict[str, float]:
    """By direction, the share of the probes that are answered rightly."""
    given = probing.answers(adapted, chat, [probe.question for probe in probes], 32)
    right = [passed(p.answer, answer, question=p.question) for p, answer in zip(probes, given, strict=True)]
    shares: dict[str, float] = {}
    for direction in Direction:
        of = [good for good, probe in zip(right, probes, strict=True) if probe.direction is direction]
        shares[str(direction)] = round(sum(of) / len(of), 3)
    return shares


def peak_gflops() -> float:
    """The fastest of some square products in the model's type: what this machine can do at best, in GFLOP/s."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else getattr(torch, float_type())
    size, best = 1024, 0.0
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    for _ in range(10):
        start = time.perf_counter()
        (a @ b).sum().item()
        best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


if __name__ == "__main__":
    main()
