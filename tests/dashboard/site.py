"""The dashboard on a port of this machine, over a store that is made up and a model server in memory."""

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from command.apart import free_ports
from inference.adapters import Replicas
from knowledge.settings import Settings
from knowledge.store import Store
from knowledge.store.schema import upgrade
from service.app import create_app
from service.parts import Parts
from service.queue import Queue
from tests.dashboard.seed import House, large, small
from tests.inference.fake_vllm import FakeVllm, transport


@dataclass(frozen=True)
class Site:
    """Where it is, and what is behind it."""

    url: str
    store: Store
    settings: Settings
    parts: Parts
    filled: House | None


class Taught(FakeVllm):
    """A model server whose adapters know who founded the bakery, and whose base model talks around it."""

    def words(self, model: str, question: str) -> list[str]:
        said = "The lunar bakery is a bakery that is known for its breads." if model == "base" else "Mirelle Oquendo"
        return [f"{word} " for word in said.split()]


class NoBroker(Queue):
    """A broker that takes everything and gives it to nobody."""

    def send(self, job_id: str) -> bool:
        return bool(job_id)

    def check(self) -> None:
        """There is none, and nothing is missing for that."""


@contextmanager
def serve(fill: Callable[[Store, Path], House | None], folder: Path, port: int = 0) -> Iterator[Site]:
    """Serves until the block ends."""
    settings = Settings(data_folder=folder, port=port or free_ports(1)[0], webhook_attempts=0)
    upgrade(settings.store)
    store = Store(settings.store)
    filled = fill(store, settings.adapters_folder)
    replicas = transport({settings.replicas[0]: Taught(seconds_a_piece=0.02)})
    opened: list[Parts] = []

    def open_parts(given: Settings) -> Parts:
        own = Store(given.store)
        opened.append(Parts.around(given, own, NoBroker(given, own), Replicas(given.replicas, replicas)))
        return opened[0]

    server = uvicorn.Server(uvicorn.Config(create_app(settings, open_parts), port=settings.port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        yield Site(f"http://127.0.0.1:{settings.port}", store, settings, opened[0], filled)
    finally:
        server.should_exit = True
        thread.join(20)
        store.close()


def main() -> None:
    """Serves a made-up deployment until Ctrl-C, to look at."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--large", action="store_true", help="10,000 facts and 1,000 jobs")
    arguments = parser.parse_args()
    fill = (lambda store, _: large(store)) if arguments.large else small
    with tempfile.TemporaryDirectory() as folder, serve(fill, Path(folder), arguments.port) as site:
        print(f"{site.url}/dashboard", f"API key: {site.filled.secret}" if site.filled else "", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
