"""Reads `docker/compose.yaml` as an implementation of the Compose specification does, as far as it is used there."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose

FILE = Path(__file__).parents[2] / "docker" / "compose.yaml"


@dataclass(frozen=True)
class Healthcheck:
    """How to see that a container does its work. `test` as in the file; None where the image's own one holds."""

    test: tuple[str, ...]
    interval_seconds: float
    timeout_seconds: float


@dataclass(frozen=True)
class Volume:
    """`source` is a volume's name or, with a slash, a path beside the compose file."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Service:
    """One service, with its variables filled in. `depends_on` maps names to conditions."""

    name: str
    image: str
    dockerfile: Path | None
    build_arguments: Mapping[str, str]
    command: tuple[str, ...] | None
    environment: Mapping[str, str]
    volumes: tuple[Volume, ...]
    tmpfs: tuple[str, ...]
    depends_on: Mapping[str, str]
    profiles: frozenset[str]
    user: str | None
    read_only: bool
    healthcheck: Healthcheck | None
    no_healthcheck: bool
    stop_signal: str | None
    stop_grace_seconds: float
    aliases: tuple[str, ...]
    networks: frozenset[str]


def read(file: Path = FILE, variables: Mapping[str, str] | None = None) -> dict[str, Service]:
    """Every service of the file. Raises `ValueError` for what the Compose specification does not know."""
    filled = _fill(yaml.safe_load(file.read_text()), variables or {})
    try:
        PyCompose.from_yaml(yaml.safe_dump(filled)).validate()
    except ValueError as error:
        raise ValueError(f"{file.name}: {error}") from error
    return {name: _service(name, part, file.parent) for name, part in filled["services"].items()}


def chosen(services: Mapping[str, Service], profiles: Collection[str]) -> dict[str, Service]:
    """The services that `docker compose up` starts with these profiles."""
    return {
        name: service for name, service in services.items() if not service.profiles or service.profiles & set(profiles)
    }


def default_profiles(file: Path = FILE) -> list[str]:
    """Those of the `.env` beside the compose file, which `docker compose` reads by itself."""
    found = re.search(r"^COMPOSE_PROFILES=(.*)$", (file.parent / ".env").read_text(), flags=re.MULTILINE)
    return found.group(1).split(",") if found else []


def order(services: Mapping[str, Service]) -> list[Service]:
    """Each service after those that it depends on. Raises `ValueError` for a circle or an unknown name."""
    done: dict[str, Service] = {}
    while len(done) < len(services):
        ready = [each for each in services.values() if each.name not in done and each.depends_on.keys() <= done.keys()]
        if not ready:
            raise ValueError(f"{sorted(services.keys() - done.keys())} wait for each other, or for what is not there")
        done |= {each.name: each for each in ready}
    return list(done.values())


def _fill(data: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _fill(value, variables) for key, value in data.items()}
    if isinstance(data, list):
        return [_fill(value, variables) for value in data]
    if not isinstance(data, str):
        return data

    def value(found: re.Match[str]) -> str:
        return "$" if found.group() == "$$" else variables.get(found["name"]) or found["default"] or ""

    return re.sub(r"\$\$|\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value, data)


def _service(name: str, data: Mapping[str, Any], folder: Path) -> Service:
    build, networks = data.get("build") or {}, data.get("networks") or {}
    health = data.get("healthcheck") or {}
    command = data.get("command")
    inside = networks if isinstance(networks, dict) else dict.fromkeys(networks)
    return Service(
        name=name,
        image=data["image"],
        dockerfile=(folder / build["context"] / build["dockerfile"]).resolve() if build else None,
        build_arguments=build.get("args") or {},
        command=tuple(map(str, command)) if command is not None else None,
        environment={key: str(value) for key, value in (data.get("environment") or {}).items()},
        volumes=tuple(_volume(text) for text in data.get("volumes") or ()),
        tmpfs=tuple(text.partition(":")[0] for text in data.get("tmpfs") or ()),
        depends_on={key: value["condition"] for key, value in (data.get("depends_on") or {}).items()},
        profiles=frozenset(data.get("profiles") or ()),
        user=data.get("user"),
        read_only=bool(data.get("read_only")),
        healthcheck=_healthcheck(health) if health.get("test") else None,
        no_healthcheck=bool(health.get("disable")),
        stop_signal=data.get("stop_signal"),
        stop_grace_seconds=seconds(data.get("stop_grace_period", "10s")),
        aliases=tuple(alias for each in inside.values() for alias in (each or {}).get("aliases", ())),
        networks=frozenset(inside),
    )


def _volume(text: str) -> Volume:
    source, target, *mode = text.split(":")
    return Volume(source, target, read_only=mode == ["ro"])


def _healthcheck(data: Mapping[str, Any]) -> Healthcheck:
    return Healthcheck(tuple(data["test"]), seconds(data["interval"]), seconds(data["timeout"]))


def seconds(text: str) -> float:
    """A duration such as `90s`."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def as_command(test: Sequence[str]) -> list[str]:
    """A healthcheck's `test` as a command line."""
    kind, *words = test
    return words if kind == "CMD" else ["/bin/sh", "-c", *words]
