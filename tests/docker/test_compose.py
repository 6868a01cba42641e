"""The compose file, the images and the settings are in step."""

import re
from pathlib import Path

import pytest

from inference.discovery import BY_NAME
from knowledge.settings import PREFIX, Settings
from tests.containers.composition import FILE, chosen, default_profiles, order, read
from tests.containers.dockerfile import instructions

DOCKER = FILE.parent
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
NAMES = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
CPU = chosen(read(), ["cpu"])


def declared(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text))


@pytest.mark.parametrize("file", [FILE, *DOCKERFILES, *DOCKER.glob("kubernetes/*.yaml")], ids=lambda file: file.name)
def test_only_settings_that_exist_are_set(file: Path) -> None:
    assert declared(file.read_text()) <= NAMES


def test_the_example_has_every_setting_with_its_default_and_meaning() -> None:
    text = (DOCKER / ".env.example").read_text()
    assert dict(re.findall(rf"^#({PREFIX}\w+)=(.*)$", text, flags=re.MULTILINE)) == {
        f"{PREFIX}{name.upper()}": str(field.default) for name, field in Settings.model_fields.items()
    }
    said = " ".join(line.removeprefix("# ") for line in text.splitlines())
    for field in Settings.model_fields.values():
        assert str(field.description) in said


@pytest.mark.parametrize("name", [name for name, service in CPU.items() if service.dockerfile])
def test_the_settings_of_each_service_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    service = CPU[name]
    assert service.dockerfile
    environment = dict(service.environment)
    for word, rest in instructions(service.dockerfile.read_text()):
        if word == "ENV":
            environment |= dict(pair.split("=", 1) for pair in rest.split())
    for key, value in environment.items():
        if key.startswith(PREFIX):
            monkeypatch.setenv(key, value.replace("/secrets", str(tmp_path)).replace("/data", str(tmp_path)))
    for secret in ("store-password", "broker-password", "admin-key"):
        (tmp_path / secret).write_text("x" * 40)
    settings = Settings.read()
    if PREFIX + "STORE_URL" in environment:
        assert settings.store == f"postgresql+psycopg://engrain:{'x' * 40}@postgres:5432/engrain"
        assert settings.broker == f"redis://:{'x' * 40}@redis:6379/0"


def test_up_without_edits_starts_the_cpu_profile_and_each_profile_has_every_part() -> None:
    assert default_profiles() == ["cpu"]
    parts = {"service", "postgres", "redis", "proxy", "prometheus", "grafana", "migrate", "base-model", "secrets"}
    for profile, ending in (("cpu", ""), ("gpu", "-gpu")):
        services = chosen(read(), [profile])
        assert services.keys() == parts | {f"worker{ending}", f"inference{ending}"}
        assert len(order(services)) == len(services)
        host = BY_NAME + "http://inference:8001"
        assert services["service"].environment["ENGRAIN_INFERENCE_URLS"] == host
        named = services[f"inference{ending}"]
        assert "inference" in (named.name, *named.aliases)


def test_migrations_run_once_before_whatever_uses_the_store() -> None:
    for name in ("service", "worker"):
        assert CPU[name].depends_on["migrate"] == "service_completed_successfully"
    assert CPU["migrate"].command == ("python", "-m", "knowledge.store", "upgrade")
    assert CPU["migrate"].depends_on == {"postgres": "service_healthy"}


@pytest.mark.parametrize("name", ["service", "worker", "inference"])
def test_our_containers_run_without_rights_and_write_only_where_they_must(name: str) -> None:
    service = CPU[name]
    assert service.dockerfile
    steps = instructions(service.dockerfile.read_text())
    assert [rest for word, rest in steps if word == "USER"] == ["10001:10001"]
    assert service.read_only and service.tmpfs == ("/tmp",)
    writable = {volume.target for volume in service.volumes if not volume.read_only}
    assert writable == ({"/data/adapters"} if name == "worker" else set())
    assert {"HEALTHCHECK", "STOPSIGNAL"} <= {word for word, _ in steps}
    last = max(number for number, (word, _) in enumerate(steps) if word == "FROM")
    final = [rest for word, rest in steps[last:] if word == "RUN"]
    assert not any(re.search(r"\b(pip|uv|gcc|make|build-essential)\b", step) for step in final)


def test_images_are_pinned_and_none_is_the_latest() -> None:
    named = [service.image for service in read().values()]
    steps = [step for file in DOCKERFILES for step in instructions(file.read_text())]
    named += [rest.partition(" AS ")[0] for word, rest in steps if word == "FROM"]
    assert all(re.search(r":v?\d+\.\d+\.?\d*", image) for image in named), named


def test_every_container_of_ours_has_time_for_its_own_shutdown() -> None:
    assert CPU["service"].stop_grace_seconds > 10  # uvicorn's grace, service/__main__.py
    assert CPU["worker"].stop_grace_seconds > 15  # the trainer's, worker/training_process.py


def test_no_secret_stands_in_the_files() -> None:
    for file in (FILE, DOCKER / ".env", DOCKER / ".env.example"):
        assert not re.search(r"(?i)(password|secret|key)\w*[=:] *[\"']?[0-9a-f]{12,}", file.read_text())
    holders = [volume for name, each in CPU.items() if name != "secrets" for volume in each.volumes]
    assert all(volume.read_only for volume in holders if volume.source == "secrets")


def test_variables_are_filled_in_as_compose_does(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {a: {image: 'x:${TAG:-1.0}', command: ['$$HOME', '${NONE:-}', '${SITE}']}}")
    service = read(file, {"SITE": "here"})["a"]
    assert (service.image, service.command) == ("x:1.0", ("$HOME", "", "here"))
    assert read(file, {"TAG": "2.0"})["a"].image == "x:2.0"


def test_what_the_specification_does_not_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {a: {image: 'x:1.0', comand: [sh]}}")
    with pytest.raises(ValueError, match="comand"):
        read(file)
