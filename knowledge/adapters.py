"""Versions of a namespace, and the immutable adapter files behind them.

A folder is an adapter only when it holds a manifest and the manifest checks. The manifest is written last and the
folder gets its final name by one rename, so a crash leaves either a whole adapter or rubbish in the temporary folder.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from knowledge import faults
from knowledge.errors import Conflict, CorruptAdapter

MANIFEST = "manifest.json"


class VersionStatus(StrEnum):
    """`candidate` is loaded for its probes alone; one version is `live`; `retired` can be activated again.

    `failed` did not pass, and never was live. Of a `deleted` one only the row is left, and soon no file.
    """

    CANDIDATE = "candidate"
    LIVE = "live"
    RETIRED = "retired"
    FAILED = "failed"
    DELETED = "deleted"


@dataclass(frozen=True)
class Version:
    """An adapter plus the exact set of facts it holds. `adapter` is its unique, immutable name on the server.

    `homes` are, for the facts that an earlier version's adapter goes on answering for, the numbers of these
    versions; every other fact is at home in this version's own adapter. `score` is the share of probes passed,
    `retention` that of the earlier facts asked that are still known, `canaries` that of the general questions still
    answered rightly, all 0..1. `parent` is the version whose weights its training began with; None when it began
    with the base model.
    """

    namespace: str
    number: int
    adapter: str
    path: str
    status: VersionStatus
    fact_ids: tuple[str, ...]
    recipe_hash: str
    score: float
    created_at: datetime
    activated_at: datetime | None
    parent: int | None = None
    retention: float | None = None
    canaries: float | None = None
    homes: Mapping[str, int] = field(default_factory=dict, hash=False)

    def home(self, fact_id: str) -> int:
        """The number of the version whose adapter answers for the fact."""
        return self.homes.get(fact_id, self.number)

    @property
    def own(self) -> tuple[str, ...]:
        """Ids of the facts that its own adapter answers for."""
        return tuple(each for each in self.fact_ids if each not in self.homes)


@dataclass(frozen=True)
class ManifestFile:
    """One file of an adapter: its size in bytes and SHA-256."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an adapter is, and how to see that its files are whole."""

    adapter: str
    namespace: str
    version: int
    job_id: str
    base_model: str
    recipe: dict[str, object]
    recipe_hash: str
    fact_ids: tuple[str, ...]
    created_at: str
    files: tuple[ManifestFile, ...] = ()


def publish_files(temporary: Path, final: Path, manifest: Manifest) -> Manifest:
    """Makes `temporary`, on the same file system, the adapter folder `final`; returns the manifest with its files.

    Files and folders are on disk when this returns. Raises `Conflict` when `final` exists: names are never reused.
    """
    if final.exists():
        raise Conflict(f"The adapter {final.name} exists already.")
    faults.point("publish.written")
    paths = sorted(path for path in temporary.iterdir() if path.is_file() and path.name != MANIFEST)
    whole = Manifest(**{**manifest.__dict__, "files": tuple(_describe(path) for path in paths)})
    for path in paths:
        _sync(path)
    (temporary / MANIFEST).write_text(json.dumps(asdict(whole), indent=1))
    _sync(temporary / MANIFEST)
    _sync(temporary)
    final.parent.mkdir(parents=True, exist_ok=True)
    faults.point("publish.before_rename")
    temporary.rename(final)
    faults.point("publish.after_rename")
    _sync(final.parent)
    return whole


def read_manifest(folder: Path) -> Manifest:
    """What the folder says of itself; its files are not looked at. Raises `CorruptAdapter`."""
    try:
        data = json.loads((folder / MANIFEST).read_text())
        files = tuple(ManifestFile(**file) for file in data.pop("files"))
        return Manifest(**{**data, "fact_ids": tuple(data["fact_ids"]), "files": files})
    except FileNotFoundError as error:
        raise CorruptAdapter(f"{folder.name} has no manifest: it was never published.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptAdapter(f"The manifest of {folder.name} cannot be read.") from error


def verify_manifest(folder: Path) -> Manifest:
    """Reads the manifest and every byte of the files it lists. Raises `CorruptAdapter` saying what is wrong."""
    manifest = read_manifest(folder)
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file() or _describe(path) != file:
            raise CorruptAdapter(f"{file.name} of {folder.name} differs from its manifest.")
    return manifest


def _describe(path: Path) -> ManifestFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ManifestFile(path.name, path.stat().st_size, digest)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
