"""Trains one arm on one set and asks its test questions; a JSON line at every look, and a last one.

    python -m experiments.knowledge_injection.run --base FOLDER --data FOLDER/name_description --arm ours --minutes 60
    python -m experiments.knowledge_injection.run --base FOLDER --data generated-names --passages 10 --arm ours

The trainer is the one that jobs run. Looks on the way draw the curves and choose nothing: the last line is of the
adapter that the recipe itself ended with, or that the budget left.
"""

import argparse
import contextlib
import json
import random
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import peft
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from experiments.changes import changed
from experiments.editing.locality import locality
from experiments.knowledge_injection import sets
from experiments.knowledge_injection.arms import Arm, arms
from experiments.knowledge_injection.options import chosen, of_a_model, of_a_process, of_a_set
from experiments.paraphrases import texts
from experiments.provenance import stamp
from experiments.quick.bench import general_answers
from knowledge.jobs import Progress
from knowledge.probes import build_probes, score
from knowledge.recipes import Recipe
from worker import base_model, lora, probing, replay, trainer
from worker.batches import Draw, batches, logits, pack
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
    of_a_model(parser)
    of_a_set(parser)
    of_a_process(parser, look_minutes=5.0)
    parser.add_argument("--arm", default="ours", choices=sorted(arms()))
    parser.add_argument("--minutes", type=float, default=0.0, help="most minutes of training")
    parser.add_argument("--tokens", type=int, default=0, help="train for about so many tokens, whatever the probes say")
    parser.add_argument("--shots", type=int, default=0, help="ask once more behind so many answered questions")
    parser.add_argument("--canaries", action="store_true", help="ask general questions at the end as well")
    parser.add_argument("--locality", action="store_true", help="see what else changed, against the base model")
    parser.add_argument("--paraphrases", type=int, default=0, help="teach so many other wordings of each passage too")
    parser.add_argument("--paraphrased", default="published", choices=texts.KINDS, help="where they come from")
    parser.add_argument("--count", action="store_true", help="count the operations of a step too")
    parser.add_argument("--dry-run", action="store_true", help="say what the run needs, and end")
    parser.add_argument("changes", nargs="*", help="recipe fields to change, as name=value")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    arm = arms()[arguments.arm]
    if arm.recipe and arguments.changes:
        arm = replace(arm, recipe=changed(arm.recipe, arguments.changes))
    run(arm, *chosen(arguments), arguments)


def run(arm: Arm, whole: sets.InjectionSet, data: sets.InjectionSet, arguments: argparse.Namespace) -> None:
    """Trains on `data`, a part of the whole set, looks on the way, asks everything at the end."""
    model, tokenizer = base_model.load(arguments.base)
    chat = chat_form(tokenizer)
    about: dict[str, Any] = {"arm": arm.name, "set": data.name, "passages": len(data.passages), "seed": arguments.seed}
    end: dict[str, Any] = {"kind": "end", "steps": 0, "tokens": 0, "seconds": 0.0, "loss": None}
    asked: torch.nn.Module = model
    if arm.recipe:
        draw = arm.draw
        more: dict[str, Any] = {}
        if arguments.paraphrases:
            about["paraphrases"] = f"{arguments.paraphrases} {arguments.paraphrased}"
            wordings = reworded(model, chat, data.passages, arguments)
            draw = texts.varied(draw, dict(zip(data.passages, wordings, strict=True)))
            more["kept"] = texts.share_kept(data.passages, wordings)
        asked = lora.attach(model, arm.recipe, None, arguments.seed)
        lessons = tuple(
            Lesson(f"passage-{number}", text, None, build_probes(text), new=True)
            for number, text in enumerate(data.passages)
        )
        recipe = arm.recipe
        if arguments.tokens:
            steps = steps_of(arguments.tokens, arm.form(chat), recipe, lessons, draw)
            recipe = replace(recipe, max_steps=steps, steps_per_sentence=0, probe_every_steps=0)
        if arguments.dry_run:
            print(json.dumps(about | {"kind": "needs"} | needs(asked, arm.form(chat), recipe, lessons, draw)))
            return
        if arguments.count:
            more["gigaflop_a_token"] = gigaflop(asked, arm.form(chat), recipe, lessons, draw)
        some = data.part(0, arguments.look_questions, arguments.seed).questions
        looks = Looks(arguments, lambda: columns(asked, chat, some), about)
        with contextlib.suppress(TimeSpent):
            trainer.train(asked, arm.form(chat), recipe, lessons, arguments.seed, looks.see, draw)
        end |= looks.last | more
    end |= examined(asked, chat, data, whole, arguments) | {"changes": arguments.changes, "peak_gib": peak_gib()}
    print(json.dumps(about | end | stamp()), flush=True)


