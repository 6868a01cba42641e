"""Makes a denoiser of a small autoregressive model: the same weights and an adapter that looks both ways.

    python -m experiments.diffusion.adapt --base FOLDER --output FOLDER --minutes 60 --seed 0

The recipe of Gong et al. (arXiv 2410.17891): attention goes from causal to full in the first part of the training, and
each token is still predicted one place before it. What it trains on the base model writes itself, once, into
`texts.jsonl` of the output folder: sampled answers to general questions, and sampled continuations of openings. All of
them are trained on as raw text, the answers also behind their questions with only the answer hidden. The canaries are
not among the questions, or they would measure nothing later. Prints JSON lines; the last one compares with the
unadapted model.

Legend: B prompts, T tokens.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator
from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import peft
import torch

from experiments.diffusion import denoiser as denoisers
from experiments.diffusion.denoiser import Adapted, Denoiser
from experiments.diffusion.objective import Example, passage, reply, restored
from experiments.diffusion.training import in_batches, train
from experiments.knowledge_injection.options import of_a_model
from worker import lora
from worker.batches import turns
from worker.demasking import ChatForm
from worker.general import GENERAL
from worker.questions import topic_question

TEXTS = "texts.jsonl"
WRITTEN_TOKENS, THIRD_AT_ONCE = 64, 16
MOST_ENDS = 64
"""An answer is followed by up to so many end tokens, so that room for more than it needs is nothing new."""
ANNEALED_SHARE = 0.4
"""Share of the training after which all attention is full."""
WARMUP_STEPS = 10
HELD_OUT_SHARE, MOST_HELD_OUT = 0.05, 48
RATIOS = (0.15, 0.5, 0.85)


@dataclass(frozen=True)
class Text:
    """What the base model wrote: an answer, or without a question a text; `ended` where it came to its end."""

    question: str | None
    text: str
    ended: bool


def main() -> None:
    """Writes the texts, trains the adapter and says what it restores."""
    parser = argparse.ArgumentParser(prog="python -m experiments.diffusion.adapt", description=main.__doc__)
    of_a_model(parser)
    parser.add_argument("--output", required=True, type=Path, help="the folder that becomes the denoiser")
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of training")
    parser.add_argument("--texts", type=int, default=2000, help="so many texts, where none are written yet")
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate; it falls to nothing")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: all")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    base = denoisers.causal(arguments.base)
    texts = written(base, arguments.texts, arguments.seed, arguments.output / TEXTS)
    print(json.dumps(adapt(base, texts, arguments)), flush=True)


def adapt(base: Denoiser, texts: Items[Text], arguments: argparse.Namespace) -> dict[str, object]:
    """Trains a new adapter on the texts but a few, saves it, and gives the last line's figures."""
    held = max(1, min(MOST_HELD_OUT, round(HELD_OUT_SHARE * len(texts))))
    adapted = denoisers.with_adapter(base, arguments.rank)
    assert isinstance(adapted.model, peft.PeftModel)
    begun, budget = time.monotonic(), float(arguments.minutes) * 60
    last: dict[str, float] = {}
    said = 0.0

    def pace(step: int) -> tuple[float, float]:
        done = min(1.0, (time.monotonic() - begun) / budget)
        rate = arguments.rate * min(1.0, (step + 1) / WARMUP_STEPS) * (1 - done)
        return rate, 1.0 if done >= ANNEALED_SHARE else done / ANNEALED_SHARE

    def report(steps: int, tokens: int, loss: float) -> bool:
        nonlocal said
        seconds = time.monotonic() - begun
        last.update(steps=steps, tokens=tokens, seconds=round(seconds, 1), loss=round(loss, 4))
        if seconds - said > budget / 20:
            said = seconds
            print(json.dumps({"kind": "progress"} | last), flush=True)
        return seconds < budget

    drawn = exercises(adapted.chat, texts[held:], arguments.batch_size, arguments.seed)
    train(adapted, drawn, pace, report, arguments.seed)
    lora.save(adapted.model, arguments.output, arguments.base)
    about = Adapted(arguments.base, adapted.mask_id, adapted.shifted, int(last["tokens"]), arguments.seed)
    about.write(arguments.output)
    found = compared(adapted, texts[:held], arguments.seed)
    return {"kind": "end", "texts": len(texts), "held_out": held, "rank": arguments.rank, **last, "restored": found}


