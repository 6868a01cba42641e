"""Where the vLLM servers are: each URL is one, and `dns+http://name:port` is one for every address of the name.

So a deployment can start and stop replicas without telling anybody: Docker's own DNS names the running ones, and
Kubernetes' does for a headless service.
"""

import asyncio
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog

log = structlog.get_logger()

BY_NAME = "dns+"


def fixed(urls: Sequence[str]) -> list[str]:
    """Those of the URLs that are servers themselves."""
    return [url for url in urls if not url.startswith(BY_NAME)]


async def discover(urls: Sequence[str]) -> list[str] | None:
    """The URLs of all servers now, each once; None when a name server gives no answer: then nothing is known."""
    found = dict.fromkeys(fixed(urls))
    for url in urls:
        if url.startswith(BY_NAME):
            addresses = await _addresses(url.removeprefix(BY_NAME))
            if addresses is None:
                return None
            found |= dict.fromkeys(addresses)
    return list(found)


async def _addresses(url: str) -> list[str] | None:
    parts = urlsplit(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        log.warning("could not look for the model servers", name=parts.hostname, error=str(error))
        return None
    hosts = {str(address[0]): family for family, _, _, _, address in found}
    return [
        f"{parts.scheme}://{f'[{host}]' if family == socket.AF_INET6 else host}:{parts.port or 80}"
        for host, family in sorted(hosts.items())
    ]
