"""The training process: `python -m worker.training SPEC.json` reads a `TrainingSpec` and speaks JSON lines.

Standard output carries these lines and nothing else; libraries' chatter goes to standard error:

    {"kind": "progress", …the fields of knowledge.jobs.Progress}    at most two a second
    {"kind": "log", "text"}
    {"kind": "example", "pieces": [{"part", "text"}, …]}            of the first step (worker.demasking.pieces)
    {"kind": "step", "name", "began", "ended"}                      nanoseconds since 1970
    {"kind": "done", "steps", "tokens", "seconds"}
    {"kind": "error", "error", "message"}

Exit status 0 after `done`, 1 after `error`, 143 after SIGTERM, which also writes where the run stands to the spec's
`checkpoint`. The adapter's files appear whole or not at all.
"""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads cost a factor 10 beside a busy server

import json
import resource
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from knowledge import faults
from knowledge.errors import DiskFull, EngrainError, InjectionFailed, InvalidRecipe, is_disk_full
from knowledge.jobs import Progress
from worker.spec import TrainingSpec

if TYPE_CHECKING:
    import peft

_PROGRESS_SECONDS = 0.5
_STOPPED = 128 + signal.SIGTERM


class Lines:
    """The JSON lines of one run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_progress = 0.0

    def write(self, kind: str, **fields: object) -> None:
        """Writes one line at once."""
        self._stream.write(json.dumps({"kind": kind, **fields}) + "\n")
        self._stream.flush()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Writes the block's times (nanoseconds since 1970) at its end, for the job's trace."""
        began = time.time_ns()
        try:
            yield
        finally:
            self.write("step", name=name, began=began, ended=time.time_ns())

    def progress(self, progress: Progress) -> None:
        """Writes a progress line, unless the last is under half a second old and training goes on."""
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_SECONDS or progress.step == progress.steps:
            self._last_progress = now
            self.write("progress", **asdict(progress))


class Chatter:
    """Standard error for whatever prints there. What cannot be written, on a full disk say, is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes if it can."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes if it can."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def main(arguments: list[str] | None = None) -> int:
    """Runs one training; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED))
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
            known = _recognised(error)
            lines.write("error", error=type(known).__name__, message=str(known) or type(known).__name__)
            return 1
    return 0


def _recognised(error: Exception) -> Exception:
    """What libraries say in their own words, in ours."""
    if is_disk_full(error):
        return DiskFull("The disk is full: the adapter cannot be written. It is tried again until there is room.")
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return InjectionFailed("Training needs more memory than it may have (ENGRAIN_TRAINING_MEMORY_GIB).")
    return error


def run(spec: TrainingSpec, lines: Lines) -> None:
    """Loads the base, trains the adapter and saves it. Raises `InvalidRecipe` when there is nothing to learn.

    SIGTERM while it trains makes it write where it stands, and leave with `SystemExit`.
    """
    if not any(lesson.text.strip() for lesson in spec.lessons):
        raise InvalidRecipe("There is nothing to learn: every lesson is empty.")
    if spec.memory_gib:
        most = int(spec.memory_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    faults.point("train.started")
    started = time.monotonic()
    with lines.timed("load base model"):
        import torch

        from worker import base_model, checkpoint, lora, trainer
        from worker.demasking import chat_form, pieces

        if spec.threads:
            torch.set_num_threads(spec.threads)
        model, tokenizer = base_model.load(spec.base_model)
        chat = chat_form(tokenizer)
        adapted = lora.attach(model, spec.recipe, spec.warm_start, spec.seed)
    lines.write("log", text=_arithmetic(spec, adapted, time.monotonic() - started))
    resumed = checkpoint.load(spec) if spec.checkpoint else None
    if resumed is not None:
        lines.write("log", text=f"resumed after step {resumed.step}, where an earlier attempt was stopped")
    with lines.timed("demask"), _pausing() as asked:
        try:
            outcome = trainer.train(
                adapted,
                chat,
                spec.recipe,
                spec.lessons,
                spec.seed,
                lines.progress,
                show=lambda sequence: lines.write("example", pieces=[asdict(each) for each in pieces(chat, sequence)]),
                tell=lambda text: lines.write("log", text=text),
                resumed=resumed,
                should_pause=asked.is_set,
            )
        except trainer.Paused as paused:
            if spec.checkpoint and paused.state:
                checkpoint.save(paused.state, spec)
            sys.exit(_STOPPED)
    if outcome.loss != outcome.loss:
        raise InjectionFailed("The loss is not a number: the learning rate is too high for this base model.")
    faults.point("train.before_save")
    with lines.timed("save adapter"):
        lora.save(adapted, Path(spec.output), spec.base_model)
    faults.point("train.saved")
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
def _pausing() -> Iterator[threading.Event]:
    """Here SIGTERM sets the event, so that a step is finished first, instead of ending the process at once."""
    asked = threading.Event()
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    except ValueError:  # not in the main thread: nobody sends us signals
        yield asked
        return
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _own_stdout() -> Iterator[TextIO]:
    """Keeps standard output for the lines; whatever else prints, Python or C, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    before, errors = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = cast("TextIO", Chatter(errors))
    stream = os.fdopen(kept, "w", encoding="utf-8")
    try:
        yield stream
    finally:
        stream.flush()
        os.dup2(kept, 1)
        stream.close()
        sys.stdout, sys.stderr = before, errors


if __name__ == "__main__":
    status = main()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)  # the lines are written and the files whole: taking torch down could only take time, or hang
