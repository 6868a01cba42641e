"""One look at the parts for all who ask within a second: `/readyz` is open to all, and a look costs a token."""

import asyncio
import time
from collections.abc import Callable, Coroutine

SECONDS = 1.0


class Readiness:
    """What each part said, by its name: `ok`, or the reason why not."""

    def __init__(self) -> None:
        self._look: asyncio.Task[dict[str, str]] | None = None
        self._until = 0.0

    async def checks(self, look: Callable[[], Coroutine[None, None, dict[str, str]]]) -> dict[str, str]:
        """What the look that is under way, or was less than a second ago, sees; a new one when there is none."""
        if self._look is None or (self._look.done() and time.monotonic() >= self._until):
            self._look, self._until = asyncio.create_task(look()), time.monotonic() + SECONDS
        return await asyncio.shield(self._look)
