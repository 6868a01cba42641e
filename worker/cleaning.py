"""Deletes versions that are kept no longer, and what a crash left in the adapters folder: what no version names."""

import shutil
import time
from datetime import timedelta
from pathlib import Path

from knowledge.adapters import VersionStatus
from knowledge.settings import Settings
from knowledge.store import Store, jobs, now, versions

CHECKPOINT = ".checkpoint-"
MAKING = ".making-"

LEFTOVER_SECONDS = 3600.0
"""How old an unnamed adapter must be: a server may read the files of one it holds again (inference/adapters.py)."""


DELETED_SECONDS = 600.0
"""How long the files of a deleted version stay: answers that began before have to end, and servers to unload it."""


def clean(settings: Settings, store: Store, *, older_than_seconds: float = LEFTOVER_SECONDS) -> list[str]:
    """Temporary folders, checkpoints and adapters of ended jobs; the names of what went. Raises `Unavailable`.

    An adapter goes when no version names it, or only one that failed its probes or was deleted. What no job of this
    store made stays: a worker that was given another, empty store deletes nothing.
    """
    folder = settings.adapters_folder
    versions.refuse_abandoned(store)
    versions.delete_old(store, keep=settings.keep_versions)
    found = [path for path in _entries(folder) if _age_seconds(path) >= older_than_seconds]
    over = jobs.ended(store, {job_id for path in found for job_id in _job_ids(path.name)})
    named = {version.adapter for version in versions.find(store) if version.status != VersionStatus.FAILED}
    deleted = versions.deleted_adapters(store, before=now() - timedelta(seconds=DELETED_SECONDS))
    gone = [path for path in found if path.name not in named and over & _job_ids(path.name)]
    gone += [path for path in _entries(folder) if path.name in deleted]
    for path in gone:
        _remove(path)
    return sorted(path.name for path in gone)


def forget_leftovers(folder: Path, job_id: str) -> None:
    """What an earlier attempt of this job was making when it was killed. Its checkpoint stays."""
    for path in folder.glob(f"{MAKING}*-{job_id.removeprefix('job_')}-*"):
        _remove(path)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _job_ids(name: str) -> set[str]:
    """A job's id, without `job_`, is one of the words of every name that the job gives: `default-v3-06h3…-2`."""
    return {f"job_{word}" for word in name.replace(".", "-").split("-") if word}


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