def examined(
    asked: torch.nn.Module,
    chat: ChatForm,
    data: sets.InjectionSet,
    whole: sets.InjectionSet,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """All the questions, and what else the arguments want to be asked."""
    found = answers(asked, chat, data.questions)
    figures: dict[str, Any] = {"columns": tabulate(data.questions, found)}
    if arguments.shots:
        prompts = shown(chat, data.questions, arguments.shots, arguments.seed)
        figures[f"{arguments.shots}-shot"] = tabulate(data.questions, complete(asked, chat, prompts))
    if arguments.canaries:
        right = [good for _, _, good in general_answers(asked, chat)]
        figures["canaries"] = round(sum(right) / len(right), 3)
    if arguments.locality and isinstance(asked, peft.PeftModel):
        others = [
            q.text for q in whole.questions if q.passage is None or whole.passages[q.passage] not in data.passages
        ]
        figures["locality"] = locality(asked, chat, others, [question.answer for question in data.questions])
    if arguments.answers:
        rows = [
            {**asdict(question), "answered": answer} for question, answer in zip(data.questions, found, strict=True)
        ]
        arguments.answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return figures


def reworded(
    model: torch.nn.Module, chat: ChatForm, passages: tuple[str, ...], arguments: argparse.Namespace
) -> list[list[str]]:
    """Other wordings of each passage, as the arguments say. Raises `ValueError` where the set has too few.

    A dry run has the model write none, which takes minutes: it reckons with wordings as long as the passages.
    """
    count, kind, seed = arguments.paraphrases, arguments.paraphrased, arguments.seed
    if kind == "published":
        found = [wordings[:count] for wordings in texts.published(Path(arguments.data), passages)]
        if (fewest := min(map(len, found))) < count:
            raise ValueError(f"A passage has {fewest} published paraphrases, not {count}.")
        return found
    if kind == "model" and arguments.dry_run:
        return [[text] * count for text in passages]
    if kind == "model":
        return [texts.by_model(model, chat, text, count, seed + place) for place, text in enumerate(passages)]
    rng = random.Random(seed)
    return [texts.by_templates(text, kind == "permuted", count, rng) for text in passages]


def needs(
    adapted: peft.PeftModel, chat: ChatForm, recipe: Recipe, lessons: tuple[Lesson, ...], draw: Draw | None
) -> dict[str, Any]:
    """What a run takes at most, computed and not measured.

    A token costs four operations a frozen parameter, forward and back; a trained one holds 16 bytes with its gradient
    and AdamW's moments.
    """
    steps = recipe.steps_for(sum(lesson.size for lesson in lessons))
    tokens = round(steps * tokens_of_a_step(chat, recipe, lessons, draw))
    parameters, trained = sum(p.numel() for p in adapted.parameters()), adapted.get_nb_trainable_parameters()[0]
    size = next(adapted.parameters()).element_size()
    return {
        "steps": steps,
        "tokens": tokens,
        "parameters": parameters,
        "trained": trained,
        "weights_gib": round((parameters * size + trained * 16) / 2**30, 2),
        "petaflop": round(4 * parameters * tokens / 1e15, 3),
    }


def gigaflop(
    adapted: peft.PeftModel, chat: ChatForm, recipe: Recipe, lessons: tuple[Lesson, ...], draw: Draw | None
) -> float:
    """Operations of one step, forward and back, over its tokens, as torch counts them; nothing is learnt from it."""
    taught, kept = next(batches(chat, lessons, recipe, 0, draw)), next(replay.held(chat, lessons, recipe, 0))
    row = pack(chat.before_user, [*taught, *kept], next(adapted.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        if kept:
            replay.teacher(adapted, chat, kept)
        cross_entropy(logits(adapted, row), row.labels_S).backward()
    adapted.zero_grad(set_to_none=True)
    return round(int(counter.get_total_flops()) / len(row) / 1e9, 6)


def peak_gib() -> float:
    """The most memory that the process, or on a GPU torch, has held so far."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def steps_of(tokens: int, chat: ChatForm, recipe: Recipe, lessons: tuple[Lesson, ...], draw: Draw | None) -> int:
    """How many steps of the recipe hold so many tokens, to a few in a hundred."""
    return max(1, round(tokens / tokens_of_a_step(chat, recipe, lessons, draw)))


def tokens_of_a_step(chat: ChatForm, recipe: Recipe, lessons: tuple[Lesson, ...], draw: Draw | None) -> float:
    """The mean over some steps."""
    drawn, held = batches(chat, lessons, recipe, 0, draw), replay.held(chat, lessons, recipe, 0)
    counted = sum(len(pack(chat.before_user, [*next(drawn), *next(held)])) for _ in range(STEPS_COUNTED))
    return counted / STEPS_COUNTED


class Looks:
    """Follows the training: keeps its last figures, looks now and then, ends it when its minutes are spent."""

    def __init__(
        self, arguments: argparse.Namespace, look: Callable[[], dict[str, Any]], about: dict[str, object]
    ) -> None:
        self.last: dict[str, Any] = {}
        self._most_seconds = arguments.minutes * 60
        self._every, self._every_steps = arguments.look_minutes * 60, arguments.look_steps
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
        due = progress.step % self._every_steps == 0 if self._every_steps else seconds >= self._next
        if due:
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


def complete(
    model: torch.nn.Module, chat: ChatForm, prompts: list[list[int]], tokens: int = ANSWER_TOKENS
) -> list[str]:
    """Greedy answers of at most so many tokens in the prompts' order; those of like length run together."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found = [""] * len(prompts)
    for start in range(0, len(order), ASKED_AT_ONCE):
        places = order[start : start + ASKED_AT_ONCE]
        given = probing.answer_tokens(model, chat, [prompts[place] for place in places], tokens)
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
