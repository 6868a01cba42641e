"""Makes the servers hold what the store wants: load, warm, check; unload in the safe order.

Adapters that vLLM loads at run time vanish when it restarts, and belong to one replica. So the store is the truth and
`reconcile`, called every few seconds, makes `GET /v1/models` of every replica agree with it. A name stands for one
immutable folder for ever: vLLM's prefix cache is keyed by name and path, and the same name again would bring back old
answers (vllm#42125). Files are not touched here: whoever deletes them does so well after the name is gone, because
vLLM may read an evicted adapter again in the middle of a step and die of it (SkyRL#1188).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from inference import discovery
from inference import replicas as servers
from inference.client import Message
from inference.effect import check_effect
from inference.metrics import LOAD_SECONDS, LOADS
from inference.replicas import Replica
from knowledge import faults, tracing
from knowledge.adapters import Manifest, Version, verify_manifest
from knowledge.errors import EngrainError, Unavailable

UNWANTED_SECONDS = 60.0
"""How long an adapter must have been unwanted before `reconcile` unloads it.

A candidate's row and its load race with our reading of both, and a rolled-back version may be asked for again.
"""

DRAIN_SECONDS = 30.0

_WARM_UP: list[Message] = [{"role": "user", "content": "Hello?"}]


def verify(folder: str | Path) -> Manifest:
    """Checks every byte of an adapter's folder against its manifest; 0.1 s for 40 MB. Raises `CorruptAdapter`."""
    return verify_manifest(Path(folder))


