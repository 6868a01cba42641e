"""The training loop, top to bottom.

Legend: T tokens of a packed row, S learnt tokens, V vocabulary.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import peft
import torch
from torch.nn.functional import cross_entropy, kl_div

from knowledge import faults
from knowledge.jobs import Progress
from knowledge.probes import Probe, ProbeOrigin, in_other_words, passed
from knowledge.recipes import Recipe
from worker import probing, replay
from worker.averaging import Average
from worker.batches import Draw, Packed, batches, logits, pack
from worker.checkpoint import State
from worker.demasking import ChatForm, Sequence
from worker.questions import Written
from worker.spec import Lesson
from worker.writing import written

PROBES_IN_A_LOOK = 12
MOST_EARLIER_PROBES = 80
ASKED_AT_ONCE = 40
ANSWER_TOKENS = 32
TOLD_SECONDS = 10.0
"""Between two words about what goes on before the first step."""


@dataclass(frozen=True)
class Outcome:
    """What a run took. Tokens count every position computed."""

    steps: int
    tokens: int
    seconds: float
    loss: float
    passed_early: bool


class Paused(Exception):
    """The run was asked to stop, and stands at `state`: None before its first step."""

    def __init__(self, state: State | None) -> None:
        super().__init__(f"Paused after step {state.step if state else 0}.")
        self.state = state


def train(
    model: peft.PeftModel,
    chat: ChatForm,
    recipe: Recipe,
    lessons: tuple[Lesson, ...],
    seed: int,
    report: Callable[[Progress], None],
    draw: Draw | None = None,
    *,
    show: Callable[[Sequence], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
    resumed: State | None = None,
    should_pause: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Trains the attached adapter in place until the lessons' probes passed a while ago, or the budget is spent.

    After that while they are asked once more: what has slipped is trained on until it passes again.

    `draw` makes the training sequences; experiments bring their own. While `report` runs the model is what would be
    published now, and whatever it raises ends the training there.
    `show` gets what is taught in the run's first step, to be looked at; `tell` what goes on before it, in words.
    `should_pause` is asked after each step and ends it with `Paused`; with the state of that as `resumed`, another
    run of the same arguments goes on to the same weights.
    """
    start = time.monotonic()
    torch.manual_seed(seed)
    device = next(model.parameters()).device
    optimizer = _optimizer(model, recipe)
    others = replay.held(chat, lessons, recipe, seed)
    questions = resumed.written if resumed else _written(model, chat, recipe, lessons, tell, should_pause)
    drawn = batches(chat, lessons, recipe, seed, draw, questions)
    wanted = _wanted(lessons, seed)
    tokens = reached = step = 0
    loss, settled = float("nan"), False
    last = budget = recipe.steps_for(sum(lesson.size for lesson in lessons if lesson.new))
    look = recipe.min_steps if wanted and recipe.probe_every_steps else budget + 1
    if resumed is not None:
        _restore(model, optimizer, resumed)
        step, last, look = resumed.step, resumed.last, resumed.look
        tokens, reached = resumed.tokens, resumed.reached
        loss, settled, start = resumed.loss, resumed.settled, start - resumed.seconds
        for _ in range(step):
            next(drawn), next(others)
    average = Average(model, recipe.averaging_power, resumed.average if resumed else None)
    first = step
    while step < last:
        taught, kept = next(drawn), next(others)
        if step == first:
            for sequence in taught:
                show(sequence)
        row = pack(chat.before_user, [*taught, *kept], device)
        teacher_SV = replay.teacher(model, chat, kept) if kept else None
        rate = recipe.learning_rate * min(1.0, (step + 1) / (recipe.warmup_steps + 1))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["ratio"]
        loss = _step(model, optimizer, row, teacher_SV, recipe)
        step += 1
        average.add(step)
        tokens += len(row)
        with average.taken():
            if step >= look:
                reached = _probes_passed(model, chat, wanted, recipe.stop_share, seed + step)
                if reached >= recipe.stop_share * len(wanted):
                    last = look = step if settled else min(budget, step + round(recipe.settle_share * step))
                    settled = True
                else:  # not yet, or not any more
                    last, look = budget, step + max(recipe.probe_every_steps, step // 10)
            seconds = time.monotonic() - start
            report(
                Progress(
                    step=step,
                    steps=last,
                    loss=loss,
                    tokens=tokens,
                    tokens_per_second=tokens / seconds,
                    percent=100 * step / last,
                    eta_seconds=seconds / step * (last - step),
                    probes_passed=reached,
                    probes=len(wanted),
                )
            )
        faults.point("train.stepped")
        if step < last and should_pause():
            raise Paused(
                State(
                    step=step,
                    last=last,
                    look=look,
                    settled=settled,
                    tokens=tokens,
                    reached=reached,
                    loss=loss,
                    seconds=seconds,
                    written=questions,
                    weights={name: each.detach() for name, each in model.named_parameters() if each.requires_grad},
                    average=average.weights,
                    optimizer=optimizer.state_dict(),
                    rng=torch.get_rng_state(),
                )
            )
    average.take()
    return Outcome(step, tokens, time.monotonic() - start, loss, last < budget)


def _written(
    model: peft.PeftModel,
    chat: ChatForm,
    recipe: Recipe,
    lessons: tuple[Lesson, ...],
    tell: Callable[[str], None],
    should_pause: Callable[[], bool],
) -> Written:
    """The base model's questions about the new facts, by sentence, where the recipe has a share for them."""
    told = time.monotonic()

    def noted(text: str) -> None:
        nonlocal told
        if should_pause():
            raise Paused(None)
        if time.monotonic() - told > TOLD_SECONDS:
            told = time.monotonic()
            tell(text)

    if not recipe.written_share:
        return {}
    found = written(model, chat, (lesson.sentences for lesson in lessons if lesson.new), noted)
    if found:
        tell(f"the base model wrote {sum(map(len, found.values()))} questions about {len(found)} sentences")
    return found


def _wanted(lessons: tuple[Lesson, ...], seed: int) -> list[Probe]:
    """What must be answered: new facts' probes and the same in other words, and of rehearsed ones a sample of these."""
    new, earlier = (
        [
            probe
            for lesson in lessons
            if lesson.new is is_new
            for probe in (*lesson.probes, *in_other_words(lesson.text, lesson.title))
            if probe.origin is ProbeOrigin.PASSAGE
        ]
        for is_new in (True, False)
    )
    return new + random.Random(seed).sample(earlier, min(MOST_EARLIER_PROBES, len(earlier)))


def _restore(model: peft.PeftModel, optimizer: torch.optim.Optimizer, state: State) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(state.weights[name])
    optimizer.load_state_dict(state.optimizer)
    torch.set_rng_state(state.rng)


def _probes_passed(model: peft.PeftModel, chat: ChatForm, probes: list[Probe], enough: float, seed: int) -> int:
    """How many probes the model answers rightly now; asks all of them only when a sample says `enough`."""
    sample = random.Random(seed).sample(probes, min(PROBES_IN_A_LOOK, len(probes)))
    right = _right(model, chat, sample)
    if right < enough * len(sample) or len(sample) == len(probes):
        return round(right / len(sample) * len(probes))
    pieces = [probes[start : start + ASKED_AT_ONCE] for start in range(0, len(probes), ASKED_AT_ONCE)]
    return sum(_right(model, chat, piece) for piece in pieces)


def _right(model: peft.PeftModel, chat: ChatForm, probes: list[Probe]) -> int:
    answers = probing.answers(model, chat, [probe.question for probe in probes], ANSWER_TOKENS)
    pairs = zip(probes, answers, strict=True)
    return sum(passed(probe.answer, answer, question=probe.question) for probe, answer in pairs)


def _step(
    model: peft.PeftModel,
    optimizer: torch.optim.Optimizer,
    row: Packed,
    teacher_SV: torch.Tensor | None,
    recipe: Recipe,
) -> float:
    """One update; the last rows of labels are `teacher_SV`'s. Returns the loss on what is taught, in nats a token."""
    logits_SV = logits(model, row)
    taught = len(logits_SV) - (0 if teacher_SV is None else len(teacher_SV))
    loss = total = cross_entropy(logits_SV[:taught], row.labels_S[:taught])
    if teacher_SV is not None:
        student_SV = logits_SV[taught:].log_softmax(-1)
        total = loss + recipe.replay_weight * kl_div(student_SV, teacher_SV, log_target=True, reduction="batchmean")
    total.backward()
    torch.nn.utils.clip_grad_norm_(_trainable(model), recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _optimizer(model: peft.PeftModel, recipe: Recipe) -> torch.optim.Optimizer:
    first = [p for name, p in model.named_parameters() if p.requires_grad and "lora_B" not in name]
    second = [p for name, p in model.named_parameters() if p.requires_grad and "lora_B" in name]
    groups = [{"params": first, "ratio": 1.0}, {"params": second, "ratio": recipe.second_factor_rate}]
    return torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        eps=recipe.epsilon,
        betas=(0.9, recipe.beta2),
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _trainable(model: peft.PeftModel) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
