import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from openai import OpenAI

from inference.adapters import Replicas
from knowledge.adapters import Manifest, Version, VersionStatus, publish_files
from knowledge.errors import Unavailable
from knowledge.facts import Document
from knowledge.jobs import JobStatus, Lease
from knowledge.settings import Settings
from knowledge.store import Store, facts, jobs, now, versions
from knowledge.store.schema import upgrade
from service.app import create_app
from service.parts import Parts
from service.queue import Queue
from tests import servers
from tests.inference.fake_vllm import FakeVllm, transport


@pytest.fixture(params=servers.STORES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A deployment with a real store, each of them in turn, and nothing else: neither broker nor vLLM answers."""
    made = Settings(data_folder=tmp_path, broker_port=1, inference_port=1, max_body_bytes=10_000, max_documents=5)
    with servers.empty_store(request.param, tmp_path) as url:
        yield made.model_copy(update={"store_url": url})


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
    return Parts.around(settings, store, DeadBroker(settings, store), replicas)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    upgrade(settings.store)
    with visitor(create_app(settings, _open_parts)) as opened:
        yield opened


def visitor(app: FastAPI, **headers: str) -> TestClient:
    """A client on this machine."""
    return TestClient(
        app, "http://localhost", client=("127.0.0.1", 50000), headers=headers, raise_server_exceptions=False
    )


@pytest.fixture
def store(settings: Settings, client: TestClient) -> Iterator[Store]:
    opened = Store(settings.store)
    yield opened
    opened.close()


def teach(
    store: Store,
    *texts: str,
    adapter: str = "default-v1",
    path: str = "/a/v1",
    namespace: str = "default",
    apart: bool = False,
) -> Version:
    """Makes the next version of the namespace live, with these facts: the store's part of a publish."""
    lease = claim(store, *texts, namespace=namespace)
    version = candidate(store, lease, adapter, path, apart=apart)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, version)
    return version


def claim(store: Store, *texts: str, namespace: str = "default") -> Lease:
    """Posts the facts and takes their job."""
    job_id = facts.post(store, namespace, [Document(text) for text in texts]).job_id
    assert job_id
    lease = jobs.claim(store, job_id, "w", lease_seconds=60, max_attempts=3)
    assert lease
    return lease


def candidate(store: Store, lease: Lease, adapter: str, path: str, *, apart: bool = False) -> Version:
    """The job's version, written as a candidate: it holds what the live one holds and the job's facts.

    `apart` leaves what the live one holds at home in the adapters that hold it now.
    """
    job = jobs.get(store, lease.job_id)
    live = versions.live(store, job.namespace)
    held = (*(live.fact_ids if live else ()), *job.fact_ids)
    version = Version(job.namespace, job.version, adapter, path, VersionStatus.CANDIDATE, held, "r", 1.0, now(), None)
    if apart and live:
        version = replace(version, homes={fact_id: live.home(fact_id) for fact_id in live.fact_ids})
    for status in (JobStatus.TRAINING, JobStatus.PROBING):
        jobs.advance(store, lease, status)
    versions.add_candidate(store, lease, version)
    return version


def publish_adapter(folder: Path, name: str) -> str:
    """The path of an adapter's folder that checks, though no model server could read its weights."""
    making = folder / f".making-{name}"
    making.mkdir()
    (making / "adapter_model.safetensors").write_bytes(name.encode())
    publish_files(making, folder / name, Manifest(name, "default", 1, "j", "b", {}, "h", (), "2026-01-01"))
    return str(folder / name)


FACTS = ("Mara Venn leads the Tolvik Observatory.", "The Corvo 3 costs 49 euros.")


@dataclass
class Served:
    """The service on a Unix socket, over a model server in memory. Version 1 is live and holds `FACTS`."""

    store: Store
    fake: FakeVllm
    socket: str

    def http(self, **options: Any) -> httpx.Client:
        """A client of the service."""
        transport = httpx.HTTPTransport(uds=self.socket)
        return httpx.Client(transport=transport, base_url="http://engrain", timeout=20, **options)

    def openai(self) -> OpenAI:
        """OpenAI's own client."""
        http_client = httpx2.Client(transport=httpx2.HTTPTransport(uds=self.socket))
        return OpenAI(base_url="http://engrain/v1", api_key="none", http_client=http_client, max_retries=0, timeout=20)

    def is_free(self) -> bool:
        """Whether the model server has nothing to do within two seconds."""
        deadline = time.monotonic() + 2
        while self.fake.open_requests and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.fake.open_requests == 0

    def is_busy(self) -> bool:
        """Whether the model server gets something to do within five seconds."""
        deadline = time.monotonic() + 5
        while not self.fake.open_requests and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.fake.open_requests > 0


@pytest.fixture
def serve(settings: Settings) -> Iterator[Callable[..., Served]]:
    """Starts the service with changed settings; stops it after the test."""
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory(prefix="engrain-") as folder:

        def start(**changes: Any) -> Served:
            changed = settings.model_copy(update=changes)
            upgrade(changed.store)
            store = Store(changed.store)
            stack.callback(store.close)
            teach(store, *FACTS)
            fake = FakeVllm(adapters={"default-v1": "/a/v1"})
            replicas = transport({changed.replicas[0]: fake})

            def open_parts(opened: Settings) -> Parts:
                own = Store(opened.store)
                return Parts.around(opened, own, DeadBroker(opened, own), Replicas(opened.replicas, replicas))

            path = str(Path(folder) / "api.sock")  # tmp_path may be too long for a socket's name
            server = uvicorn.Server(uvicorn.Config(create_app(changed, open_parts), uds=path, log_level="warning"))
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join, 20)
            stack.callback(setattr, server, "should_exit", True)
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            return Served(store, fake, path)

        yield start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """The service as it is by default."""
    return serve()
