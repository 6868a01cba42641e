from pathlib import Path

import pytest

from knowledge.errors import InvalidSettings
from knowledge.settings import Settings


def test_defaults_need_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.read()
    assert settings.store == f"sqlite:///{tmp_path}/engrain-data/store.sqlite3"
    assert settings.replicas == ("http://127.0.0.1:8001",)


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAIN_PORTT", "1")
    with pytest.raises(InvalidSettings, match="ENGRAIN_PORTT"):
        Settings.read()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "0"), ("PORT", "x"), ("MAX_LORA_RANK", "12"), ("MAX_CACHED_ADAPTERS", "2")]
)
def test_a_wrong_value_is_refused_by_its_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ENGRAIN_{name}", value)
    with pytest.raises(InvalidSettings):
        Settings.read()


def test_replicas_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAIN_INFERENCE_URLS", "http://a:1/, http://b:2")
    assert Settings.read().replicas == ("http://a:1", "http://b:2")


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
