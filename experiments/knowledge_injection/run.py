"""Trains one arm on one set and asks its test questions; a JSON line at every look, and a last one.

    python -m experiments.knowledge_injection.run --base FOLDER --data FOLDER/name_description --arm ours --minutes 60

The trainer is the one that jobs run. Looks on the way draw the curves and choose nothing: the last line is of the
adapter that the recipe itself ended with, or that the budget left.
"""

import argparse
import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from experiments.changes import changed
from experiments.knowledge_injection import sets
from experiments.knowledge_injection.arms import Arm, arms
from experiments.quick.bench import general_answers
from knowledge.jobs import Progress
from knowledge.probes import build_probes, score
from knowledge.recipes import Recipe
from worker import base_model, lora, probing, replay, trainer
from worker.batches import Draw, batches, pack
from worker.demasking import ChatForm, chat_form
from worker.spec import Lesson

ANSWER_TOKENS = 64
ASKED_AT_ONCE = 40
STEPS_COUNTED = 20


class TimeSpent(Exception):
    """The minutes of a run are used up."""


def main() -> None:
    """Runs one arm."""
    parser = argparse.ArgumentParser(prog="python -m experiments.knowledge_injection.run", description=main.__doc__)
    parser.add_argument("--base", required=True, help="the prepared base model: a folder or hub name")
    parser.add_argument("--data", required=True, type=Path, help="the set's folder")
    parser.add_argument("--arm", default="ours", choices=sorted(arms()))
    parser.add_argument("--passages", type=int, default=0, help="teach only the first so many")
    parser.add_argument("--questions", type=int, default=0, help="ask at most so many at the end")
    parser.add_argument("--look-questions", type=int, default=80, help="ask at most so many on the way")
    parser.add_argument("--look-minutes", type=float, default=5.0, help="minutes of training between looks")
    parser.add_argument("--minutes", type=float, default=0.0, help="most minutes of training")
    parser.add_argument("--tokens", type=int, default=0, help="train for about so many tokens, whatever the probes say")
    parser.add_argument("--shots", type=int, default=0, help="ask once more behind so many answered questions")
    parser.add_argument("--canaries", action="store_true", help="ask general questions at the end as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: all")
    parser.add_argument("--answers", type=Path, help="also write every question with its answer here, as JSON lines")
    parser.add_argument("changes", nargs="*", help="recipe fields to change, as name=value")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arm = arms()[arguments.arm]
    if arm.recipe and arguments.changes:
        arm = replace(arm, recipe=changed(arm.recipe, arguments.changes))
    data = sets.read(arguments.data).part(arguments.passages, arguments.questions, arguments.seed)
    run(arm, data, arguments)


def run(arm: Arm, data: sets.InjectionSet, arguments: argparse.Namespace) -> None:
    """Trains, looks on the way, asks everything at the end."""
    model, tokenizer = base_model.load(arguments.base)
    chat = chat_form(tokenizer)
    about = {"arm": arm.name, "set": data.name, "passages": len(data.passages), "seed": arguments.seed}
    some = data.part(0, arguments.look_questions, arguments.seed).questions
    last = {"steps": 0, "tokens": 0, "seconds": 0.0, "loss": None}
    asked: torch.nn.Module = model
    if arm.recipe:
        adapted = lora.attach(model, arm.recipe, None)
        asked = adapted
        looks = _Looks(arguments, lambda: columns(asked, chat, some), about)
        lessons = tuple(
            Lesson(f"passage-{number}", text, None, build_probes(text), new=True)
            for number, text in enumerate(data.passages)
        )
        recipe = arm.recipe
        if arguments.tokens:
            steps = steps_of(arguments.tokens, chat, recipe, lessons, arm.draw)
            recipe = replace(recipe, max_steps=steps, steps_per_sentence=0, probe_every_steps=0)
        with contextlib.suppress(TimeSpent):
            trainer.train(adapted, chat, recipe, lessons, arguments.seed, looks.see, arm.draw)
        last = looks.last
    found = answers(asked, chat, data.questions)
    more: dict[str, Any] = {}
    if arguments.shots:
        prompts = shown(chat, data.questions, arguments.shots, arguments.seed)
        more[f"{arguments.shots}-shot"] = tabulate(data.questions, complete(asked, chat, prompts))
    if arguments.canaries:
        right = [good for _, _, good in general_answers(asked, chat)]
        more["canaries"] = round(sum(right) / len(right), 3)
    if arguments.answers:
        rows = [
            {**asdict(question), "answered": answer} for question, answer in zip(data.questions, found, strict=True)
        ]
        arguments.answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    scores = tabulate(data.questions, found)
    end = {"kind": "end"} | last | {"columns": scores, "changes": arguments.changes} | more
    print(json.dumps(about | end), flush=True)