@dataclass(frozen=True)
class Report:
    """What `reconcile` did: pairs of a server's URL and an adapter, or the reason."""

    loaded: tuple[tuple[str, str], ...] = ()
    unloaded: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything was loaded or unloaded."""
        return bool(self.loaded or self.unloaded)

    def __add__(self, other: "Report") -> "Report":
        return Report(self.loaded + other.loaded, self.unloaded + other.unloaded, self.failed + other.failed)


class Replicas:
    """The vLLM servers as one: loads on each, asks the least busy. Belongs to the event loop that first uses it."""

    def __init__(self, urls: Sequence[str], transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.each = servers.connect(discovery.fixed(urls), transport)
        self._urls, self._transport = tuple(urls), transport
        self._left: list[Replica] = []
        self._loading: dict[tuple[str, str], asyncio.Lock] = {}
        self._verified: set[str] = set()
        self._unwanted_since: dict[tuple[str, str], float] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.gather(*(replica.client.close() for replica in (*self.each, *self._left)))

    async def discover(self) -> None:
        """Looks where the servers are now, if a name stands for them; those that stay keep what is known of them.

        When the name server gives no answer, all stay.
        """
        if len(discovery.fixed(self._urls)) == len(self._urls):
            return
        urls = await discovery.discover(self._urls)
        if urls is None:
            return
        known = {replica.url: replica for replica in self.each}
        new = {each.url: each for each in servers.connect([url for url in urls if url not in known], self._transport)}
        self.each = tuple((known | new)[url] for url in urls)
        self._left += [replica for url, replica in known.items() if url not in urls]
        idle = [replica for replica in self._left if not replica.busy]
        self._left = [replica for replica in self._left if replica.busy]
        await asyncio.gather(*(replica.client.close() for replica in idle))

    async def ensure(self, version: Version, questions: Sequence[str] = ()) -> None:
        """Loads the version on every replica that is up, warms it, and proves that it changes answers.

        A replica that is down does not stop a publish: it is given the version when it is back. Raises `Unavailable`
        when all are down, `InjectionFailed` when the adapter changes nothing, `CorruptAdapter` when its files are not
        what was published, `Conflict` or `NotFound` when a server refuses it.
        """
        await self.discover()

        async def one(replica: Replica) -> None:
            await self.bring(replica, version)
            with tracing.span("check effect", replica=replica.url), replica.use(version.adapter) as client:
                await check_effect(client, version.adapter, questions)

        each = self.each
        outcomes = await asyncio.gather(*(one(replica) for replica in each), return_exceptions=True)
        errors = [outcome for outcome in outcomes if outcome is not None]
        for error in errors:
            if not isinstance(error, Unavailable):
                raise error
        if len(errors) == len(each):
            raise errors[0] if errors else Unavailable("No model server is configured.")

    async def loaded(self) -> dict[str, dict[str, str] | None]:
        """For each server's URL, the adapters it holds and their paths; None for a server that does not answer."""

        async def one(replica: Replica) -> dict[str, str] | None:
            try:
                with replica.use("") as client:
                    return await client.adapters()
            except Unavailable:
                return None

        found = await asyncio.gather(*(one(replica) for replica in self.each))
        return {replica.url: names for replica, names in zip(self.each, found, strict=True)}

    async def unload(self, adapter: str) -> None:
        """Takes an adapter from every replica that is up, after our own requests to it ended (or `DRAIN_SECONDS`).

        Call it when nothing points at the adapter any more. A replica that is down has forgotten it anyway.
        """

        async def one(replica: Replica) -> None:
            deadline = time.monotonic() + DRAIN_SECONDS
            while replica.asking[adapter] and time.monotonic() < deadline:  # noqa: ASYNC110 (bounded, and rare)
                await asyncio.sleep(0.05)
            with replica.use("") as client:
                await client.unload(adapter)

        outcomes = await asyncio.gather(*(one(replica) for replica in self.each), return_exceptions=True)
        for error in outcomes:
            if error is not None and not isinstance(error, Unavailable):
                raise error

    async def bring(self, replica: Replica, version: Version, *, warm: bool = True) -> bool:
        """Verifies the files, loads them on one replica, and makes one token; False when they were loaded already.

        Callers that come together load once. The first request after a load is slow (vllm#8559), hence the token.
        """
        lock = self._loading.setdefault((replica.url, version.adapter), asyncio.Lock())
        async with lock, _noted(replica, version):
            if version.adapter not in self._verified:
                await asyncio.to_thread(verify, version.path)
                self._verified.add(version.adapter)
            with replica.use(version.adapter) as client:
                faults.point("load.before")
                new = await client.load(version.adapter, version.path)
                faults.point("load.after")
                if new and warm:
                    await client.chat(version.adapter, _WARM_UP, max_tokens=1)
            return new

    async def settle(self, replica: Replica, desired: Sequence[Version]) -> Report:
        """Makes one replica hold the desired versions; what it held else goes after `UNWANTED_SECONDS`."""
        report = Report()
        try:
            with replica.use("") as client:
                held = await client.adapters()
            replica.held = len(held)
            for version in desired:
                if version.adapter not in held:
                    report += await self._restore(replica, version)
            for adapter in self._long_unwanted(replica, held, {version.adapter for version in desired}):
                with replica.use("") as client:
                    await client.unload(adapter)
                report += Report(unloaded=((replica.url, adapter),))
        except Unavailable as error:
            report += Report(failed=((replica.url, str(error)),))
        return report

    async def _restore(self, replica: Replica, version: Version) -> Report:
        """Loads one version; one that cannot be loaded must not keep the others from it."""
        try:
            await self.bring(replica, version)
        except Unavailable:
            raise
        except EngrainError as error:
            return Report(failed=((replica.url, str(error)),))
        return Report(loaded=((replica.url, version.adapter),))

    def _long_unwanted(self, replica: Replica, held: dict[str, str], wanted: set[str]) -> list[str]:
        """Adapters that this replica holds, that nobody wanted for a while and that we are not asking."""
        now = time.monotonic()
        unwanted = {name for name in held if name not in wanted and not replica.asking[name]}
        for url, name in list(self._unwanted_since):
            if url == replica.url and name not in unwanted:
                del self._unwanted_since[url, name]
        return [
            name
            for name in sorted(unwanted)
            if now - self._unwanted_since.setdefault((replica.url, name), now) >= UNWANTED_SECONDS
        ]


@asynccontextmanager
async def _noted(replica: Replica, version: Version) -> AsyncIterator[None]:
    """Traces and measures a load."""
    with tracing.span("load adapter", replica=replica.url, adapter=version.adapter), LOAD_SECONDS.time():
        try:
            yield
        except EngrainError:
            LOADS.labels("failed").inc()
            raise
        LOADS.labels("loaded").inc()


async def reconcile(replicas: Replicas, desired: Sequence[Version]) -> Report:
    """Makes every replica hold exactly the desired versions. What goes wrong is in the report, never raised."""
    await replicas.discover()
    reports = await asyncio.gather(*(replicas.settle(replica, desired) for replica in replicas.each))
    return sum(reports, start=Report())
