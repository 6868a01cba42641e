"""The service in this process, over a store and model servers that run already."""

import threading
import time

import uvicorn

from inference.adapters import Replicas
from knowledge.settings import Settings
from knowledge.store import Store
from service.app import create_app
from service.parts import Parts
from tests.service.conftest import DeadBroker


class serving:  # noqa: N801 (used as a with block)
    """The service in a thread of this process."""

    def __init__(self, settings: Settings, port: int) -> None:
        def open_parts(opened: Settings) -> Parts:
            store = Store(opened.store)
            return Parts.around(opened, store, DeadBroker(opened, store), Replicas(opened.replicas))

        self._url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(uvicorn.Config(create_app(settings, open_parts), port=port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.05)
        return self._url

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
