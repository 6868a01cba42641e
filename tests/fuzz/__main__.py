"""Fuzzes the running service: `make fuzz`, or `python -m tests.fuzz --help`.

Starts a real store, broker and API in processes of their own, without a model server and a worker, and lets
Schemathesis send what the OpenAPI text allows and what it forbids, with every check. `--url` fuzzes a service that runs
already. The last line is JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from command.address import api_url
from command.apart import free_ports
from command.parts import environment_of, parts_of
from command.supervisor import Supervisor
from knowledge.keys import Scope
from knowledge.settings import Settings
from knowledge.store import Store, keys

PARTS = ("store", "broker", "api")
KEY_SECONDS = 3.0
"""Within two seconds the service knows that there is a key now."""
NEEDS_A_MODEL = (
    "POST /ask",
    "POST /v1/chat/completions",
    "GET /readyz",
    "POST /namespaces/{namespace}/versions/{number}/activate",
)
"""These answer 503 when no model server does. That is documented, and right here: there is none."""


def main() -> int:
    """Schemathesis's exit status: 0 when no check failed."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="engrain-fuzz-") as name:
        folder = Path(name)
        if arguments.url:
            return fuzz(arguments.url, arguments, folder, has_model=True)
        return asyncio.run(_with_service(arguments, folder))


def fuzz(url: str, arguments: argparse.Namespace, folder: Path, *, has_model: bool) -> int:
    """Runs Schemathesis, says what it counted in one line of JSON, and returns its exit status."""
    hooks = f'hooks = "{Path(__file__).parent / "hooks.py"}"\n'
    key = f'[auth.openapi.key]\nbearer = "{arguments.bearer}"\n' if arguments.bearer else ""
    (folder / "schemathesis.toml").write_text(hooks + key + ("" if has_model else _no_model()))
    report = folder / "report.ndjson"
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(folder / "schemathesis.toml"),
        "run",
    ]
    command += [
        f"{url}/openapi.json",
        "--checks",
        "all",
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--mode",
        "all",
    ]
    command += ["--max-examples", str(arguments.examples), "--continue-on-failure", "--request-timeout", "60"]
    command += ["--report", "ndjson", "--report-ndjson-path", str(report), "--generation-database", "none"]
    command += ["--no-color", "--suppress-health-check", "too_slow"]
    if arguments.seed is not None:
        command += ["--seed", str(arguments.seed)]
    status = subprocess.run(command, cwd=folder, check=False).returncode
    print(json.dumps(summary(report.read_text().splitlines()) | {"exit_status": status}))
    return status


def summary(lines: Iterable[str]) -> dict[str, Any]:
    """What Schemathesis's report (a JSON object a line) counts.

    Requests, checks of their answers, checks that failed, and what could not be checked, for instance a broken answer.
    """
    cases, errors, checks = 0, 0, Counter[str]()
    for line in lines:
        event = json.loads(line)
        errors += "NonFatalError" in event or "FatalError" in event
        recorder = event.get("ScenarioFinished", {}).get("recorder", {})
        cases += len(recorder.get("interactions", {}))
        checks.update(check["status"] for found in recorder.get("checks", {}).values() for check in found)
    return {"cases": cases, "checks": checks.total(), "failures": checks["failure"], "errors": errors}


async def _with_service(arguments: argparse.Namespace, folder: Path) -> int:
    port, broker_port, inference_port = free_ports(3)
    settings = Settings(
        data_folder=folder / "data",
        port=port,
        broker_port=broker_port,
        inference_port=inference_port,  # nobody listens there
        store_url=arguments.store_url,
        webhook_attempts=0,  # what is made up here must not reach anyone
        requests_per_minute=0,
    )
    (settings.data_folder / "broker").mkdir(parents=True)
    parts = [part for part in parts_of(settings) if part.name in PARTS]
    supervisor = Supervisor(
        parts, logs=folder / "logs", environment=environment_of(settings), report=lambda _event: None
    )
    try:
        await supervisor.start()
        arguments.bearer = _admin_key(settings)
        await asyncio.sleep(KEY_SECONDS)
        cancelling = asyncio.create_task(_cancel_jobs(api_url(settings), arguments.bearer))
        status = await asyncio.to_thread(fuzz, api_url(settings), arguments, folder, has_model=False)
        cancelling.cancel()
        return status
    finally:
        await supervisor.stop()


def _admin_key(settings: Settings) -> str:
    """The fuzzer's own: the first key that it made up would otherwise close the door behind it."""
    store = Store(settings.store)
    key, secret = keys.create(store, "fuzzer", [Scope.ADMIN])
    store.close()
    os.environ["FUZZ_KEY_ID"] = key.id
    return secret


async def _cancel_jobs(url: str, bearer: str | None) -> None:
    """Nobody claims the jobs here, and a queued job's events would be followed for ever."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                for job in (await client.get("/jobs", params={"status": "queued"})).json().get("jobs", []):
                    await client.post(f"/jobs/{job['id']}/cancel")
            await asyncio.sleep(0.5)


def _no_model() -> str:
    """Schemathesis's configuration: a documented 503 is the right answer of what needs a model."""
    return "\n".join(
        f"""
[[operations]]
include-name = "{name}"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]"""
        for name in NEEDS_A_MODEL
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--url", help="a service that runs already, instead of one without a model server")
    parser.add_argument("--store-url", default="", help="SQLAlchemy URL of an empty store; a SQLite file unless given")
    parser.add_argument("--examples", type=int, default=50, help="most examples for each operation and phase")
    parser.add_argument("--seed", type=int, help="repeats a run")
    parser.add_argument(
        "--bearer", default=os.environ.get("FUZZ_BEARER"), help="API key for --url; also from FUZZ_BEARER"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
