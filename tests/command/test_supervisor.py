"""The supervisor, with small real processes for parts."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from command import supervisor as supervisor_module
from command.supervisor import Event, Moment, Part, StartFailed, Supervisor
from tests.command.processes import FAMILY, Crowd, script, until


def part(name: str, command: tuple[str, ...], *after: str, ready: Callable[[], bool] = lambda: True) -> Part:
    async def is_ready() -> bool:
        return ready()

    return Part(name, command, ready=is_ready, after=after, grace_seconds=1, start_seconds=30)


def once(name: str, code: str, *after: str) -> Part:
    return Part(name, (sys.executable, "-c", code), after=after)


@asynccontextmanager
async def supervised(folder: Path, *parts: Part) -> AsyncIterator[tuple[Supervisor, list[Event]]]:
    events: list[Event] = []
    found = Supervisor(parts, logs=folder / "logs", environment=os.environ, report=events.append)
    try:
        yield found, events
    finally:
        await found.stop()


async def seen(events: list[Event], name: str, moment: Moment, times: int = 1) -> None:
    async with asyncio.timeout(30):
        while sum(event.part == name and event.moment is moment for event in events) < times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_parts_start_after_what_they_need_and_stop_in_the_reverse_order(tmp_path: Path, crowd: Crowd) -> None:
    async def story() -> list[Event]:
        api, broker = part("api", crowd.command(), "store", "broker"), part("broker", crowd.command())
        async with supervised(tmp_path, once("store", "pass"), broker, api) as (supervisor, events):
            await supervisor.start()
            await asyncio.to_thread(crowd.wait_for, 2)
        return events

    told = [(event.part, event.moment) for event in asyncio.run(story())]
    assert told.index(("api", Moment.STARTING)) > told.index(("store", Moment.READY))
    assert told.index(("api", Moment.STARTING)) > told.index(("broker", Moment.READY))
    assert [name for name, moment in told if moment is Moment.STOPPED] == ["api", "broker"]
    assert crowd.alive() == []


def test_a_part_that_dies_comes_back_and_the_end_of_its_log_is_shown(tmp_path: Path, crowd: Crowd) -> None:
    async def story() -> list[Event]:
        talker = f"print('the last words', flush=True)\n{FAMILY}"
        async with supervised(tmp_path, part("worker", crowd.command(talker))) as (supervisor, events):
            await supervisor.start()
            await asyncio.to_thread(crowd.wait_for, 3)
            psutil.Process(supervisor.pids()["worker"]).children()[0].kill()
            await seen(events, "worker", Moment.READY, times=2)
            await asyncio.to_thread(crowd.wait_for, 3)
        return events

    died = next(event for event in asyncio.run(story()) if event.moment is Moment.DIED)
    assert "SIGKILL" in died.detail
    assert "the last words" in died.detail
    assert crowd.alive() == []


def test_a_killed_ward_leaves_nothing_behind_and_its_part_comes_back(tmp_path: Path, crowd: Crowd) -> None:
    async def story() -> None:
        async with supervised(
            tmp_path, part("vllm", crowd.command(FAMILY.replace(", start_new_session=True", "")))
        ) as (
            supervisor,
            events,
        ):
            await supervisor.start()
            first = {process.pid for process in await asyncio.to_thread(crowd.wait_for, 3)}
            os.kill(supervisor.pids()["vllm"], signal.SIGKILL)
            await seen(events, "vllm", Moment.READY, times=2)
            second = {process.pid for process in await asyncio.to_thread(crowd.wait_for, 3)}
            assert not first & second

    asyncio.run(story())
    assert crowd.alive() == []


def test_the_pause_before_a_restart_doubles_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE_SECONDS", 0.06)

    async def story() -> list[float]:
        brief = part("worker", (sys.executable, "-c", "import time; time.sleep(0.2)"))
        async with supervised(tmp_path, brief) as (supervisor, events):
            await supervisor.start()
            await seen(events, "worker", Moment.DIED, times=4)
        return [event.seconds for event in events if event.moment is Moment.DIED]

    assert asyncio.run(story())[:4] == [0.02, 0.04, 0.06, 0.06]


def test_a_part_that_ends_during_the_start_fails_it_with_the_end_of_its_log(tmp_path: Path, crowd: Crowd) -> None:
    broken = part("vllm", (sys.executable, "-c", "raise SystemExit('no chat template')"), ready=lambda: False)

    async def story() -> None:
        async with supervised(tmp_path, part("broker", crowd.command()), broken) as (supervisor, _):
            await supervisor.start()

    with pytest.raises(StartFailed, match=r"vllm ended with exit status 1(.|\n)*no chat template"):
        asyncio.run(story())
    assert crowd.alive() == []


def test_a_preparation_that_fails_keeps_the_rest_from_starting(tmp_path: Path, crowd: Crowd) -> None:
    async def story() -> None:
        parts = (once("base", "raise SystemExit(7)"), part("vllm", crowd.command(), "base"))
        async with supervised(tmp_path, *parts) as (supervisor, events):
            with pytest.raises(StartFailed, match="base ended with exit status 7"):
                await supervisor.start()
            assert ("vllm", Moment.STARTING) not in [(event.part, event.moment) for event in events]

    asyncio.run(story())


def test_a_part_that_is_never_ready_fails_the_start_in_time(tmp_path: Path, crowd: Crowd) -> None:
    slow = Part(
        "api", crowd.command(), ready=part("", (), ready=lambda: False).ready, grace_seconds=1, start_seconds=0.3
    )

    async def story() -> None:
        async with supervised(tmp_path, slow) as (supervisor, _):
            await supervisor.start()

    with pytest.raises(StartFailed, match="api was not ready after 0 s"):
        asyncio.run(story())
    assert crowd.alive() == []


def test_each_start_begins_a_new_log_and_keeps_the_former_ones(tmp_path: Path) -> None:
    async def story(word: str) -> None:
        async with supervised(tmp_path, once("store", f"print({word!r})")) as (supervisor, _):
            await supervisor.start()

    for word in ("first", "second", "third"):
        asyncio.run(story(word))
    logs = tmp_path / "logs"
    assert [(logs / name).read_text().strip() for name in ("store.log", "store.log.1", "store.log.2")] == [
        "third",
        "second",
        "first",
    ]


UP = """
import asyncio, os, pathlib, sys
from command.stack import run
from command.supervisor import Part, Supervisor

