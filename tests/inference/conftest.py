from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge.adapters import Manifest, Version, VersionStatus, publish_files
from knowledge.facts import Fact, FactStatus

MakeVersion = Callable[..., Version]


@pytest.fixture
def make_version(tmp_path: Path) -> MakeVersion:
    """Publishes a small adapter folder with a true manifest, and returns its version."""

    def make(name: str = "default-v1", number: int = 1) -> Version:
        making = tmp_path / f".making-{name}"
        making.mkdir()
        (making / "adapter_model.safetensors").write_bytes(b"weights of " + name.encode())
        final = tmp_path / name
        manifest = Manifest(name, "default", number, "job_1", "base", {}, "hash", ("fact_1",), "2026-01-01T00:00:00Z")
        publish_files(making, final, manifest)
        now = datetime.now(UTC)
        return Version("default", number, name, str(final), VersionStatus.LIVE, ("fact_1",), "hash", 1.0, now, now)

    return make


def fact(text: str, title: str | None = None, minute: int = 0) -> Fact:
    """A pending fact. `minute` orders facts by age."""
    return Fact(
        id=f"fact_{minute}",
        namespace="default",
        document_id=f"doc_{minute}",
        text=text,
        title=title,
        source=None,
        key=None,
        metadata={},
        status=FactStatus.PENDING,
        content_hash="",
        job_id=None,
        version=None,
        created_at=datetime(2026, 1, 1, 0, minute, tzinfo=UTC),
        expires_at=None,
    )
