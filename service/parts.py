"""What the routes work with: settings, store, queue and replicas, opened once for each process."""

from dataclasses import dataclass, replace
from typing import Annotated, Self

from fastapi import Depends, Request

from inference.adapters import Replicas
from knowledge.keys import SYSTEM, Caller
from knowledge.settings import Settings
from knowledge.store import Store
from service.debuts import Debuts
from service.keyring import Keyring
from service.provenance import Provenance
from service.queue import Queue
from service.rates import Rates
from service.readiness import Readiness
from service.recent import Recent
from service.repeats import Repeats
from service.speakers import Speakers


@dataclass(frozen=True)
class Parts:
    """Everything behind the routes. `store` shows and does what the caller may; the other parts know no caller."""

    settings: Settings
    store: Store
    queue: Queue
    replicas: Replicas
    provenance: Provenance
    speakers: Speakers
    keyring: Keyring
    rates: Rates
    readiness: Readiness
    repeats: Repeats
    recent: Recent
    debuts: Debuts
    caller: Caller = SYSTEM

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Connects to everything that the settings name; nothing is sent yet."""
        store = Store(settings.store)
        return cls.around(settings, store, Queue(settings, store), Replicas(settings.replicas))

    @classmethod
    def around(cls, settings: Settings, store: Store, queue: Queue, replicas: Replicas) -> Self:
        """With parts that are open already."""
        provenance = Provenance(store)
        speakers = Speakers(store, provenance, settings.least_relevance)
        guards = Keyring(store), Rates(settings), Readiness(), Repeats(), Recent(), Debuts(store)
        return cls(settings, store, queue, replicas, provenance, speakers, *guards)

    def seen_by(self, caller: Caller) -> Self:
        """The parts for one request."""
        return replace(self, store=self.store.seen_by(caller), caller=caller)

    async def close(self) -> None:
        """Gives all connections back."""
        await self.debuts.close()
        await self.replicas.close()
        await self.rates.close()
        self.store.close()


async def get_all_parts(request: Request) -> Parts:
    """The parts that `create_app` opened, for whoever calls: only for what tells nothing of any namespace."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts


async def get_parts(request: Request) -> Parts:
    """The parts as the caller that the gate let in (`service/gate.py`) may use them."""
    return (await get_all_parts(request)).seen_by(request.state.caller)


NeedsAll = Annotated[Parts, Depends(get_all_parts)]
Needs = Annotated[Parts, Depends(get_parts)]