async def yes():
    return True

async def up():
    command = (sys.executable, "-c", sys.argv[3], sys.argv[1])
    parts = [Part(name, command, ready=yes, grace_seconds=1) for name in ("worker", "vllm")]
    supervisor = Supervisor(parts, logs=pathlib.Path(sys.argv[2]), environment=os.environ, report=lambda event: None)
    try:
        await supervisor.start()
        print("ready", flush=True)
        await supervisor.watch()
    finally:
        await supervisor.stop()
    return 0

sys.exit(run(up()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_no_orphan_is_left_whatever_signal_ends_it(number: signal.Signals, tmp_path: Path, crowd: Crowd) -> None:
    with script(UP, "up-" + crowd.token, str(tmp_path), FAMILY.replace("sys.argv[1]", repr(crowd.token))) as up:
        assert up.stdout
        assert up.stdout.readline() == "ready\n"
        crowd.wait_for(4)
        up.send_signal(number)
        assert up.wait(30) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    crowd.wait_for(0)
    assert until(lambda: not any("up-" + crowd.token in line for line in command_lines()))


def command_lines() -> list[str]:
    lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


def test_watching_uses_no_processor_time(tmp_path: Path, crowd: Crowd) -> None:
    async def story() -> float:
        async with supervised(tmp_path, part("worker", crowd.command())) as (supervisor, _):
            await supervisor.start()
            before = time.process_time()
            await asyncio.sleep(0.5)
            return time.process_time() - before

    assert asyncio.run(story()) < 0.02
