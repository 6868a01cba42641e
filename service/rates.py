"""How many requests a key may send, counted in this process, or in Redis for all processes together."""

import math
import time
from typing import Any

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from knowledge.settings import Settings
from service.problems import ProblemError

log = structlog.get_logger()

AWAY_SECONDS = 5.0
"""For how long Redis is not asked after it failed; each process counts for itself meanwhile."""

REDIS_SECONDS = 0.5


class Rates:
    """Counts by key over a sliding minute. The embedded broker serves one API process: that one counts in memory."""

    def __init__(self, settings: Settings) -> None:
        most = settings.requests_per_minute
        self._limit = RateLimitItemPerMinute(most) if most else None
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._pool = _pool(settings.broker if settings.broker_url else "")
        self._shared = _shared(self._pool) if self._pool else None
        self._away_until = 0.0

    async def close(self) -> None:
        """Gives the connections back."""
        if self._pool is not None:
            await self._pool.aclose()

    async def count(self, key_id: str) -> None:
        """Raises the problem `too-many-requests`, with the seconds until one more is free."""
        if self._limit is None:
            return
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                await self._count(self._shared, self._limit, key_id)
            except StorageError as error:
                self._away_until = time.monotonic() + AWAY_SECONDS
                log.warning(
                    "Redis does not count requests; this process does", error=type(error.storage_error).__name__
                )
            else:
                return
        await self._count(self._here, self._limit, key_id)

    async def _count(
        self, limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItemPerMinute, key_id: str
    ) -> None:
        if await limiter.hit(limit, key_id):
            return
        free_at = (await limiter.get_window_stats(limit, key_id)).reset_time
        raise ProblemError(
            429,
            "too-many-requests",
            "Too many requests",
            f"A key may send {limit.amount} requests a minute.",
            retry_after_seconds=max(1, math.ceil(free_at - time.time())),
        )


def _pool(broker_url: str) -> ConnectionPool | None:
    if not broker_url.startswith(("redis://", "rediss://")):
        return None
    return ConnectionPool.from_url(broker_url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS)


def _shared(pool: ConnectionPool) -> SlidingWindowCounterRateLimiter:
    options: dict[str, Any] = {"connection_pool": pool}
    storage = RedisStorage(
        "async+redis://", wrap_exceptions=True, implementation="redispy", key_prefix="engrain-rates", **options
    )
    return SlidingWindowCounterRateLimiter(storage)
