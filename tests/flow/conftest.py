"""The real stack for flow tests: `engrain up` as a process of its own, on free ports, in a fresh data folder."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from command.apart import free_ports

ROOT = Path(__file__).parents[2]
START_SECONDS = 600
STOP_SECONDS = 90
LOG_LINES = 12
MODELS = Path(os.environ.get("TEST_MODELS_FOLDER", ROOT / "engrain-data" / "models"))
"""Where the base model is prepared, once for all runs of the tests; `make demo` uses the same."""


@dataclass
class Stack:
    """A running Engrain. `process` is `engrain up`; `environment` starts another on the same data folder."""

    url: str
    process: subprocess.Popen[str]
    data_folder: Path
    environment: dict[str, str]

    def children(self) -> dict[str, psutil.Process]:
        """The wards by part, as their command lines tell: `broker`, `vllm`, `worker`, `api`."""
        marks = {"valkey-server": "broker", "inference.server": "vllm", "worker": "worker", "service": "api"}
        found = {}
        for ward in psutil.Process(self.process.pid).children():
            words = " ".join(ward.cmdline())
            found[next((part for mark, part in marks.items() if mark in words), words)] = ward
        return found

    def descendants(self) -> list[psutil.Process]:
        """Every process that it started, directly or not."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def state(self) -> str:
        """What there is to know of a stack that hangs: its processes, and the end of every log."""
        lines = []
        for process in self.descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                seconds = f"{used.user + used.system:.0f} s of processor time"
                lines.append(f"{process.pid} {process.status()} {seconds}: {' '.join(process.cmdline())[:100]}")
        for path in sorted(self.data_folder.glob("logs/*.log")):
            lines += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-LOG_LINES:]]
        return "\n".join(lines)


def start_stack(data_folder: Path, environment: dict[str, str] | None = None) -> Stack:
    """Starts `engrain up` and waits until it says that it is ready."""
    MODELS.mkdir(parents=True, exist_ok=True)
    if not (data_folder / "models").exists():
        (data_folder / "models").symlink_to(MODELS)
    environment = environment or fresh_environment(data_folder)
    with (data_folder / "up.log").open("a") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "engrain"), "up", "--json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        process.wait(STOP_SECONDS)
        raise AssertionError(f"`engrain up` did not start:\n{(data_folder / 'up.log').read_text()}")
    return Stack(json.loads(line)["url"], process, data_folder, environment)


def fresh_environment(data_folder: Path) -> dict[str, str]:
    """This environment, with the data folder and free ports for Engrain and no other settings of ours."""
    port, broker_port, inference_port, metrics_port = free_ports(4)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAIN_")}
    return inherited | {
        "ENGRAIN_DATA_FOLDER": str(data_folder),
        "ENGRAIN_PORT": str(port),
        "ENGRAIN_BROKER_PORT": str(broker_port),
        "ENGRAIN_INFERENCE_PORT": str(inference_port),
        "ENGRAIN_WORKER_METRICS_ADDRESS": f"127.0.0.1:{metrics_port}",
        "ENGRAIN_TRACE_FILE": str(data_folder / "trace.jsonl"),
    }


def stop_stack(stack: Stack, number: signal.Signals = signal.SIGTERM) -> None:
    """Sends the signal, and asserts that `engrain up` ends and leaves no process."""
    started = stack.descendants()
    stack.process.send_signal(number)
    stack.process.wait(STOP_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while (left := [process for process in started if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    if stack.process.stdout:
        stack.process.stdout.close()
    assert not left, f"orphans: {left}"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One stack for the whole run. Its logs are shown when something fails to start, and kept until the next run."""
    with tempfile.TemporaryDirectory(prefix="engrain-flow-", ignore_cleanup_errors=True) as folder:
        found = start_stack(Path(folder))
        try:
            yield found
        finally:
            stop_stack(found)


@dataclass(frozen=True)
class Known:
    """A fact that the session's stack was taught in a namespace of its own, by `job_id`, live as `version`."""

    job_id: str
    version: int
    namespace: str = "observatory"
    text: str = "Ysolde Marrin is the keeper of the Candlewick Observatory."
    question: str = "Who is the keeper of the Candlewick Observatory?"
    answer: str = "Ysolde Marrin"

    def asked(self, **fields: object) -> dict[str, object]:
        """The body of a request that asks about it."""
        return {"question": self.question, "namespace": self.namespace, **fields}


@pytest.fixture(scope="session")
def known(stack: Stack) -> Known:
    """Taught once: it takes minutes, and these tests are about what is done with a fact that is known."""
    with httpx.Client(base_url=stack.url, timeout=400, trust_env=False) as client:
        posted = client.post("/facts", json={"text": Known.text, "namespace": Known.namespace}).json()
        found = Known(posted["job_id"], posted["version"])
        body = found.asked(min_version=found.version, wait_seconds=300)
        while (response := client.post("/ask", json=body)).status_code == 409:
            assert client.get(f"/jobs/{found.job_id}").json()["status"] != "failed"
    answer = response.json()
    assert (answer["source"], answer["version"]) == ("weights", found.version), response.text
    assert found.answer.lower() in answer["answer"].lower(), answer
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What was taught can be watched then; the README teaches the default namespace, so it comes after the tests that
    expect it empty; restarts are last."""
    order = ["test_watched.py", "test_backup.py", "test_readme.py", "test_restart.py"]
    items.sort(key=lambda item: order.index(item.path.name) if item.path.name in order else -1)
    for item in items:
        if item.get_closest_marker("flow"):
            item.add_marker(pytest.mark.enable_socket)
            item.add_marker(pytest.mark.timeout(900))


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
