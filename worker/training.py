"""The training process: `python -m worker.training SPEC.json` reads a `TrainingSpec` and speaks JSON lines.

Standard output carries these lines and nothing else; libraries' chatter goes to standard error:

    {"kind": "progress", …the fields of knowledge.jobs.Progress}    at most two a second
    {"kind": "log", "text"}
    {"kind": "done", "steps", "tokens", "seconds"}
    {"kind": "error", "error", "message"}

Exit status 0 after `done`, 1 after `error`, 143 after SIGTERM. The adapter's files appear whole or not at all.
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost a factor 10 beside a busy server

import json
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from knowledge.errors import EngrainError, InjectionFailed, InvalidRecipe
from knowledge.jobs import Progress
from worker.spec import TrainingSpec

if TYPE_CHECKING:
    import peft

_PROGRESS_SECONDS = 0.5


class Lines:
    """The JSON lines of one run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_progress = 0.0

    def write(self, kind: str, **fields: object) -> None:
        """Writes one line at once."""
        self._stream.write(json.dumps({"kind": kind, **fields}) + "\n")
        self._stream.flush()

    def progress(self, progress: Progress) -> None:
        """Writes a progress line, unless the last is under half a second old and training goes on."""
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_SECONDS or progress.step == progress.steps:
            self._last_progress = now
            self.write("progress", **asdict(progress))


def main(arguments: list[str] | None = None) -> int:
    """Runs one training; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (path,) = sys.argv[1:] if arguments is None else arguments
    with _own_stdout() as stream:
        lines = Lines(stream)
        try:
            run(TrainingSpec.read(Path(path)), lines)
        except EngrainError as error:
            lines.write("error", error=type(error).__name__, message=str(error))
            return 1
        except Exception as error:
            traceback.print_exc()
            lines.write("error", error=type(error).__name__, message=str(error) or type(error).__name__)
            return 1
    return 0


def run(spec: TrainingSpec, lines: Lines) -> None:
    """Loads the base, trains the adapter and saves it. Raises `InvalidRecipe` when there is nothing to learn."""
    if not any(lesson.text.strip() for lesson in spec.lessons):
        raise InvalidRecipe("There is nothing to learn: every lesson is empty.")
    started = time.monotonic()
    import torch

    from worker import base_model, lora, trainer
    from worker.demasking import chat_form

    if spec.threads:
        torch.set_num_threads(spec.threads)
    model, tokenizer = base_model.load(spec.base_model)
    chat = chat_form(tokenizer)
    adapted = lora.attach(model, spec.recipe, spec.warm_start)
    lines.write("log", text=_arithmetic(spec, adapted, time.monotonic() - started))
    outcome = trainer.train(adapted, chat, spec.recipe, spec.lessons, spec.seed, lines.progress)
    if outcome.loss != outcome.loss:
        raise InjectionFailed("The loss is not a number: the learning rate is too high for this base model.")
    lora.save(adapted, Path(spec.output), spec.base_model)
    seconds = round(time.monotonic() - started, 2)
    lines.write("done", steps=outcome.steps, tokens=outcome.tokens, seconds=seconds)


def _arithmetic(spec: TrainingSpec, adapted: "peft.PeftModel", seconds: float) -> str:
    trained = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    new = sum(lesson.new for lesson in spec.lessons)
    recipe = spec.recipe
    return (
        f"{new} new and {len(spec.lessons) - new} rehearsed facts; rank {recipe.rank}: {trained / 1e6:.1f} M weights; "
        f"at most {recipe.max_steps} steps of {recipe.batch_size} exercises; loaded in {seconds:.1f} s"
    )


@contextmanager
def _own_stdout() -> Iterator[TextIO]:
    """Keeps standard output for the lines; whatever else prints, Python or C, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    before, sys.stdout = sys.stdout, sys.stderr
    stream = os.fdopen(kept, "w", encoding="utf-8")
    try:
        yield stream
    finally:
        stream.flush()
        os.dup2(kept, 1)
        stream.close()
        sys.stdout = before


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the lines are written and the files whole: taking torch down could only take time, or hang
