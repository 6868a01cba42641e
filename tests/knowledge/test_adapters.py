from pathlib import Path

import pytest

from knowledge.adapters import MANIFEST, Manifest, publish_files, verify_manifest
from knowledge.errors import Conflict, CorruptAdapter


def _publish(folder: Path, name: str = "default-v1-x-1") -> Path:
    temporary = folder / ".making"
    temporary.mkdir()
    (temporary / "adapter_model.safetensors").write_bytes(b"weights" * 100)
    (temporary / "adapter_config.json").write_text("{}")
    manifest = Manifest(
        name, "default", 1, "job_1", "base", {"rank": 8}, "abc", ("fact_1",), "2026-01-01T00:00:00+00:00"
    )
    publish_files(temporary, folder / name, manifest)
    return folder / name


def test_a_published_adapter_verifies_and_its_manifest_reads_back(tmp_path: Path) -> None:
    manifest = verify_manifest(_publish(tmp_path))
    assert [file.name for file in manifest.files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert manifest.fact_ids == ("fact_1",)


def test_half_written_adapter_is_never_verified(tmp_path: Path) -> None:
    final = _publish(tmp_path)
    (final / "adapter_model.safetensors").write_bytes(b"weights" * 99)
    with pytest.raises(CorruptAdapter, match="differs"):
        verify_manifest(final)


def test_a_single_flipped_byte_is_seen(tmp_path: Path) -> None:
    final = _publish(tmp_path)
    data = bytearray((final / "adapter_model.safetensors").read_bytes())
    data[5] ^= 1
    (final / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(CorruptAdapter):
        verify_manifest(final)


def test_a_folder_without_a_manifest_is_not_an_adapter(tmp_path: Path) -> None:
    final = _publish(tmp_path)
    (final / MANIFEST).unlink()
    with pytest.raises(CorruptAdapter, match="never published"):
        verify_manifest(final)


def test_a_name_is_never_used_twice(tmp_path: Path) -> None:
    _publish(tmp_path)
    with pytest.raises(Conflict):
        _publish(tmp_path)
