"""`engrain backup` and `engrain restore`: the store of the settings and its adapters, to a file and back."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from command.ownership import owner
from command.screen import Screen
from knowledge.errors import Conflict
from knowledge.settings import Settings
from knowledge.store import Store
from knowledge.store.backup import Contents, write
from knowledge.store.backup import restore as fill


def backup(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Writes the file; see `knowledge.store.backup.write`."""
    began, store = time.monotonic(), Store(settings.store)
    try:
        contents = write(store, settings.adapters_folder, file)
    finally:
        store.close()
    return _told("Wrote", file, contents, time.monotonic() - began, as_json=as_json)


def restore(settings: Settings, file: Path, *, as_json: bool) -> int:
    """Fills store and folder; see `knowledge.store.backup.restore`. Raises `Conflict` while `engrain up` runs here."""
    if holder := owner(settings.data_folder):
        raise Conflict(f"Engrain is running on this data folder ({holder}). Stop it first.")
    began = time.monotonic()
    contents = fill(file, settings.store, settings.adapters_folder)
    return _told("Restored", file, contents, time.monotonic() - began, as_json=as_json)


def _told(did: str, file: Path, contents: Contents, seconds: float, *, as_json: bool) -> int:
    size = file.stat().st_size
    if as_json:
        print(json.dumps({"file": str(file), "bytes": size, "seconds": round(seconds, 2), **asdict(contents)}))
        return 0
    rows = ", ".join(f"{number} {name}" for name, number in contents.rows.items() if name in ("facts", "versions"))
    Screen().say(f"{did} {file}: {rows}, {len(contents.adapters)} adapters; {size / 1e6:.1f} MB in {seconds:.1f} s.")
    return 0
