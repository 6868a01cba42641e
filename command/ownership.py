"""One `engrain up` for each data folder: a lock that also lasts as long as anything that it started."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from knowledge.errors import Conflict

LOCK = "engrain.lock"
PREDECESSOR_SECONDS = 30.0
"""How long to wait for the children of a killed `engrain up` to end: their longest grace, and some."""


@contextlib.contextmanager
def ownership(folder: Path, url: str) -> Iterator[int]:
    """Holds the folder; yields the lock's file descriptor, for the wards to keep open.

    Raises `Conflict` when another process holds it. One that was killed is waited for while its children end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def owner(folder: Path) -> str:
    """Who holds the folder now, in words; empty when nobody does."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found = _read(descriptor)
        return f"process {found['pid']}, {found['url']}" if found else "a process that is just starting"
    else:
        return ""
    finally:
        os.close(descriptor)


def owner_pid(folder: Path) -> int | None:
    """The process id of who holds the folder now; None when nobody does."""
    if not owner(folder):
        return None
    descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = _read(descriptor)
    finally:
        os.close(descriptor)
    return int(str(found["pid"])) if found else None


def _take(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(descriptor)
            ending = holder is not None and not psutil.pid_exists(int(str(holder["pid"])))
            if not ending or time.monotonic() > deadline:
                who = f"process {holder['pid']}, {holder['url']}" if holder else "a process that is just starting"
                raise Conflict(
                    f"Another Engrain ({who}) uses {folder}. Stop it, or give this one a folder and ports of its own "
                    "(ENGRAIN_DATA_FOLDER, ENGRAIN_PORT, ENGRAIN_BROKER_PORT, ENGRAIN_INFERENCE_PORT)."
                ) from None
            time.sleep(0.1)
        else:
            return


def _read(descriptor: int) -> dict[str, object] | None:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"pid", "url"} <= found.keys() else None
