"""Named points of a job at which a drill may make a process fail. Without a drill a point is one comparison with None.

`ENGRAIN_FAULT_FOLDER` names a folder. A file in it that bears a point's name arms that point; its text says what the
next process to pass does. The file is gone once somebody took it, so a fault happens once, also after a restart:

    kill            the process kills itself (SIGKILL), as the kernel would for lack of memory
    hold SECONDS    it waits there, so that somebody can kill another part meanwhile
    full            the disk is full: OSError(ENOSPC)

`POINTS` are in the order in which a document that is posted passes them.
"""

import errno
import os
import signal
import time
from pathlib import Path

POINTS = (
    "post.before_commit",
    "post.after_commit",
    "send.after_send",
    "job.claimed",
    "train.started",
    "train.stepped",
    "train.before_save",
    "train.saved",
    "publish.written",
    "publish.before_rename",
    "publish.after_rename",
    "candidate.before_commit",
    "candidate.after_commit",
    "load.before",
    "load.after",
    "probe.asked",
    "live.before_commit",
    "live.after_commit",
    "activate.before_flip",
    "activate.after_flip",
)

_folder = Path(found) if (found := os.environ.get("ENGRAIN_FAULT_FOLDER")) else None


def point(name: str) -> None:
    """Fails here if a drill armed this point. Raises `OSError` for a disk that is said to be full."""
    if _folder is not None:
        _pass(_folder / name)


def arm(folder: Path, name: str, action: str) -> None:
    """Arms a point for the next process that passes it. Raises `ValueError` for a point that does not exist."""
    if name not in POINTS:
        raise ValueError(f"there is no point {name}")
    making = folder / f".{name}"
    making.write_text(action)
    making.rename(folder / name)


def _pass(armed: Path) -> None:
    taken = armed.with_name(f".{armed.name}-{os.getpid()}")
    try:
        armed.rename(taken)  # of two that pass together one gets it
    except OSError:
        return
    action, _, seconds = taken.read_text().partition(" ")
    taken.unlink()
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hold":
        time.sleep(float(seconds))
    elif action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
