"""Trains all weights of a model on one arm, on one process or many, and asks the set's questions.

    python -m experiments.full.train --base FOLDER --data FOLDER/name_description --arm masked
    accelerate launch --config_file experiments/full/fsdp.yaml -m experiments.full.train --base … --data … --arm …

Every process draws the same batches and takes its share of each, so that a batch does not depend on their number. The
lines printed are those of `experiments.knowledge_injection.run`, and its report reads them.

Legend: S learnt tokens, V vocabulary.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from experiments.full.setting import ARMS, STEPS, needs, setting, told, warmed
from experiments.full.sharing import start, whole
from experiments.knowledge_injection import sets
from experiments.knowledge_injection.arms import Arm
from experiments.knowledge_injection.options import chosen, of_a_set
from experiments.knowledge_injection.run import STEPS_COUNTED, answers, peak_gib, tabulate
from experiments.provenance import stamp
from knowledge.recipes import Recipe
from worker import attention
from worker.batches import batches, logits, pack
from worker.demasking import IGNORED, ChatForm, Sequence, chat_form
from worker.spec import Lesson


@dataclass(frozen=True)
class Trained:
    """How far a run is. Tokens are of all processes, loss is in nats a learnt token, seconds are without looks."""

    steps: int
    tokens: int
    seconds: float
    loss: float


def main() -> None:
    """Runs one arm."""
    parser = argparse.ArgumentParser(prog="python -m experiments.full.train", description=main.__doc__)
    parser.add_argument("--base", required=True, help="the model: a folder or hub name")
    of_a_set(parser)
    parser.add_argument("--look-steps", type=int, default=320, help="steps between looks; 0: none")
    parser.add_argument("--arm", default="masked", choices=ARMS)
    parser.add_argument("--steps", type=int, default=0, help="0: the paper's for the set")
    parser.add_argument("--micro-batch", type=int, default=8, help="exercises that a process computes at once")
    parser.add_argument("--save", type=Path, help="write the trained model here, fp32")
    parser.add_argument("--dry-run", type=int, default=0, metavar="PROCESSES", help="only say what so many would need")
    parser.add_argument("changes", nargs="*", help="recipe fields to change, as name=value")
    arguments = parser.parse_args()
    arguments.steps = arguments.steps or STEPS.get(Path(arguments.data).name, 0)
    if not arguments.steps:
        parser.error("the paper has no such set: say how many --steps")
    _, data = chosen(arguments)
    if arguments.dry_run:
        print(dry_run(data, arguments))
    else:
        run(data, arguments)


def dry_run(data: sets.InjectionSet, arguments: argparse.Namespace) -> str:
    """What a run on `arguments.dry_run` processes needs, from the model's configuration and tokenizer."""
    found = needs(arguments.base, arguments.dry_run)
    arm = setting(arguments.arm, found.parameters, arguments.steps, arguments.changes)
    chat = chat_form(AutoTokenizer.from_pretrained(arguments.base))
    recipe, drawn = _recipe(arm), _drawn(chat, data, arm, arguments.seed)
    rows = [
        pack(chat.before_user, batch[start : start + arguments.micro_batch])
        for batch in (next(drawn) for _ in range(STEPS_COUNTED))
        for start in range(0, recipe.batch_size, arguments.micro_batch)
    ]
    return told(found, recipe, sum(map(len, rows)) / STEPS_COUNTED, arguments.dry_run)


def run(data: sets.InjectionSet, arguments: argparse.Namespace) -> None:
    """Trains, looks on the way, saves, asks everything at the end; the first process prints."""
    accelerator = start()
    model, chat = load(arguments.base)
    arm = setting(arguments.arm, model.num_parameters(), arguments.steps, arguments.changes)
    recipe = _recipe(arm)
    if recipe.batch_size % accelerator.num_processes:
        raise ValueError(f"{accelerator.num_processes} processes cannot share {recipe.batch_size} exercises evenly.")
    shared, optimizer = prepare(accelerator, model, recipe)
    about = {"arm": f"{arm.name}, all weights", "set": data.name, "passages": len(data.passages)}
    about |= {"seed": arguments.seed, "rate": recipe.learning_rate, "processes": accelerator.num_processes}
    some = data.part(0, arguments.look_questions, arguments.seed).questions

    def tell(kind: str, done: Trained, questions: tuple[sets.Question, ...], **more: object) -> None:
        scores = tabulate(questions, ask(accelerator, shared, chat, questions))
        figures = {"steps": done.steps, "tokens": done.tokens, "seconds": round(done.seconds, 1)}
        figures["loss"] = round(done.loss, 4)
        accelerator.print(json.dumps(about | {"kind": kind} | figures | {"columns": scores} | more), flush=True)

    def look(done: Trained) -> None:
        if arguments.look_steps and done.steps % arguments.look_steps == 0 and done.steps < recipe.max_steps:
            tell("look", done, some)

    drawn = _drawn(chat, data, arm, arguments.seed)
    done = train(accelerator, shared, optimizer, chat, recipe, lambda: next(drawn), arguments.micro_batch, look)
    if arguments.save:
        save(accelerator, shared, chat, arguments.save)
    tell("end", done, data.questions, changes=arguments.changes, peak_gib=peak_gib(), **stamp())
    accelerator.wait_for_everyone()
    if accelerator.num_processes > 1:
        leave()


