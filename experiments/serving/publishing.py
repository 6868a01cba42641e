"""A constant load on the service, with and without versions being published under it."""

import asyncio
import time
from dataclasses import dataclass, field

import httpx

from experiments.serving.arms import Arm
from experiments.serving.invented import Publisher
from experiments.serving.load import TIMEOUT_SECONDS, Taken, one, quantile


@dataclass
class Watch:
    """The answers of a constant load, the requests that failed, and between which moments each version became live."""

    taken: list[Taken] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    live_since: dict[int, tuple[float, float]] = field(default_factory=dict)

    def unnamed(self) -> int:
        """Answers that name no version, or one that was not live at any moment between question and answer."""
        return sum(not self._was_live(answer) for answer in self.taken)

    def _was_live(self, answer: Taken) -> bool:
        if answer.version not in self.live_since:
            return False
        later = [number for number in self.live_since if number > answer.version]
        began, _ = self.live_since[answer.version]
        _, replaced = self.live_since[min(later)] if later else (0.0, float("inf"))
        return began <= answer.asked + answer.seconds and replaced >= answer.asked

    def p99(self) -> float:
        """The 99th percentile of the waits, in seconds."""
        return quantile((answer.seconds for answer in self.taken), 0.99)


async def under_load(
    arm: Arm, watch: Watch, concurrency: int, tokens: int, first: int, work: asyncio.Task[None]
) -> None:
    """Asks all the time, so many at once, until the work is done."""
    number = first

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal number
        while not work.done():
            number += 1
            try:
                watch.taken.append(await one(http, arm, number, tokens, live=True))
            except (RuntimeError, httpx.HTTPError) as error:
                watch.failed.append(f"{type(error).__name__}: {error}")

    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        await asyncio.gather(*(client(http) for _ in range(concurrency)))
    await work


async def publish_under_load(
    arm: Arm, publisher: Publisher, *, publishes: int, concurrency: int, tokens: int, pause_seconds: float
) -> dict[str, float]:
    """Loads the arm for a while in quiet, then for as long as the publishes take; compares the waits."""
    quiet, busy = Watch(), Watch(live_since=publisher.live_since)

    async def publish_all() -> None:
        for _ in range(publishes):
            await publisher.publish()
            await asyncio.sleep(pause_seconds)

    started = time.monotonic()
    await under_load(arm, busy, concurrency, tokens, 10**6, asyncio.create_task(publish_all()))
    took = time.monotonic() - started
    await under_load(arm, quiet, concurrency, tokens, 2 * 10**6, asyncio.create_task(asyncio.sleep(took / 2)))
    return {
        "publishes": publishes,
        "seconds": round(took, 1),
        "answers": len(busy.taken),
        "failed": len(busy.failed),
        "unnamed": busy.unnamed(),
        "p99_seconds": round(busy.p99(), 3),
        "p99_quiet_seconds": round(quiet.p99(), 3),
        "p99_ratio": round(busy.p99() / quiet.p99(), 2),
    }
