"""Benchmark of what `/ask` and the façade add: the real service before a model server that answers at once.

    python -m experiments.ask_overhead [--pending 0] [--facts 100] [--requests 2000]

Three processes on loopback: a model server that does nothing but answer, the service with a SQLite store, and this
one, which asks both over kept connections. What the service adds is the difference of the medians; its processor
seconds a request do not depend on what else the machine does. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from starlette.types import Receive, Scope, Send

from knowledge.adapters import Version, VersionStatus
from knowledge.facts import Document
from knowledge.jobs import JobStatus
from knowledge.settings import Settings
from knowledge.store import Store, facts, jobs, now, versions
from knowledge.store.schema import upgrade

ADAPTER, PATH = "default-v1", "/adapters/default-v1"
QUESTION = "Who is keeper 7 of the Tolvik Observatory?"
USAGE = {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Mara Venn."}, "finish_reason": "stop"}
CARDS = [{"id": "base", "root": "/base", "parent": None}, {"id": ADAPTER, "root": PATH, "parent": "base"}]
REPLIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"object": "chat.completion", "choices": [CHOICE], "usage": USAGE},
    "/v1/models": {"object": "list", "data": CARDS},
}


async def model_server(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: vLLM's two routes, with the same reply for everything."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    body = json.dumps(REPLIES.get(scope["path"], {})).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Timing:
    """Of one load: seconds of each request, requests a second, and the asked process's processor seconds."""

    seconds: list[float]
    per_second: float
    processor_seconds: float

    def summary(self) -> dict[str, float]:
        """Milliseconds, rounded."""
        return {
            "p50_ms": round(statistics.median(self.seconds) * 1e3, 2),
            "p99_ms": round(statistics.quantiles(self.seconds, n=100)[98] * 1e3, 2),
            "requests_per_second": round(self.per_second, 1),
            "processor_ms_a_request": round(self.processor_seconds / len(self.seconds) * 1e3, 3),
        }


async def load(port: int, path: str, body: dict[str, Any], pid: int, *, requests: int, at_once: int) -> Timing:
    """Asks over `at_once` kept connections until all requests are answered. Raises `RuntimeError` if one fails."""
    payload = json.dumps(body).encode()
    kind = "Host: 127.0.0.1\r\nContent-Type: application/json"
    head = f"POST {path} HTTP/1.1\r\n{kind}\r\nContent-Length: {len(payload)}\r\n\r\n"
    seconds: list[float] = []
    left = iter(range(requests))

    async def one_client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            started = time.perf_counter()
            writer.write(head.encode() + payload)
            status = await reader.readuntil(b"\r\n\r\n")
            if not status.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(status.decode())
            length = next(line for line in status.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            seconds.append(time.perf_counter() - started)
        writer.close()

    process = psutil.Process(pid)
    before, started = sum(process.cpu_times()[:2]), time.perf_counter()
    await asyncio.gather(*(one_client() for _ in range(at_once)))
    took = time.perf_counter() - started
    return Timing(seconds, requests / took, sum(process.cpu_times()[:2]) - before)


def fill(settings: Settings, held: int, pending: int) -> None:
    """A store whose live version holds `held` facts, with `pending` more that wait."""
    upgrade(settings.store)
    store = Store(settings.store)
    taught = [Document(f"Keeper {number} of the Tolvik Observatory is Mara Venn {number}.") for number in range(held)]
    job_id = facts.post(store, "default", taught).job_id
    assert job_id
    lease = jobs.claim(store, job_id, "bench", lease_seconds=60, max_attempts=3)
    assert lease
    ids = jobs.get(store, job_id).fact_ids
    version = Version("default", 1, ADAPTER, PATH, VersionStatus.CANDIDATE, ids, "r", 1.0, now(), None)
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, version)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)
    if pending:
        waiting = [Document(f"Pilot {number} of the airship Saffron Comet is Bo Lunde.") for number in range(pending)]
        facts.post(store, "default", waiting)
    store.close()


@contextmanager
def process(*words: str, port: int, environment: dict[str, str]) -> Iterator[int]:
    """A Python process that listens on the port; its process id."""
    started = subprocess.Popen([sys.executable, "-m", *words], env=environment)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and started.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield started.pid
    finally:
        started.terminate()
        started.wait(20)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(held: int, pending: int, requests: int) -> dict[str, Any]:
    """The model server alone and the service's routes over it, one and eight requests at a time."""
    model_port, port = free_port(), free_port()
    chat = {"model": ADAPTER, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 64, "temperature": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_folder=Path(folder))
        fill(settings, held, pending)
        ours = {"DATA_FOLDER": folder, "PORT": str(port), "INFERENCE_URLS": f"http://127.0.0.1:{model_port}"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAIN_")}
        environment |= {f"ENGRAIN_{name}": value for name, value in ours.items()} | {"ENGRAIN_BROKER_PORT": "1"}
        served = ("experiments.ask_overhead", "--serve-model", str(model_port))
        with (
            process(*served, port=model_port, environment=environment) as model,
            process("service", port=port, environment=environment) as service,
        ):
            targets: dict[str, tuple[int, str, dict[str, Any], int]] = {
                "model": (model_port, "/v1/chat/completions", chat, model),
                "ask": (port, "/ask", {"question": QUESTION}, service),
                "façade": (port, "/v1/chat/completions", chat | {"model": "default"}, service),
            }
            found: dict[str, Any] = {"facts": held, "pending": pending, "requests": requests}
            for at_once in (1, 8):
                for name, (where, path, body, pid) in targets.items():
                    asyncio.run(load(where, path, body, pid, requests=200, at_once=at_once))
                    timing = asyncio.run(load(where, path, body, pid, requests=requests, at_once=at_once))
                    found[f"{name} c{at_once}"] = timing.summary()
                    print(f"{name}, {at_once} at once: {timing.summary()}", flush=True)
    return found


def main() -> None:
    """Measures and prints, or is the model server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--pending", type=int, default=0)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--serve-model", type=int, metavar="PORT")
    options = parser.parse_args()
    if options.serve_model:
        uvicorn.run(model_server, port=options.serve_model, log_level="warning", lifespan="off")
    else:
        print(json.dumps(measure(options.facts, options.pending, options.requests)))


if __name__ == "__main__":
    main()
