"""Real processes for the tests, found again by a token in their command line."""

import contextlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

SLEEPER = "import time; time.sleep(600)"
FAMILY = (
    "import subprocess, sys, time\n"
    "command = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]\n"
    "subprocess.Popen(command)\n"
    "subprocess.Popen(command, start_new_session=True)\n"
    "time.sleep(600)\n"
)
"""A process with two children, one of them in a session of its own."""

DEAF_FAMILY = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY


class Crowd:
    """Processes that carry this test's token."""

    def __init__(self) -> None:
        self.token = f"token-{uuid.uuid4().hex}"

    def command(self, code: str = SLEEPER) -> tuple[str, ...]:
        return (sys.executable, "-c", code, self.token)

    def alive(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                ours = command[-1:] == [self.token] and "ward.py" not in " ".join(command)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for(self, number: int, seconds: float = 30.0) -> list[psutil.Process]:
        assert until(lambda: len(self.alive()) == number, seconds), f"{len(self.alive())} alive, not {number}"
        return self.alive()


def until(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


@contextlib.contextmanager
def script(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that a test may kill; killed at the end."""
    command = [sys.executable, "-c", code, *arguments]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    found = Crowd()
    yield found
    for process in found.alive():
        with contextlib.suppress(psutil.Error):
            process.kill()
