"""Starts parts in their order, watches them, brings back what dies, and stops them in the reverse order.

Each part runs under a ward (`ward.py`) that holds the read end of a pipe: closing our end stops the part, and so does
the death of this process, in whatever way. Nothing here polls once everything is ready.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from command.logs import rotate, tail
from knowledge.errors import Unavailable

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A part that ran this long starts again at the first pause."""

LOOK_SECONDS = 0.25
"""Between two looks at whether a part is ready, while it starts."""

_WARD = Path(__file__).with_name("ward.py")


class Moment(StrEnum):
    """What happened to a part."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Event:
    """Something that happened to a part. `seconds` since its start, or until the next one for `DIED`."""

    part: str
    moment: Moment
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Part:
    """A command to run. `ready` tells whether it does its work yet; a part without it is done when it ends with 0.

    `after` names the parts that must be ready first. SIGTERM is followed by SIGKILL after `grace_seconds`.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], Awaitable[bool]] | None = None
    after: tuple[str, ...] = ()
    grace_seconds: float = 10.0
    start_seconds: float = 300.0


class StartFailed(Unavailable):
    """A part ended, or was not ready in time, during the start. Holds the end of its log."""


@dataclass
class _Child:
    part: Part
    log: Path
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    ward: asyncio.subprocess.Process | None = None
    pipe: int | None = None
    watcher: asyncio.Task[None] | None = None


class Supervisor:
    """The parts of one `engrain up`. `parts` in the order of their start; they stop in the reverse."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        logs: Path,
        environment: Mapping[str, str],
        report: Callable[[Event], None],
        keep_open: tuple[int, ...] = (),
        longest_pause_seconds: float | None = None,
    ) -> None:
        self._children = {part.name: _Child(part, logs / f"{part.name}.log") for part in parts}
        self._environment = dict(environment)
        self._report = report
        self._keep_open = keep_open
        self._longest_pause_seconds = longest_pause_seconds or LONGEST_PAUSE_SECONDS

    async def start(self) -> None:
        """Returns when every part is ready. Raises `StartFailed` for the first that ends or takes too long."""
        for child in self._children.values():
            rotate(child.log)
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children.values():
                    group.create_task(self._start_first(child))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for child in self._children.values():
            if child.part.ready:
                child.watcher = asyncio.create_task(self._watch(child), name=child.part.name)

    async def watch(self) -> None:
        """Waits for ever; parts that die come back."""
        await asyncio.gather(*(child.watcher for child in self._children.values() if child.watcher))

    async def stop(self) -> None:
        """Stops what runs, last started first, each with all its descendants."""
        for child in self._children.values():
            if child.watcher:
                child.watcher.cancel()
        for child in reversed(self._children.values()):
            if child.ward and child.ward.returncode is None:
                await self._stop(child)
            self._release(child)

    def kill(self) -> None:
        """Kills everything now: for someone who does not want to wait for `stop`."""
        for child in self._children.values():
            if child.ward and child.ward.returncode is None:
                kill_session(child.ward.pid)

    def pids(self) -> dict[str, int]:
        """The wards' process ids by part."""
        return {name: child.ward.pid for name, child in self._children.items() if child.ward}

    async def _start_first(self, child: _Child) -> None:
        for name in child.part.after:
            await self._children[name].is_ready.wait()
        await self._launch(child)
        if await self._become_ready(child, child.part.start_seconds):
            return
        ended = child.ward is not None and child.ward.returncode is not None
        why = _ending(child) if ended else f"was not ready after {child.part.start_seconds:.0f} s"
        raise StartFailed(f"{child.part.name} {why}. The end of {child.log}:\n{tail(child.log)}")

    async def _watch(self, child: _Child) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            assert child.ward is not None
            began = time.monotonic()
            await child.ward.wait()
            child.is_ready.clear()
            self._release(child)
            if time.monotonic() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._report(Event(child.part.name, Moment.DIED, pause, f"{_ending(child)}\n{tail(child.log)}"))
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._longest_pause_seconds)
            await self._launch(child)
            if not await self._become_ready(child, child.part.start_seconds) and child.ward.returncode is None:
                await self._stop(child)

    async def _launch(self, child: _Child) -> None:
        self._report(Event(child.part.name, Moment.STARTING))
        read, child.pipe = os.pipe()
        try:
            with child.log.open("ab") as log:
                child.ward = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-S", "-I", str(_WARD), str(child.part.grace_seconds), *child.part.command),
                    stdin=read,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                    pass_fds=self._keep_open,
                )
        finally:
            os.close(read)

    async def _become_ready(self, child: _Child, limit_seconds: float) -> bool:
        """False when the part ended, or the time did, before it was ready."""
        assert child.ward is not None
        began = time.monotonic()
        ended = asyncio.create_task(child.ward.wait())
        try:
            while time.monotonic() - began < limit_seconds:
                if child.part.ready and await child.part.ready() and child.ward.returncode is None:
                    break
                if (await asyncio.wait({ended}, timeout=LOOK_SECONDS if child.part.ready else limit_seconds))[0]:
                    if child.part.ready or child.ward.returncode != 0:
                        return False
                    break
            else:
                return False
        finally:
            ended.cancel()
        child.is_ready.set()
        self._report(Event(child.part.name, Moment.READY, time.monotonic() - began))
        return True

    async def _stop(self, child: _Child) -> None:
        assert child.ward is not None
        began = time.monotonic()
        self._report(Event(child.part.name, Moment.STOPPING))
        self._close_pipe(child)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.ward.wait(), child.part.grace_seconds + 5)
        kill_session(child.ward.pid)
        await child.ward.wait()
        self._report(Event(child.part.name, Moment.STOPPED, time.monotonic() - began))

    def _release(self, child: _Child) -> None:
        """Closes our end of the pipe, and kills what a killed ward left behind."""
        self._close_pipe(child)
        if child.ward:
            kill_session(child.ward.pid)

    def _close_pipe(self, child: _Child) -> None:
        if child.pipe is not None:
            os.close(child.pipe)
            child.pipe = None


def kill_session(session: int) -> None:
    """Kills every process of a session: a ward's own, and what is left of its tree."""
    for pid in _session_members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _ending(child: _Child) -> str:
    code = child.ward.returncode if child.ward else None
    if code is None:
        return "did not end"
    number = code - 128 if code > 128 else -code
    if number > 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(number).name}"
    return f"ended with exit status {code}"


def _session_members(session: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                yield int(folder.name)
