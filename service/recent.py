"""What this process answered lately, answer by answer: enough to say how it goes now, and no more is kept."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from threading import Lock

from inference.answer import Answer
from knowledge.keys import Caller

MINUTES = 15
MOST = 20_000
"""Answers kept; when there are more in `MINUTES`, the time looked at is shorter."""


@dataclass(frozen=True)
class Lately:
    """The answers of the last `minutes`: `by_minute` oldest first, times in seconds, None where there was no answer."""

    minutes: float
    by_minute: tuple[int, ...]
    by_source: dict[str, int]
    median_seconds: float | None
    slow_seconds: float | None
    """95 of 100 answers took no longer."""

    @property
    def answers(self) -> int:
        """How many there were."""
        return sum(self.by_source.values())


@dataclass(frozen=True)
class _Said:
    at: float
    namespace: str
    source: str
    seconds: float


class Recent:
    """The last answers of this process, whoever asked; each caller is told of those in its namespaces."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._said: deque[_Said] = deque(maxlen=MOST)
        self._lock = Lock()

    def note(self, answer: Answer) -> None:
        """Adds an answer that was just given."""
        with self._lock:
            self._said.append(_Said(self._clock(), answer.namespace, answer.source, answer.seconds))

    def look(self, caller: Caller) -> Lately:
        """How it goes, as far as the caller sees."""
        now = self._clock()
        with self._lock:
            began = self._said[0].at if len(self._said) == MOST else self._since
            said = [each for each in self._said if each.at >= now - 60 * MINUTES and caller.sees(each.namespace)]
        by_minute = Counter(int((now - each.at) // 60) for each in said)
        seconds = sorted(each.seconds for each in said)
        return Lately(
            minutes=min(MINUTES, (now - began) / 60),
            by_minute=tuple(by_minute[minute] for minute in reversed(range(MINUTES))),
            by_source=dict(Counter(each.source for each in said)),
            median_seconds=median(seconds) if seconds else None,
            slow_seconds=seconds[-(-95 * len(seconds) // 100) - 1] if seconds else None,
        )
