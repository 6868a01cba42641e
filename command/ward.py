"""Holds one child of `engrain up`: `python -S -I ward.py GRACE_SECONDS COMMAND…`. Imports the standard library only.

Standard input is a pipe from `engrain up`. When it ends (because `up` closed it, or died in any way, SIGKILL included),
the command gets SIGTERM and `GRACE_SECONDS`, and then whatever is left of its process tree is killed. As the tree's
subreaper (prctl(2)) the ward also finds descendants that made a session of their own and whose parents are gone. It
ends as the command ended: its exit status, or 128 plus the number of the signal. It sleeps until something happens.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Runs the command and ends as it ended."""
    grace_seconds, command = float(sys.argv[1]), sys.argv[2:]
    become_subreaper()
    wake = _signals_to_pipe(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    status = _watch(child.pid, wake, grace_seconds)
    kill_descendants()
    sys.exit(status)


def become_subreaper() -> None:
    """From now on orphaned descendants become children of this process. Does nothing where there is no prctl."""
    with contextlib.suppress(AttributeError):
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent dies: the case of a ward that is itself killed."""
    with contextlib.suppress(AttributeError):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kill_descendants() -> None:
    """Kills and reaps every descendant, again until there is none: a killed one's children become ours."""
    for _ in range(100):
        alive = list(descendants(os.getpid()))
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        if not alive:
            return
        time.sleep(0.02)


def descendants(ancestor: int) -> Iterator[int]:
    """The living processes below `ancestor`, parents first, from `/proc`."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(folder.name))
    queue = [ancestor]
    while queue:
        found = children.get(queue.pop(0), [])
        yield from found
        queue += found


def _signals_to_pipe(*wanted: signal.Signals) -> int:
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in wanted:
        signal.signal(number, lambda *_: None)
    return read


def _watch(child: int, wake: int, grace_seconds: float) -> int:
    selector = selectors.DefaultSelector()
    selector.register(wake, selectors.EVENT_READ)
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    deadline: float | None = None
    while True:
        ended = _reap().get(child)
        if ended is not None:
            return ended
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return 128 + signal.SIGKILL
        if _asked_to_stop(selector, wake, left) and deadline is None:
            deadline = time.monotonic() + grace_seconds
            selector.unregister(sys.stdin.fileno())
            os.kill(child, signal.SIGTERM)


def _asked_to_stop(selector: selectors.BaseSelector, wake: int, timeout_seconds: float | None) -> bool:
    asked = False
    for key, _ in selector.select(timeout_seconds):
        if key.fd == wake:
            asked |= any(number != signal.SIGCHLD for number in os.read(wake, 4096))
        else:
            asked |= not os.read(key.fd, 4096)
    return asked


def _reap() -> dict[int, int]:
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            code = os.waitstatus_to_exitcode(status)
            ended[pid] = code if code >= 0 else 128 - code
    return ended


if __name__ == "__main__":
    main()
