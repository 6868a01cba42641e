"""The servers that are compared, each in processes of its own: bare vLLM, stock LoRA, ours, and our service over it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from inference.server import command
from knowledge.settings import Settings

READY_SECONDS = 240.0


@dataclass(frozen=True)
class Server:
    """A started server: its address, its processes, its log and the route that says when it is ready."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    health: str

    def wait(self) -> None:
        """Returns when it is ready. Raises `RuntimeError` with the end of its log when it is not in time."""
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(trust_env=False) as http:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    if http.get(self.url + self.health).is_success:
                        return
                except httpx.TransportError:
                    time.sleep(0.2)
        raise RuntimeError(f"{self.log.stem} did not start: {self.log.read_text()[-2000:]}")

    def tree(self) -> list[psutil.Process]:
        """The process and everything that it started."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Processor seconds used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.tree())

    def memory_mib(self) -> float:
        """Memory of its own (proportional set size: pages shared by a fork count once)."""
        return sum(process.memory_full_info().pss for process in self.tree()) / 2**20


@dataclass(frozen=True)
class Arm:
    """One way to ask. `servers` are the processes that it makes work, the one to ask last.

    `model` may hold several names with commas between: they take turns.
    """

    name: str
    servers: tuple[Server, ...]
    path: str
    model: str

    def body(self, question: str, number: int, tokens: int) -> dict[str, object]:
        """The numbered request's JSON: as `/ask` or as the OpenAI routes want it."""
        if self.path == "/ask":
            return {"question": question, "namespace": self.model, "version": 1, "max_tokens": tokens}
        models = self.model.split(",")
        messages = [{"role": "user", "content": question}]
        body = {"model": models[number % len(models)], "messages": messages, "max_tokens": tokens, "temperature": 0}
        return body if len(self.servers) > 1 else body | {"ignore_eos": True}


@contextmanager
def running(argv: list[str], env: dict[str, str], url: str, log: Path, health: str = "/health") -> Iterator[Server]:
    """Starts a server, which is not ready yet, and in the end stops it with all its children."""
    with log.open("wb") as stream:
        process = subprocess.Popen(argv, env=env, stdout=stream, stderr=subprocess.STDOUT)
    server = Server(url, process, log, health)
    try:
        yield server
    finally:
        left = server.tree() if server.process.poll() is None else []
        server.process.terminate()
        _, alive = psutil.wait_procs(left, timeout=20)
        for survivor in alive:
            survivor.kill()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ours(settings: Settings) -> tuple[list[str], dict[str, str], str]:
    """How our vLLM is started."""
    argv, env = command(settings, _environment())
    return argv, env, settings.replicas[0]


def stock(settings: Settings, *, lora: bool) -> tuple[list[str], dict[str, str], str]:
    """How vLLM starts with the same flags, without our module and our plugin; `lora` False: without adapters at all."""
    argv, env, url = ours(settings)
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *argv[3:]]
    env |= {"VLLM_PLUGINS": ""}
    if not lora:
        words = _without(words, "--max-loras", "--max-cpu-loras", "--max-lora-rank")
        words.remove("--enable-lora")
        del env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"]
    return words, env, url


def service(settings: Settings) -> tuple[list[str], dict[str, str], str]:
    """How our API is started, over the vLLM of these settings. Nobody listens at its broker: nothing is trained."""
    values = {
        f"ENGRAIN_{name.upper()}": str(getattr(settings, name))
        for name in ("data_folder", "base_model", "port", "inference_port", "broker_port")
    }
    return [sys.executable, "-m", "service"], _environment() | values, f"http://127.0.0.1:{settings.port}"


def load(server: Server, adapter: Path, name: str) -> None:
    """Loads an adapter under a name."""
    body = {"lora_name": name, "lora_path": str(adapter)}
    httpx.post(f"{server.url}/v1/load_lora_adapter", json=body, timeout=60, trust_env=False).raise_for_status()


def has_facade(server: Server) -> bool:
    """Whether our service offers the OpenAI routes."""
    reply = httpx.get(f"{server.url}/v1/models", timeout=10, trust_env=False)
    return reply.is_success


def _environment() -> dict[str, str]:
    """The caller's environment; bytecode is kept, else each start compiles vLLM again."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _without(words: list[str], *flags: str) -> list[str]:
    """The words without these flags and their values."""
    for flag in flags:
        at = words.index(flag)
        words = words[:at] + words[at + 2 :]
    return words
