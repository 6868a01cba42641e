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


def test_passwords_come_from_their_files_into_the_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("p@ss/word?\n")
    for name, url in (("STORE", "postgresql+psycopg://me@db:5432/engrain?x=1"), ("BROKER", "redis://cache:6379/0")):
        monkeypatch.setenv(f"ENGRAIN_{name}_URL", url)
        monkeypatch.setenv(f"ENGRAIN_{name}_PASSWORD_FILE", str(tmp_path / "password"))
    settings = Settings.read()
    assert settings.store == "postgresql+psycopg://me:p%40ss%2Fword%3F@db:5432/engrain?x=1"
    assert settings.broker == "redis://:p%40ss%2Fword%3F@cache:6379/0"
    (tmp_path / "password").unlink()
    with pytest.raises(InvalidSettings, match="ENGRAIN_STORE_PASSWORD_FILE"):
        _ = settings.store


@pytest.mark.parametrize("address", ["9101", "0.0.0.0", ":9101", "0.0.0.0:port"])
def test_a_metrics_address_has_a_host_and_a_port(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAIN_API_METRICS_ADDRESS", address)
    with pytest.raises(InvalidSettings, match="METRICS_ADDRESS"):
        Settings.read()


def test_a_password_file_does_not_concern_what_is_embedded(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, store_password_file="/none", broker_password_file="/none")
    assert settings.store == f"sqlite:///{tmp_path}/store.sqlite3"
    assert settings.broker == "redis://127.0.0.1:6391/0"