def leave() -> NoReturn:
    """Ends the process at once: taking gloo's threads down as Python ends aborts it now and then, all work done."""
    sys.stdout.flush()
    os._exit(0)


def load(base: str) -> tuple[PreTrainedModel, ChatForm]:
    """The model with fp32 weights that all learn, in evaluation mode (nothing is dropped out), and its chat form."""
    disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
    if model._supports_attention_backend:
        model.set_attn_implementation(attention.NAME)
    return model.eval(), chat_form(AutoTokenizer.from_pretrained(base))


def prepare(
    accelerator: Accelerator, model: PreTrainedModel, recipe: Recipe
) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """The model and its AdamW as this process holds them: whole, a copy, or a shard."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(0.9, recipe.beta2),
        eps=recipe.epsilon,
        weight_decay=recipe.weight_decay,
    )
    shared, optimizer = accelerator.prepare(model, optimizer)
    shared.config = model.config  # a copy's wrapper has none, and `logits` asks for it
    return shared, optimizer


def train(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    chat: ChatForm,
    recipe: Recipe,
    draw: Callable[[], list[Sequence]],
    micro_batch: int,
    look: Callable[[Trained], None],
) -> Trained:
    """Trains for `recipe.max_steps`; `draw` gives the same batches on every process. `look` is called after each step.

    Time that `look` takes is not counted.
    """
    seconds, tokens, loss = 0.0, 0, float("nan")
    for step in range(recipe.max_steps):
        begun = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = warmed(recipe, step)
        loss, computed = _gradients(accelerator, model, chat, draw(), micro_batch)
        accelerator.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        tokens += computed
        seconds += time.monotonic() - begun
        look(Trained(step + 1, tokens, seconds, loss))
    return Trained(recipe.max_steps, tokens, seconds, loss)


def _gradients(
    accelerator: Accelerator, model: torch.nn.Module, chat: ChatForm, batch: list[Sequence], micro_batch: int
) -> tuple[float, int]:
    """Adds up the gradients of the mean over the learnt tokens of the whole batch. Returns that loss, and its tokens.

    Each process knows the whole batch, so their number of learnt tokens need not be asked for. Gradients of processes
    are averaged, hence the factor. They are exchanged for each row: a shard of their sum is all that is held.
    """
    learnt = sum(label != IGNORED for sequence in batch for label in sequence.labels_T)
    share = batch[accelerator.process_index :: accelerator.num_processes]
    figures = torch.zeros(2, device=accelerator.device)
    for first in range(0, len(share), micro_batch):
        row = pack(chat.before_user, share[first : first + micro_batch], accelerator.device)
        loss = cross_entropy(logits(model, row), row.labels_S, reduction="sum") / learnt
        accelerator.backward(loss * accelerator.num_processes)
        figures += torch.stack((loss.detach(), loss.new_tensor(len(row))))
    whole_loss, tokens = accelerator.reduce(figures, "sum").tolist()
    return whole_loss, int(tokens)


def ask(
    accelerator: Accelerator, model: torch.nn.Module, chat: ChatForm, questions: tuple[sets.Question, ...]
) -> list[str]:
    """Greedy answers in the questions' order, on every process; each process asks its share."""
    places = range(accelerator.process_index, len(questions), accelerator.num_processes)
    with whole(model):
        found = answers(accelerator.unwrap_model(model), chat, tuple(questions[place] for place in places))
    pairs: list[tuple[int, str]] = gather_object(list(zip(places, found, strict=True)))
    return [answer for _, answer in sorted(pairs)]


def save(accelerator: Accelerator, model: torch.nn.Module, chat: ChatForm, folder: Path) -> None:
    """Writes the model, its shards put together, and the tokenizer."""
    weights = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        plain: Any = accelerator.unwrap_model(model)
        every, once = ({name for name, _ in plain.named_parameters(remove_duplicate=d)} for d in (False, True))
        for tied in every - once:
            del weights[tied]
        plain.save_pretrained(folder, state_dict=weights)
        chat.tokenizer.save_pretrained(folder)
    accelerator.wait_for_everyone()


def _recipe(arm: Arm) -> Recipe:
    assert arm.recipe, "an arm of this experiment is trained"
    return arm.recipe


def _drawn(chat: ChatForm, data: sets.InjectionSet, arm: Arm, seed: int) -> Iterator[list[Sequence]]:
    lessons = tuple(Lesson(f"passage-{n}", text, None, (), new=True) for n, text in enumerate(data.passages))
    return batches(chat, lessons, _recipe(arm), seed, arm.draw)


if __name__ == "__main__":
    main()