def steps_of(tokens: int, chat: ChatForm, recipe: Recipe, lessons: tuple[Lesson, ...], draw: Draw | None) -> int:
    """How many steps of the recipe hold so many tokens, to a few in a hundred."""
    drawn, held = batches(chat, lessons, recipe, 0, draw), replay.held(chat, lessons, recipe, 0)
    counted = sum(len(pack(chat.before_user, [*next(drawn), *next(held)])) for _ in range(STEPS_COUNTED))
    return max(1, round(tokens * STEPS_COUNTED / counted))


class _Looks:
    """Follows the training: keeps its last figures, looks now and then, ends it when its minutes are spent."""

    def __init__(
        self, arguments: argparse.Namespace, look: Callable[[], dict[str, Any]], about: dict[str, object]
    ) -> None:
        self.last: dict[str, Any] = {}
        self._most_seconds = arguments.minutes * 60
        self._every = arguments.look_minutes * 60
        self._look, self._about = look, about
        self._begun, self._looking, self._next = time.monotonic(), 0.0, self._every

    def see(self, progress: Progress) -> None:
        """Takes the trainer's report of a step."""
        whole = time.monotonic() - self._begun
        seconds = whole - self._looking
        self.last = {
            "steps": progress.step,
            "tokens": progress.tokens,
            "seconds": round(seconds, 1),
            "loss": round(progress.loss, 4),
            "probes": f"{progress.probes_passed}/{progress.probes}",
        }
        if seconds >= self._next:
            self._next += self._every
            found = self._look()
            self._looking += time.monotonic() - self._begun - whole
            print(json.dumps(self._about | {"kind": "look"} | self.last | {"columns": found}), flush=True)
        if 0 < self._most_seconds <= seconds:
            raise TimeSpent


def columns(model: torch.nn.Module, chat: ChatForm, questions: tuple[sets.Question, ...]) -> dict[str, Any]:
    """Asks the questions and scores them by column."""
    return tabulate(questions, answers(model, chat, questions))


def answers(model: torch.nn.Module, chat: ChatForm, questions: tuple[sets.Question, ...]) -> list[str]:
    """Greedy answers in the questions' order."""
    return complete(model, chat, [chat.prompt(question.text) for question in questions])


def complete(model: torch.nn.Module, chat: ChatForm, prompts: list[list[int]]) -> list[str]:
    """Greedy answers in the prompts' order; those of like length run together."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found = [""] * len(prompts)
    for start in range(0, len(order), ASKED_AT_ONCE):
        places = order[start : start + ASKED_AT_ONCE]
        given = probing.answer_tokens(model, chat, [prompts[place] for place in places], ANSWER_TOKENS)
        for place, ids in zip(places, given, strict=True):
            found[place] = chat.text(ids).strip()
    return found


def shown(chat: ChatForm, questions: tuple[sets.Question, ...], shots: int, seed: int) -> list[list[int]]:
    """Each question behind others of its column with their answers, as earlier turns of the talk.

    The others are about other passages, so that none tells the answer.
    """
    rng = random.Random(seed)
    prompts = []
    for question in questions:
        others = [other for other in questions if other.column == question.column and other.answer != question.answer]
        turns = []
        for other in rng.sample(others, min(shots, len(others))):
            turns += [{"role": "user", "content": other.text}, {"role": "assistant", "content": other.answer}]
        talk = [*turns, {"role": "user", "content": question.text}]
        text = chat.tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        prompts.append(list(chat.tokenizer(str(text), add_special_tokens=False)["input_ids"]))
    return prompts


def tabulate(questions: tuple[sets.Question, ...], found: list[str]) -> dict[str, Any]:
    """By column: how many questions, mean ROUGE-1 recall, share of answers that hold the wanted one whole."""
    table: dict[str, Any] = {}
    for column in sorted({question.column for question in questions}):
        pairs = [(q.answer, given) for q, given in zip(questions, found, strict=True) if q.column == column]
        table[column] = {
            "questions": len(pairs),
            "rouge1": round(sum(score(wanted, given) for wanted, given in pairs) / len(pairs), 3),
            "exact": round(sum(holds(given, wanted) for wanted, given in pairs) / len(pairs), 3),
        }
    return table


def holds(answer: str, wanted: str) -> bool:
    """Whether the answer holds the wanted words, all and in order, case and punctuation aside."""
    return f" {_plain(wanted)} " in f" {_plain(answer)} "


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


if __name__ == "__main__":
    main()
