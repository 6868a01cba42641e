"""The vLLM servers: which are healthy, how busy each is, and who is to take the next request."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import httpx

from inference.client import VllmClient
from knowledge.errors import Unavailable

FIRST_REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 30.0


class Replica:
    """One server, how many requests it has from us for each model, and how long it is left alone after a failure.

    `held` is the number of adapters that it had when we last looked.
    """

    def __init__(self, client: VllmClient) -> None:
        self.client = client
        self.asking: Counter[str] = Counter()
        self.held = 0
        self.failures = 0
        self.rests_until = 0.0

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return self.client.base_url

    @property
    def busy(self) -> int:
        """Requests of ours that it has not answered yet."""
        return self.asking.total()

    @property
    def rests(self) -> bool:
        """Whether it failed a moment ago. The rest doubles with each failure in a row, up to `LONGEST_REST_SECONDS`."""
        return time.monotonic() < self.rests_until

    @contextmanager
    def use(self, model: str) -> Iterator[VllmClient]:
        """The client, for one request to `model`: counted while it runs, and its outcome noted."""
        self.asking[model] += 1
        try:
            yield self.client
        except Unavailable:
            self.failures += 1
            rest = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** min(self.failures - 1, 10))
            self.rests_until = time.monotonic() + rest
            raise
        else:
            self.failures, self.rests_until = 0, 0.0
        finally:
            self.asking[model] -= 1


def connect(urls: Sequence[str], transport: httpx.AsyncBaseTransport | None = None) -> tuple[Replica, ...]:
    """A replica for each URL; nothing is sent yet."""
    return tuple(Replica(VllmClient(url, transport)) for url in urls)


def pick(replicas: Sequence[Replica], tried: Collection[Replica]) -> Replica | None:
    """The least busy healthy replica not tried yet. When all rest, the one to wake first: its rest is a guess."""
    left = [replica for replica in replicas if replica not in tried]
    return min(left, key=lambda each: (each.rests_until if each.rests else 0.0, each.busy), default=None)
