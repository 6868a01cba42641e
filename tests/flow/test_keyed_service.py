"""The API as a process of its own, before and after its first key: who reaches it, and what the commands then need."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from command.apart import free_ports
from knowledge.store.schema import upgrade

pytestmark = pytest.mark.flow

LONGEST_STALENESS_SECONDS = 2.5


@dataclass
class Service:
    """It listens on every address. `elsewhere` is its address as other machines see it."""

    url: str
    elsewhere: str
    log: Path
    environment: dict[str, str]

    def engrain(self, *words: str, key: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command that finds the service by the settings."""
        command = [str(Path(sys.executable).parent / "engrain"), *words]
        environment = self.environment | ({"ENGRAIN_API_KEY": key} if key else {})
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    port, nobody, nothing = free_ports(3)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ENGRAIN_")}
    environment = inherited | {
        "ENGRAIN_DATA_FOLDER": str(tmp_path),
        "ENGRAIN_HOST": "0.0.0.0",
        "ENGRAIN_PORT": str(port),
        "ENGRAIN_BROKER_PORT": str(nobody),
        "ENGRAIN_INFERENCE_PORT": str(nothing),
        "PYTHONUNBUFFERED": "1",
    }
    upgrade(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "service"], env=environment, stdout=log, stderr=log)
    found = Service(f"http://127.0.0.1:{port}", f"http://{_own_address()}:{port}", tmp_path / "log", environment)
    deadline = time.monotonic() + 60
    while not _answers(found.url) and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        yield found
    finally:
        process.terminate()
        process.wait(20)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.1", 9))  # sends nothing: tells which of our addresses would be used
        return str(probe.getsockname()[0])


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _code(url: str, **headers: str) -> str:
    response = httpx.get(f"{url}/facts", headers=headers, trust_env=False)
    return str(response.json().get("code", response.status_code))


def test_only_this_machine_is_served_until_there_is_a_key_and_then_only_with_it(service: Service) -> None:
    assert "only this machine is served" in service.log.read_text()
    assert _code(service.url) == "200"
    assert _code(service.elsewhere) == "no-key-yet"
    assert _code(service.url, **{"X-Forwarded-For": "127.0.0.1"}) == "no-key-yet"
    assert _code(service.url, Host="engrain.example") == "no-key-yet"
    assert service.engrain("facts").returncode == 0

    secret = service.engrain("keys", "create", "root", "--scope", "admin").stdout.strip()
    time.sleep(LONGEST_STALENESS_SECONDS)
    assert [_code(url) for url in (service.url, service.elsewhere)] == ["key-missing"] * 2
    bearer = {"Authorization": f"Bearer {secret}"}
    assert [_code(url, **bearer) for url in (service.url, service.elsewhere)] == ["200"] * 2

    refused = service.engrain("facts")
    assert refused.returncode == 1 and "A key is needed" in refused.stderr
    for words in (("add", "Ada Quill hums."), ("facts",), ("jobs",), ("versions",), ("audit",)):
        assert service.engrain(*words, key=secret).returncode == 0, words
    assert "taught" in service.engrain("audit", key=secret).stdout

    limited = service.engrain("keys", "create", "shop", "-n", "shop", "--url", service.url, key=secret).stdout.strip()
    assert "Ada Quill" not in service.engrain("facts", key=limited).stdout
    listed = service.engrain("keys", "list", key=secret).stdout
    key_id = next(line.split()[0] for line in listed.splitlines() if "shop" in line)
    assert service.engrain("keys", "revoke", key_id).returncode == 0
    time.sleep(LONGEST_STALENESS_SECONDS)
    assert _code(service.url, Authorization=f"Bearer {limited}") == "key-invalid"
    logged = service.log.read_text()
    assert secret not in logged and limited not in logged
