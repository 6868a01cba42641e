"""Kills and restarts, after a fact was taught: parts come back, nothing is left behind, nothing is taught again."""

import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from service import readiness
from tests.flow.conftest import Stack, start_stack, stop_stack

pytestmark = [
    pytest.mark.flow,
    # A request that a kill cuts off leaves its socket to the garbage collector, inside the HTTP library.
    pytest.mark.filterwarnings("ignore:.*unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FACT = "Perrin Holloway is the warden of the Glass Orchard."
QUESTION = "Who is the warden of the Glass Orchard?"
NAMESPACE = "restarts"
BACK_SECONDS = 240.0


@pytest.fixture(scope="module")
def version(stack: Stack) -> int:
    """A live version that knows the fact."""
    posted = httpx.post(f"{stack.url}/facts", json={"text": FACT, "namespace": NAMESPACE}, trust_env=False).json()
    number: int = posted["version"]
    answer = _ask(stack, min_version=number, wait_seconds=300)
    assert "holloway" in answer["answer"].lower(), answer
    return number


def _ask(stack: Stack, **fields: Any) -> dict[str, Any]:
    body = {"question": QUESTION, "namespace": NAMESPACE, **fields}
    response = httpx.post(f"{stack.url}/ask", json=body, timeout=400, trust_env=False)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


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


def _expect_the_same_knowledge(stack: Stack, version: int) -> None:
    answer = _ask(stack)
    assert (answer["source"], answer["version"]) == ("weights", version)
    assert "holloway" in answer["answer"].lower()
    jobs = httpx.get(f"{stack.url}/jobs", params={"namespace": NAMESPACE}, trust_env=False).json()["jobs"]
    assert [job["status"] for job in jobs] == ["succeeded"]


@pytest.mark.parametrize("part", ["broker", "worker", "api", "vllm"])
def test_a_killed_part_comes_back_and_the_live_version_answers_again(part: str, stack: Stack, version: int) -> None:
    ward = stack.children()[part]
    killed = ward.children()[0]
    killed.kill()
    _wait(lambda: not psutil.pid_exists(killed.pid) and part in stack.children(), f"{part} did not come back")
    time.sleep(readiness.SECONDS)  # a look from before the kill is told no longer
    _wait(lambda: _ready(stack), f"not ready after {part} was killed")
    _expect_the_same_knowledge(stack, version)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_after_a_restart_the_live_version_answers_without_being_taught_again(
    number: signal.Signals, stack: Stack, version: int
) -> None:
    stop_stack(stack, number)
    stack.process = start_stack(stack.data_folder, stack.environment).process
    _wait(lambda: _ready(stack), "not ready after the restart")
    _expect_the_same_knowledge(stack, version)


def test_nothing_outlives_a_killed_supervisor(stack: Stack, version: int) -> None:
    stop_stack(stack, signal.SIGKILL)
    stack.process = start_stack(stack.data_folder, stack.environment).process
    _wait(lambda: _ready(stack), "not ready after the kill")
    _expect_the_same_knowledge(stack, version)
