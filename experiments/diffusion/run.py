"""The diffusion arm: teaches a denoiser a set's passages, and asks its questions by decoding.

    python -m experiments.diffusion.run --denoiser FOLDER --data FOLDER/name_description --minutes 60

Prints the lines of `experiments/knowledge_injection/run.py` (`look`, `end`), so that its `report.py` reads them. Taught
are the raw passages with the objective alone, on an adapter: that of `adapt.py` is trained further, LLaDA and Dream get
a new one. With neither minutes nor tokens nothing is taught: the arm before.
"""

import argparse
import contextlib
import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from experiments.diffusion import decoding, denoiser
from experiments.diffusion.decoding import Decoding
from experiments.diffusion.denoiser import Denoiser
from experiments.diffusion.objective import Example, passage
from experiments.diffusion.plan import PAPER_STEPS, Shape, memory_gib
from experiments.diffusion.training import in_batches, train
from experiments.knowledge_injection import sets
from experiments.knowledge_injection.options import chosen, of_a_process, of_a_set
from experiments.knowledge_injection.run import Looks, TimeSpent, peak_gib, tabulate
from experiments.provenance import stamp
from knowledge.jobs import Progress
from worker.batches import turns
from worker.demasking import ChatForm, chat_form

RANK = 32
WARMUP_STEPS = 12
COUNTED_BATCHES = 20


