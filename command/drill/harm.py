"""What a drill does to the parts: SIGKILL at a point of a job or at any moment, and incidents around them."""

import contextlib
import os
import random
import shlex
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import Redis

from knowledge import faults
from knowledge.settings import Settings

_MARKS = {"/valkey-server ": "broker", " -m inference.server ": "vllm", " -m worker ": "worker", " -m service ": "api"}
HOLD_SECONDS = 4.0
"""How long a process waits at a point while another part is killed."""

_IN_THE_API = ("post.", "send.", "activate.")


@dataclass(frozen=True)
class Blow:
    """One kill: `part` while a job is at `step`, or, with `step` `any`, at any moment. `self` is whoever is there."""

    part: str
    step: str


def deck(rng: random.Random, parts: Sequence[str]) -> list[Blow]:
    """Over a hundred kills, of every point and every part that can be killed, in random order; one in ten hits vLLM."""
    others = [part for part in ("api", "broker") if part in parts]
    held = [point for point in faults.POINTS if not point.startswith(_IN_THE_API)]
    blows = [Blow("self", point) for point in faults.POINTS]
    blows += [Blow(part, point) for point in held for part in others] * 2
    blows += [Blow("vllm", point) for point in held[1::2]]
    many = {"api": 8, "broker": 6, "worker": 8, "trainer": 6, "vllm": 4}
    blows += [Blow(part, "any") for part in (*others, "worker", "trainer", "vllm") for _ in range(many[part])]
    rng.shuffle(blows)
    return blows


def random_deck(rng: random.Random, parts: Sequence[str]) -> list[Blow]:
    """Each part once, at any moment: what can be done to a deployment without fault points."""
    blows = [Blow(part, "any") for part in parts]
    rng.shuffle(blows)
    return blows


class Parts:
    """The processes that one `engrain up`, or one drill, supervises on this machine."""

    def __init__(self, owner: int) -> None:
        self._owner = psutil.Process(owner)

    def wards(self) -> dict[str, psutil.Process]:
        """The wards that run now, by part."""
        found = {}
        with contextlib.suppress(psutil.Error):
            for ward in self._owner.children():
                with contextlib.suppress(psutil.Error):
                    words = " ".join(ward.cmdline()) + " "
                    part = next((part for mark, part in _MARKS.items() if mark in words), None)
                    if part is not None and "ward.py" in words:
                        found[part] = ward
        return found

    def names(self) -> list[str]:
        """The parts that run, in a fixed order."""
        return sorted(self.wards())

    def kill(self, part: str, rng: random.Random) -> bool:
        """SIGKILL to one of the part's processes (`trainer`: the worker's child); False when it does not run."""
        ward = self.wards().get("worker" if part == "trainer" else part)
        if ward is None:
            return False
        with contextlib.suppress(psutil.Error):
            below = ward.children(recursive=True)
            if part == "trainer":
                below = [each for each in below if "worker.training" in " ".join(each.cmdline())]
            if below:
                os.kill(rng.choice(below).pid, signal.SIGKILL)
                return True
        return False


def wait_for(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def part_of(point: str) -> str:
    """The part in which a point lies; the worker loads adapters far oftener than the API does."""
    if point.startswith(_IN_THE_API):
        return "api"
    return "trainer" if point.startswith("train.") else "worker"


def armed(folder: Path, point: str) -> bool:
    """Whether nobody passed the point yet."""
    return (folder / point).exists()


def disarm(folder: Path, point: str) -> None:
    """Takes the fault away again."""
    (folder / point).unlink(missing_ok=True)


def wipe_broker(settings: Settings, *, files: bool) -> None:
    """Everything in it is gone, and with `files` also what it wrote to disk."""
    with contextlib.closing(Redis.from_url(settings.broker, socket_timeout=5)) as broker:
        broker.flushall()
    if files:
        for path in (settings.data_folder / "broker").rglob("*"):
            if path.is_file():
                path.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds SQLite's write lock."""
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def small_disk(folder: Path, mebibytes: int = 512) -> Iterator[bool]:
    """Whether `folder` is a file system of its own meanwhile (a tmpfs; only root can)."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "engrain-drill", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            leave_disk(folder)


def leave_disk(folder: Path) -> None:
    """Takes the file system away again, if `folder` is one of its own."""
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=False)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not a byte is free on the folder's file system."""
    filler = folder / ".filler"
    with filler.open("wb", buffering=0) as stream:
        for size in (2**24, 2**20, 2**12):
            with contextlib.suppress(OSError):
                while stream.write(b"\0" * size):
                    pass
    try:
        yield
    finally:
        filler.unlink()


def restart_store(command: str) -> None:
    """Runs the command that restarts the store's server, which may keep its output. Raises `CalledProcessError`."""
    silent = subprocess.DEVNULL
    subprocess.run(shlex.split(command), check=True, stdin=silent, stdout=silent, stderr=silent, timeout=120)