def compared(adapted: Denoiser, texts: Items[Text], seed: int) -> dict[str, dict[str, float]]:
    """By ratio, the share of hidden tokens restored: adapted, and the base model with full and with causal attention.

    A base model with causal attention is what it was trained as, without what follows a hidden token.
    """
    assert isinstance(adapted.model, peft.PeftModel)
    examples = [example(adapted.chat, *form, ends=1) for text in texts for form in forms_of(text)]
    found: dict[str, dict[str, float]] = {}
    for ratio in RATIOS:
        row = {"adapted": restored(adapted, examples, ratio, seed)}
        with adapted.model.disable_adapter():
            row["base"] = restored(adapted, examples, ratio, seed)
            row["base, causal"] = restored(adapted, examples, ratio, seed, causal=True)
        found[str(ratio)] = {name: round(share, 3) for name, share in row.items()}
    return found


def exercises(chat: ChatForm, texts: Items[Text], size: int, seed: int) -> Iterator[list[Example]]:
    """Endless batches of the texts' forms, each in turn; behind an answer there is a random number of ends."""
    rng = random.Random(seed)
    forms = [form for text in texts for form in forms_of(text)]
    for batch in in_batches(turns(forms, rng), size):
        yield [example(chat, *form, ends=rng.randint(1, MOST_ENDS)) for form in batch]


def forms_of(text: Text) -> list[tuple[Text, bool]]:
    """A text raw (false), and where it answers a question as its reply too (true)."""
    return [(text, asked) for asked in (False, True) if not asked or text.question is not None]


def example(chat: ChatForm, text: Text, asked: bool, ends: int) -> Example:
    """A text in one of its forms; one that was cut off has no end."""
    if asked and text.question is not None:
        return reply(chat, text.question, text.text, ends if text.ended else 0)
    return passage(chat, text.text, text.ended)


def written(base: Denoiser, count: int, seed: int, path: Path) -> list[Text]:
    """The base model's texts: read from `path`, or written to it first. Two thirds are answers."""
    if not path.exists():
        begun = time.monotonic()
        texts = list(islice(_write(base, min(THIRD_AT_ONCE, -(-count // 3)), seed), count))
        temporary = path.with_suffix(".part")
        temporary.write_text("".join(json.dumps(asdict(text), ensure_ascii=False) + "\n" for text in texts))
        temporary.rename(path)
        seconds = round(time.monotonic() - begun, 1)
        print(json.dumps({"kind": "written", "texts": len(texts), "seconds": seconds}), flush=True)
    return [Text(**json.loads(line)) for line in path.read_text().splitlines()]


def _question(rng: random.Random) -> str:
    question = rng.choice(GENERAL)[0] if rng.random() < 0.5 else topic_question(rng)
    return question + rng.choice(("", " Answer briefly."))


def _write(base: Denoiser, thirds: int, seed: int) -> Iterator[Text]:
    """Endless texts, of which two thirds answer general questions and one continues openings."""
    rng = random.Random(seed)
    while True:
        asked = [_question(rng) for _ in range(2 * thirds)]
        openings = [" ".join(rng.choice(GENERAL)[1].split()[: rng.randint(1, 4)]) for _ in range(thirds)]
        answers = _sampled(base, [base.chat.prompt(question) for question in asked])
        begun = _sampled(base, [base.chat.tokens(opening) for opening in openings])
        texts = [Text(question, text, ended) for question, (text, ended) in zip(asked, answers, strict=True)]
        texts += [Text(None, opening + text, ended) for opening, (text, ended) in zip(openings, begun, strict=True)]
        rng.shuffle(texts)
        yield from (text for text in texts if text.text.strip())


@torch.inference_mode()
def _sampled(base: Denoiser, prompts: Items[list[int]]) -> list[tuple[str, bool]]:
    """What the model says after each prompt, sampled, and whether it came to its end."""
    longest = max(map(len, prompts))
    (end,) = base.chat.after_answer
    ids_BT = torch.tensor([[end] * (longest - len(prompt)) + prompt for prompt in prompts], device=base.device)
    there_BT = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    out_BT = base.model.generate(  # type: ignore[operator]
        input_ids=ids_BT,
        attention_mask=there_BT.to(base.device),
        max_new_tokens=WRITTEN_TOKENS,
        do_sample=True,
        top_p=0.95,
        eos_token_id=end,
        pad_token_id=end,
    )
    rows = [row[longest:] for row in out_BT.tolist()]
    return [(base.chat.text(row[: row.index(end)] if end in row else row), end in row) for row in rows]


if __name__ == "__main__":
    main()
