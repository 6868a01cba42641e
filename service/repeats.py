"""Repeats of a request that is still running wait for it here, where they hold no thread and no lock of the store."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from knowledge.errors import KeyInUse
from knowledge.store.idempotency import WAIT_SECONDS


class Repeats:
    """The Idempotency-Keys of the requests that this process carries out now."""

    def __init__(self) -> None:
        self._running: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._users: defaultdict[str, int] = defaultdict(int)

    @asynccontextmanager
    async def alone(self, key: str | None, wait_seconds: float = WAIT_SECONDS) -> AsyncIterator[None]:
        """Holds the key, if there is one. Raises `KeyInUse` when another request holds it for `wait_seconds`.

        Other processes are kept apart by the store's unique constraint.
        """
        if key is None:
            yield
            return
        self._users[key] += 1
        try:
            try:
                await asyncio.wait_for(self._running[key].acquire(), wait_seconds)
            except TimeoutError as error:
                raise KeyInUse("A request with this Idempotency-Key is still running. Send it again later.") from error
            try:
                yield
            finally:
                self._running[key].release()
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._running[key], self._users[key]
