"""Whether a part does its work yet, asked over its own protocol. Never raises: what does not answer is not ready."""

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

ANSWER_SECONDS = 5.0


async def broker_answers(url: str) -> bool:
    """Whether the broker answers PING."""
    client = Redis.from_url(url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS)
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
    finally:
        await client.aclose()


async def http_answers(url: str) -> bool:
    """Whether GET gives 200. Proxies of the environment are not used: these are neighbours."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as client:
            return (await client.get(url)).status_code == 200
    except (httpx.HTTPError, OSError):
        return False


async def check_passes(api: str, check: str) -> bool:
    """Whether the API's `/readyz` says `ok` of one check: `store`, `broker`, `worker` or `inference`."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            found = (await client.get(f"{api}/readyz")).json()
    except (httpx.HTTPError, OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("checks", {}).get(check) == "ok"
