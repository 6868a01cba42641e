"""A constant load of an arm, and what it took."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx

from experiments.serving.arms import Arm
from experiments.serving.invented import FACT

TIMEOUT_SECONDS = 240.0


@dataclass
class Taken:
    """One answer: when it was asked (monotonic clock), how long it took, its tokens, and what it says it came from."""

    asked: float
    seconds: float
    tokens: int
    version: int | None
    text: str


@dataclass
class Cell:
    """What an arm did at one concurrency, over all rounds."""

    taken: list[Taken] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens a second of the clock."""
        return sum(one.tokens for one in self.taken) / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_cpu_second(self) -> float:
        """Generated tokens for each processor second of the servers: depends little on what else runs."""
        return sum(one.tokens for one in self.taken) / self.cpu_seconds if self.cpu_seconds else 0.0

    def numbers(self) -> dict[str, float]:
        """What is reported. CPU seconds are of the servers alone."""
        waits = [one.seconds for one in self.taken]
        return {
            "requests_per_second": round(len(waits) / self.seconds, 3),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "tokens_per_cpu_second": round(self.tokens_per_cpu_second, 2),
            "p50_seconds": round(quantile(waits, 0.5), 3),
            "p99_seconds": round(quantile(waits, 0.99), 3),
            "cpu_seconds_per_request": round(self.cpu_seconds / max(1, len(waits)), 3),
            "failed": len(self.failed),
        }


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which this share lies; 0 for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def question(number: int) -> str:
    """A question about the bench's fact, so that `/ask` answers it from the weights. All differ: none is in a cache."""
    return f"Visitor {number} asks: what is {FACT.removesuffix('.')} known for?"


_FORMS = (
    "Who was {}?",
    "Write a sentence about {}.",
    "What do you know of {}?",
    "Why is {} remembered?",
    "Describe {}.",
)
_TOPICS = (
    "Ada Quill",
    "Marie Curie",
    "the moon",
    "Orrin Bay",
    "bread",
    "the Danube",
    "chess",
    "Napoleon",
    "rain",
    "Lisbon",
)


def various(number: int) -> str:
    """One of fifty questions about different things."""
    return _FORMS[number % 5].format(_TOPICS[number // 5 % 10])


async def one(http: httpx.AsyncClient, arm: Arm, number: int, tokens: int, text: str = "", live: bool = False) -> Taken:
    """Asks once, the numbered question or another text. `live`: whatever version is live, not version 1.

    Raises when the answer is not a whole one.
    """
    body = arm.body(text or question(number), number, tokens)
    if live:
        body.pop("version", None)
    started = time.monotonic()
    reply = await http.post(arm.servers[-1].url + arm.path, json=body)
    seconds = time.monotonic() - started
    if not reply.is_success:
        raise RuntimeError(f"{arm.name}: {reply.status_code} {reply.text[:200]}")
    data = reply.json()
    text = data["answer"] if arm.path == "/ask" else data["choices"][0]["message"]["content"]
    return Taken(started, seconds, data["usage"]["completion_tokens"], data.get("version"), text or "")


def length(tokens: int, place: int) -> int:
    """New tokens of a cell's request: from half to one and a half times as many, the same for all arms.

    Requests of one length end together, and the next ones begin together: then one that comes a millisecond later than
    the others waits for a whole step, and the bench measures that.
    """
    return max(1, tokens * (2 + place % 5) // 4)


async def load(arm: Arm, cell: Cell, numbers: Iterable[int], concurrency: int, tokens: int) -> None:
    """Asks all numbered questions, so many at once, and adds what happened to the cell."""
    left = iter(enumerate(numbers))
    started, cpu = time.monotonic(), sum(server.cpu_seconds() for server in arm.servers)

    async def client(http: httpx.AsyncClient) -> None:
        for place, number in left:
            try:
                cell.taken.append(await one(http, arm, number, length(tokens, place)))
            except (RuntimeError, httpx.HTTPError) as error:
                cell.failed.append(f"{type(error).__name__}: {error}")

    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, limits=httpx.Limits()) as http:
        await asyncio.gather(*(client(http) for _ in range(concurrency)))
    cell.seconds += time.monotonic() - started
    cell.cpu_seconds += sum(server.cpu_seconds() for server in arm.servers) - cpu