def main() -> None:
    """Runs the arm, or says what a run needs."""
    parser = argparse.ArgumentParser(prog="python -m experiments.diffusion.run", description=main.__doc__)
    of_a_set(parser)
    of_a_process(parser, look_minutes=15.0)
    parser.add_argument("--denoiser", required=True, help="adapt.py's folder, LLaDA or Dream: a folder or hub name")
    parser.add_argument("--minutes", type=float, default=0.0, help="most minutes of training")
    parser.add_argument("--tokens", type=int, default=0, help="train for about so many tokens")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--ratio", type=float, help="hide at this ratio, above 0 to 1, and not at random ones")
    parser.add_argument(
        "--decoding",
        type=int,
        nargs=3,
        default=(128, 128, 4),
        metavar=("TOKENS", "STEPS", "BLOCK"),
        help="room of an answer, steps to fill it, tokens of a block: %(default)s",
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run the code that LLaDA or Dream bring")
    parser.add_argument("--dry-run", action="store_true", help="say what a run needs, and end")
    arguments = parser.parse_args()
    if arguments.ratio is not None and not 0 < arguments.ratio <= 1:
        parser.error("--ratio must be above 0 and at most 1.")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    _, data = chosen(arguments)
    if arguments.dry_run:
        print(json.dumps(needed(data, arguments)))
    else:
        run(data, arguments)


def run(data: sets.InjectionSet, arguments: argparse.Namespace) -> None:
    """Teaches, looks on the way, asks everything at the end."""
    torch.manual_seed(arguments.seed)
    how = Decoding(*arguments.decoding)
    taught = denoiser.load(arguments.denoiser, arguments.trust_remote_code)
    about = {"arm": "diffusion", "set": data.name, "passages": len(data.passages), "seed": arguments.seed}
    some = data.part(0, arguments.look_questions, arguments.seed).questions
    last: dict[str, Any] = {"steps": 0, "tokens": 0, "seconds": 0.0, "loss": None}
    if arguments.minutes or arguments.tokens:
        taught = denoiser.with_adapter(taught, RANK)
        looks = Looks(arguments, lambda: tabulate(some, answers(taught, some, how)), about)
        with contextlib.suppress(TimeSpent):
            teach(taught, data, arguments, looks)
        last = looks.last
    found = answers(taught, data.questions, how)
    if arguments.answers:
        rows = [{**asdict(asked), "answered": answer} for asked, answer in zip(data.questions, found, strict=True)]
        arguments.answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    end = {"kind": "end", "denoiser": Path(arguments.denoiser).name} | last
    end |= {"columns": tabulate(data.questions, found), "changes": changes(arguments), "peak_gib": peak_gib()}
    print(json.dumps(about | end | stamp()))


def teach(taught: Denoiser, data: sets.InjectionSet, arguments: argparse.Namespace, looks: Looks) -> None:
    """Trains the adapter on the raw passages until the tokens are reached. Raises `TimeSpent` after the minutes."""

    def pace(step: int) -> tuple[float, float]:
        return arguments.rate * min(1.0, (step + 1) / WARMUP_STEPS), 1.0

    def report(steps: int, tokens: int, loss: float) -> bool:
        looks.see(Progress(steps, 0, loss, tokens, 0.0, 0.0, 0.0, probes_passed=0, probes=0))
        return not arguments.tokens or tokens < arguments.tokens

    train(taught, drawn(taught.chat, data, arguments), pace, report, arguments.seed, arguments.ratio)


def drawn(chat: ChatForm, data: sets.InjectionSet, arguments: argparse.Namespace) -> Iterator[list[Example]]:
    """Endless batches of the raw passages, each in turn."""
    examples = [passage(chat, text) for text in data.passages]
    return in_batches(turns(examples, random.Random(arguments.seed)), arguments.batch_size)


def answers(asked: Denoiser, questions: tuple[sets.Question, ...], how: Decoding) -> list[str]:
    """Decoded answers in the questions' order; the chat form's end and the tokenizer's both end one."""
    prompts = [asked.chat.prompt(question.text) for question in questions]
    ends = {*asked.chat.after_answer, int(asked.tokenizer.eos_token_id)}
    return [asked.chat.text(ids).strip() for ids in decoding.answers(asked, prompts, ends, how)]


def changes(arguments: argparse.Namespace) -> list[str]:
    """What sets this run apart in a table: a fixed ratio, or that nothing was taught."""
    if not arguments.minutes and not arguments.tokens:
        return ["untaught"]
    return [] if arguments.ratio is None else [f"ratio={arguments.ratio}"]


def needed(data: sets.InjectionSet, arguments: argparse.Namespace) -> dict[str, Any]:
    """What a run needs, reckoned without loading weights: model, steps, memory in GiB, passes to decode an answer.

    Of a model whose tokenizer and configuration are not at hand, `missing` says so, and the rest is not told.
    """
    name, rank = arguments.denoiser, RANK
    source = name
    if (Path(name) / denoiser.FILE).is_file():
        source = denoiser.Adapted.read(Path(name)).base
        rank = int(json.loads((Path(name) / "adapter_config.json").read_text())["r"])
    about: dict[str, Any] = {
        "kind": "plan",
        "denoiser": Path(name).name,
        "set": data.name,
        "passages": len(data.passages),
        "questions": len(data.questions),
        "papers_steps_of_64": PAPER_STEPS.get(data.name),
    }
    try:
        chat = chat_form(AutoTokenizer.from_pretrained(source, trust_remote_code=arguments.trust_remote_code))
        shape = Shape.of(source)
    except OSError as error:
        return about | {"missing": [f"tokenizer and configuration of {source}: {str(error).strip().splitlines()[0]}"]}
    batches = islice(drawn(chat, data, arguments), COUNTED_BATCHES)
    sizes = [len(batch) * max(len(example.ids) for example in batch) for batch in batches]
    tokens = sum(sizes) / len(sizes)
    how = Decoding(*arguments.decoding)
    return about | {
        "weights": shape.weights,
        "adapter": shape.adapter(rank),
        "tokens_a_step": round(tokens),
        "steps": ceil(arguments.tokens / tokens) if arguments.tokens else None,
        "minutes": arguments.minutes or None,
        "gib": memory_gib(shape, rank, max(sizes)),
        "passes_an_answer": how.steps,
        "tokens_a_pass": how.tokens + max(len(chat.prompt(question.text)) for question in data.questions),
    }


if __name__ == "__main__":
    main()
