"""Kills and restarts, after a fact was taught: parts come back, nothing is left behind, nothing is taught again."""

import signal
import time
from collections.abc import Callable

import httpx
import psutil
import pytest

from service import readiness
from tests.flow.conftest import Known, Stack, start_stack, stop_stack

pytestmark = [
    pytest.mark.flow,
    # A request that a kill cuts off leaves its socket to the garbage collector, inside the HTTP library.
    pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BACK_SECONDS = 240.0


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def _ready(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.url}/readyz", timeout=30, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _expect_the_same_knowledge(stack: Stack, known: Known) -> None:
    response = httpx.post(f"{stack.url}/ask", json=known.asked(), timeout=400, trust_env=False)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["source"], answer["version"]) == ("weights", known.version)
    assert known.answer.lower() in answer["answer"].lower()
    jobs = httpx.get(f"{stack.url}/jobs", params={"namespace": known.namespace}, trust_env=False).json()["jobs"]
    assert [job["status"] for job in jobs] == ["succeeded"]


@pytest.mark.parametrize("part", ["broker", "worker", "api", "vllm"])
def test_a_killed_part_comes_back_and_the_live_version_answers_again(part: str, stack: Stack, known: Known) -> None:
    ward = stack.children()[part]
    killed = ward.children()[0]
    killed.kill()
    _wait(lambda: not psutil.pid_exists(killed.pid) and part in stack.children(), f"{part} did not come back")
    time.sleep(readiness.SECONDS)  # a look from before the kill is told no longer
    _wait(lambda: _ready(stack), f"not ready after {part} was killed")
    _expect_the_same_knowledge(stack, known)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_after_a_restart_the_live_version_answers_without_being_taught_again(
    number: signal.Signals, stack: Stack, known: Known
) -> None:
    stop_stack(stack, number)
    stack.process = start_stack(stack.data_folder, stack.environment).process
    _wait(lambda: _ready(stack), "not ready after the restart")
    _expect_the_same_knowledge(stack, known)


def test_nothing_outlives_a_killed_supervisor(stack: Stack, known: Known) -> None:
    stop_stack(stack, signal.SIGKILL)
    stack.process = start_stack(stack.data_folder, stack.environment).process
    _wait(lambda: _ready(stack), "not ready after the kill")
    _expect_the_same_knowledge(stack, known)
