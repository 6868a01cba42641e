from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from inference.adapters import Replicas
from knowledge.errors import Unavailable
from knowledge.settings import Settings
from knowledge.store import Store
from knowledge.store.schema import upgrade
from service.app import create_app
from service.parts import Parts
from service.provenance import Provenance
from service.queue import Queue


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment with a real store and nothing else: neither broker nor vLLM answers."""
    return Settings(data_folder=tmp_path, broker_port=1, inference_port=1, max_body_bytes=10_000, max_documents=5)


class DeadBroker(Queue):
    """A broker that takes nothing."""

    def send(self, job_id: str) -> bool:
        return False

    def check(self) -> None:
        raise Unavailable("The broker does not answer.")


def _refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens")


def _open_parts(settings: Settings) -> Parts:
    store = Store(settings.store)
    replicas = Replicas(settings.replicas, httpx.MockTransport(_refuse))
    return Parts(settings, store, DeadBroker(settings, store), replicas, Provenance(store))


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    upgrade(settings.store)
    with TestClient(create_app(settings, _open_parts), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def store(settings: Settings, client: TestClient) -> Iterator[Store]:
    opened = Store(settings.store)
    yield opened
    opened.close()
