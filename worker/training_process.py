"""Runs `python -m worker.training` for one attempt and reads what it reports.

A process of its own, so that its memory returns when it ends, CUDA never meets a fork, and a kill stops it for sure.
"""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from knowledge import tracing
from knowledge.errors import DiskFull, EngrainError, InjectionFailed, InvalidRecipe, Unavailable
from knowledge.jobs import Part, Piece, Progress
from worker.metrics import TRAINING_MEMORY, TRAINING_PROGRESS, TRAINING_SECONDS
from worker.spec import TrainingSpec

LOOK_SECONDS = 1.0
TERMINATE_SECONDS = 15.0
"""What a step and a checkpoint may take; less than the worker's own grace (command/parts.py)."""

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Has glibc ask for huge pages: a step takes and returns gibibytes, and each page of them is a fault."""

_ERRORS: dict[str, type[EngrainError]] = {
    error.__name__: error for error in (InvalidRecipe, InjectionFailed, Unavailable, DiskFull)
}


class Stopped(EngrainError, RuntimeError):
    """Training was stopped because the worker ends or lost the job."""


@tracing.span("train")
@TRAINING_SECONDS.time()
def train(
    spec: TrainingSpec,
    *,
    niceness: int,
    silent_seconds: float,
    most_seconds: float,
    on_progress: Callable[[Progress], None],
    on_log: Callable[[str], None],
    should_stop: Callable[[], bool],
    on_example: Callable[[list[Piece]], None] = lambda _: None,
    command: Sequence[str] = (sys.executable, "-m", "worker.training"),
) -> None:
    """Trains in a child process; returns when the adapter's files lie in `spec.output`.

    Raises `Stopped` when `should_stop` says so, the error that the child reports, `InjectionFailed` with the end of its
    output when it ended without a word or took more than `most_seconds`, or `Unavailable` when it was killed or said
    nothing for `silent_seconds`. Whatever a callback raises also ends the child. Once it said `done` its files are
    whole, so how it ends no longer matters.
    """
    folder = Path(spec.output)
    spec_path = folder.with_name(f"{folder.name}.json")
    errors_path = folder.with_name(f"{folder.name}.log")
    try:
        spec.write(spec_path)
        with errors_path.open("wb") as errors:
            child = subprocess.Popen(
                [*command, str(spec_path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=HUGE_PAGES | os.environ,
            )
        try:
            os.setpriority(os.PRIO_PROCESS, child.pid, niceness)
            if not _follow(child, silent_seconds, most_seconds, on_progress, on_log, on_example, should_stop):
                raise _ended(child.wait(), errors_path)
        finally:
            _end(child)
            TRAINING_PROGRESS.set(0)
    finally:
        spec_path.unlink(missing_ok=True)
        errors_path.unlink(missing_ok=True)


def _follow(
    child: subprocess.Popen[bytes],
    silent_seconds: float,
    most_seconds: float,
    on_progress: Callable[[Progress], None],
    on_log: Callable[[str], None],
    on_example: Callable[[list[Piece]], None],
    should_stop: Callable[[], bool],
) -> bool:
    """Whether the child said `done` before its output ended."""
    for line in _lines(child, silent_seconds, most_seconds, should_stop):
        message = json.loads(line)
        match message.pop("kind"):
            case "progress":
                _measure(child.pid)
                on_progress(Progress(**message))
            case "log":
                on_log(message["text"])
            case "example":
                on_example([Piece(Part(each["part"]), each["text"]) for each in message["pieces"]])
            case "step":
                tracing.record(message["name"], message["began"], message["ended"], pid=child.pid)
            case "error":
                raise _ERRORS.get(message["error"], InjectionFailed)(message["message"])
            case "done":
                return True
    return False


def _measure(pid: int) -> None:
    """Notes the process's peak memory; the kernel keeps it until the process has ended, and then says nothing of it."""
    with suppress(OSError):
        peak = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if peak:
            TRAINING_MEMORY.set(1024 * int(peak[1]))


def _lines(
    child: subprocess.Popen[bytes], silent_seconds: float, most_seconds: float, should_stop: Callable[[], bool]
) -> Iterator[bytes]:
    """The child's lines as they come; looks at `should_stop` and the clock at least once a second."""
    assert child.stdout is not None
    buffered, began = b"", time.monotonic()
    heard = began
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if should_stop():
                raise Stopped("Training was stopped.")
            if time.monotonic() - began > most_seconds:
                raise InjectionFailed(f"Training took longer than {most_seconds:.0f} s (ENGRAIN_TRAINING_SECONDS).")
            if not selector.select(LOOK_SECONDS):
                if time.monotonic() - heard > silent_seconds:
                    raise Unavailable(f"Training said nothing for {silent_seconds:.0f} s and was stopped.")
                continue
            read, heard = os.read(child.stdout.fileno(), 65536), time.monotonic()
            if not read:
                return
            *lines, buffered = (buffered + read).split(b"\n")
            yield from lines


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        deadline = time.monotonic() + TERMINATE_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if child.poll() is None:
            child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _ended(status: int, errors: Path) -> EngrainError:
    """Why a child that said nothing ended. A signal is nothing the job did: the kernel's for lack of memory, say."""
    if status < 0 or status == 128 + signal.SIGTERM:
        name = signal.Signals(-status if status < 0 else signal.SIGTERM).name
        return Unavailable(
            f"The training process was ended by {name}: by somebody, or by the kernel for lack of memory."
        )
    return InjectionFailed(f"The training process ended with {status}: {_tail(errors)}")


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "it said nothing."
