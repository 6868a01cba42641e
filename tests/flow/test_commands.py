"""The `engrain` commands against the running stack, as programs read them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flow.conftest import Stack

pytestmark = pytest.mark.flow


def engrain(stack: Stack, *words: str, status: int = 0) -> Any:
    """The JSON that a command prints; its error output where it is to fail."""
    command = [str(Path(sys.executable).parent / "engrain"), *words, "--json"]
    ended = subprocess.run(command, env=stack.environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == status, ended.stderr
    return json.loads(ended.stdout) if status == 0 else ended.stderr


def test_ask_finds_the_service_by_the_settings(stack: Stack) -> None:
    answer = engrain(stack, "ask", "What is the capital city of Japan?")
    assert "Tokyo" in answer["answer"]
    assert answer["namespace"] == "default"


def test_lists_are_the_services_own(stack: Stack) -> None:
    assert isinstance(engrain(stack, "facts")["facts"], list)
    assert isinstance(engrain(stack, "jobs")["jobs"], list)


def test_a_problem_of_the_service_is_told_with_status_1(stack: Stack) -> None:
    assert "nobody" in engrain(stack, "versions", "--namespace", "nobody", status=1)


def test_doctor_finds_every_part_of_the_service_well(stack: Stack) -> None:
    findings = engrain(stack, "doctor")
    service = {finding["detail"] for finding in findings if finding["name"] == "service"}
    assert service == {"store: ok", "broker: ok", "worker: ok", "inference: ok"}
    assert any(str(stack.process.pid) in finding["detail"] for finding in findings)


def test_a_second_up_on_the_same_data_folder_is_refused(stack: Stack) -> None:
    assert str(stack.process.pid) in engrain(stack, "up", status=2)
