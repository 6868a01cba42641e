"""Which parts there are, and what they see."""

from pathlib import Path

import pytest

from command.address import api_url
from command.parts import environment_of, parts_of
from knowledge.settings import Settings


def names(settings: Settings) -> list[str]:
    return [part.name for part in parts_of(settings)]


def test_every_part_runs_here_by_default(tmp_path: Path) -> None:
    assert names(Settings(data_folder=tmp_path)) == ["store", "base", "broker", "vllm", "worker", "api"]


def test_parts_that_run_elsewhere_are_not_started(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, broker_url="redis://queue/0", inference_urls="http://gpu:8000")
    assert names(settings) == ["store", "base", "worker", "api"]


def test_every_part_starts_after_parts_that_exist_and_come_earlier(tmp_path: Path) -> None:
    for settings in (Settings(data_folder=tmp_path), Settings(data_folder=tmp_path, broker_url="redis://queue/0")):
        found = parts_of(settings)
        for number, part in enumerate(found):
            assert set(part.after) <= {earlier.name for earlier in found[:number]}


def test_children_read_the_very_settings_that_they_were_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_folder=tmp_path, port=4321, lease_seconds=7.5, store_url="postgresql://u:p@db/x")
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == settings


def test_the_embedded_model_is_never_looked_for_on_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert environment_of(Settings(data_folder=tmp_path))["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment_of(Settings(data_folder=tmp_path, base_model="org/model"))


def test_children_keep_their_bytecode_where_the_shell_forbids_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in environment_of(Settings(data_folder=tmp_path))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fd00::7", "http://[fd00::7]:8000"),
    ],
)
def test_the_api_is_asked_where_this_machine_reaches_it(host: str, url: str) -> None:
    assert api_url(Settings(host=host)) == url
