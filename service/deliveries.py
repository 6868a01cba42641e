"""Sends what webhooks wait for: signed, to public addresses only, tried again until it is taken or given up.

The store has a row for each delivery, written with its event, and says who may try it: any number of API processes
share the work. A process that dies in an attempt leaves the row, which is due again when its lease has run out.
"""

import asyncio
import ipaddress
import json
import socket
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook as Signature
from yarl import URL

from knowledge.errors import EngrainError
from knowledge.settings import Settings
from knowledge.store import Store, now, webhooks
from knowledge.store.webhooks import Parcel
from knowledge.webhooks import Attempt, DeliveryStatus
from service.threads import in_thread

log = structlog.get_logger()

LOOK_SECONDS = 2.0
"""One indexed query each time; what comes later than this is on the deliveries' own clock."""
AT_ONCE = 4
"""Deliveries to one webhook at once; a slow receiver holds up nobody else."""
LEASE_SECONDS = 60.0
"""Beyond an attempt's own time limit."""


class PrivateAddress(OSError):
    """The URL leads into a private network, to this machine, or to no machine at all."""


class Deliveries:
    """The sender of this process."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    async def run(self) -> None:
        """Sends what is due until cancelled, each webhook's deliveries in a task of their own."""
        running: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                running = {webhook_id: task for webhook_id, task in running.items() if not task.done()}
                try:
                    for webhook_id in await in_thread(webhooks.due, self._store):
                        if webhook_id not in running:
                            running[webhook_id] = asyncio.create_task(self._send_due(webhook_id))
                except EngrainError as error:
                    log.warning("could not look for deliveries", error=str(error))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def _send_due(self, webhook_id: str) -> None:
        lease_seconds = self._settings.webhook_timeout_seconds + LEASE_SECONDS
        try:
            while parcels := await in_thread(
                webhooks.take, self._store, webhook_id, most=AT_ONCE, lease_seconds=lease_seconds
            ):
                await asyncio.gather(*(self._send(parcel) for parcel in parcels))
        except EngrainError as error:
            log.warning("deliveries stopped; they are tried again", webhook_id=webhook_id, error=str(error))
        except Exception:
            log.exception("deliveries stopped; they are tried again", webhook_id=webhook_id)

    async def _send(self, parcel: Parcel) -> None:
        attempt = await send(
            parcel,
            timeout_seconds=self._settings.webhook_timeout_seconds,
            private_allowed=self._settings.webhook_private_addresses,
        )
        settled = await in_thread(
            webhooks.settle,
            self._store,
            parcel.delivery,
            attempt,
            most_attempts=self._settings.webhook_attempts,
            first_retry_seconds=self._settings.webhook_first_retry_seconds,
        )
        if settled.status == DeliveryStatus.GIVEN_UP:
            log.warning("delivery given up", delivery_id=settled.id, webhook_id=settled.webhook_id, error=settled.error)


async def send(parcel: Parcel, *, timeout_seconds: float, private_allowed: bool) -> Attempt:
    """One attempt. The name is resolved once, and what was checked is what is connected to; no redirect is followed."""
    body = json.dumps(parcel.delivery.body, separators=(",", ":"))
    try:
        url = URL(parcel.url)
        async with asyncio.timeout(timeout_seconds):
            resolver = _Resolved(await resolve(url, private_allowed=private_allowed))
            connector = aiohttp.TCPConnector(resolver=resolver, force_close=True, use_dns_cache=False)
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(url, data=body, headers=_headers(parcel, body), allow_redirects=False) as response,
            ):
                return _attempt(response.status)
    except PrivateAddress as error:
        return Attempt(None, str(error), final=True)
    except TimeoutError:
        return Attempt(None, f"No answer within {timeout_seconds:g} s.")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Attempt(None, f"{type(error).__name__}: {error}"[:500])


async def resolve(url: URL, *, private_allowed: bool) -> list[ResolveResult]:
    """The host's addresses. Raises `PrivateAddress` when one of them is not public, `OSError` when there is none."""
    host, port = url.raw_host or "", url.port or 0
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for _, _, _, _, address in found:
        if not private_allowed and not is_public(str(address[0])):
            raise PrivateAddress(
                f"{host} leads to the private address {address[0]}; ENGRAIN_WEBHOOK_PRIVATE_ADDRESSES allows such."
            )
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=family,
            proto=proto,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for family, _, proto, _, address in found
    ]


def is_public(address: str) -> bool:
    """Whether anyone on the internet reaches the address, the IPv4 address inside an IPv6 one included."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inside = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inside is None and parsed in _NAT64:
            inside = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inside is not None and not is_public(str(inside)):
            return False
    return parsed.is_global and not parsed.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class _Resolved(AbstractResolver):
    """What was resolved and checked before; nothing is asked again."""

    addresses: list[ResolveResult]

    async def resolve(self, *_host: object, **_family: object) -> list[ResolveResult]:
        """The same addresses for every name: there is one."""
        return self.addresses

    async def close(self) -> None:
        """There is nothing to close."""


def _headers(parcel: Parcel, body: str) -> dict[str, str]:
    """Those of the Standard Webhooks specification; the id stays the same however often the delivery is tried."""
    at = now()
    return {
        "Content-Type": "application/json",
        "User-Agent": "engrain",
        "webhook-id": parcel.delivery.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Signature(parcel.secret).sign(parcel.delivery.id, at, body),
    }


def _attempt(status: int) -> Attempt:
    attempt = Attempt(status, None)
    if attempt.succeeded:
        return attempt
    return Attempt(status, "Redirects are not followed." if 300 <= status < 400 else f"The receiver answered {status}.")
