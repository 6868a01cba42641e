"""What the routes work with: settings, store, queue and replicas, opened once for each process."""

from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Depends, Request

from inference.adapters import Replicas
from knowledge.settings import Settings
from knowledge.store import Store
from service.provenance import Provenance
from service.queue import Queue
from service.speakers import Speakers


@dataclass(frozen=True)
class Parts:
    """Everything behind the routes."""

    settings: Settings
    store: Store
    queue: Queue
    replicas: Replicas
    provenance: Provenance
    speakers: Speakers

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
        return cls(settings, store, queue, replicas, provenance, speakers)

    async def close(self) -> None:
        """Gives all connections back."""
        await self.replicas.close()
        self.store.close()


async def get_parts(request: Request) -> Parts:
    """The parts that `create_app` opened."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts


Needs = Annotated[Parts, Depends(get_parts)]
