"""The whole of Engrain running on this machine, for as long as a `with` lasts."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from command.address import api_url
from command.machine import Finding, State, examine, ports
from command.ownership import ownership
from command.parts import environment_of, parts_of
from command.readiness import broker_answers, http_answers
from command.screen import Screen
from command.supervisor import Supervisor
from knowledge.errors import InvalidSettings
from knowledge.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(InvalidSettings):
    """The machine or the settings do not allow it; nothing was started. Holds what to do next."""


@dataclass(frozen=True)
class Stack:
    """What runs. `start_seconds` from the first process to the last part's readiness."""

    url: str
    supervisor: Supervisor
    start_seconds: float


@asynccontextmanager
async def running(
    settings: Settings, screen: Screen, *, longest_pause_seconds: float | None = None
) -> AsyncIterator[Stack]:
    """Checks, starts everything, and stops everything at the end, however that comes.

    What dies again and again comes back after pauses that double up to `longest_pause_seconds` (the supervisor's own).
    Raises `CannotStart` and `Conflict` before anything starts, `StartFailed` when a part does not come up.
    """
    url = api_url(settings)
    with ownership(settings.data_folder, url) as lock:
        await _check(settings, screen)
        (settings.data_folder / "broker").mkdir(parents=True, exist_ok=True)
        supervisor = Supervisor(
            parts_of(settings),
            logs=settings.data_folder / "logs",
            environment=environment_of(settings),
            report=screen.report,
            keep_open=(lock,),
            longest_pause_seconds=longest_pause_seconds,
        )
        began = time.monotonic()
        try:
            with screen.lines():
                await supervisor.start()
            yield Stack(url, supervisor, time.monotonic() - began)
        finally:
            _second_signal_kills(supervisor)
            await supervisor.stop()


def run(story: Coroutine[Any, Any, int], *, interrupted: int = 0) -> int:
    """Runs a story to its end and returns its exit status; a signal cancels it, so that its `with` blocks clean up.

    `interrupted` is the exit status of a story that a signal ended.
    """
    return asyncio.run(_until_signalled(story, interrupted))


async def _until_signalled(story: Coroutine[Any, Any, int], interrupted: int) -> int:
    task = asyncio.ensure_future(story)
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return interrupted


def _second_signal_kills(supervisor: Supervisor) -> None:
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, supervisor.kill)


async def _check(settings: Settings, screen: Screen) -> None:
    findings = [*examine(settings), *ports(settings), *await _neighbours(settings)]
    wrong = [finding for finding in findings if finding.state is not State.OK]
    screen.findings(wrong)
    problems = [finding for finding in wrong if finding.state is State.PROBLEM]
    if problems:
        raise CannotStart(f"Nothing was started: {'; '.join(f'{each.name}: {each.detail}' for each in problems)}.")


async def _neighbours(settings: Settings) -> list[Finding]:
    """What the settings say runs elsewhere, and does not answer."""
    findings = []
    if settings.broker_url and not await broker_answers(settings.broker):
        remedy = "Start it, or unset ENGRAIN_BROKER_URL for the embedded one."
        findings.append(Finding("broker", State.PROBLEM, "the one of ENGRAIN_BROKER_URL does not answer PING", remedy))
    if settings.inference_urls:
        for url in (replica.removeprefix("dns+") for replica in settings.replicas):
            if not await http_answers(f"{url}/health"):
                remedy = "Start it, or unset ENGRAIN_INFERENCE_URLS for an embedded vLLM."
                findings.append(Finding("vllm", State.PROBLEM, f"{url}/health does not answer", remedy))
    return findings
