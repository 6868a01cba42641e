"""A stack of its own for a demo or a drill: beside the user's, with its own data, on free ports."""

import shutil
import socket
from contextlib import ExitStack

from command.ownership import owner
from knowledge.errors import Conflict
from knowledge.settings import Settings


def apart(settings: Settings, name: str) -> Settings:
    """The user's settings with a fresh data folder `name` below theirs, free ports, and all parts embedded.

    The base model is shared: preparing it is not what is shown. Raises `Conflict` while another one runs there.
    """
    folder = settings.data_folder / name
    if holder := owner(folder):
        raise Conflict(f"Another {name} ({holder}) is running. Stop it first.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (settings.data_folder / "models").mkdir(exist_ok=True)
    (folder / "models").symlink_to(settings.data_folder / "models")
    port, broker_port, inference_port = free_ports(3)
    return settings.model_copy(
        update={
            "data_folder": folder,
            "host": "127.0.0.1",
            "port": port,
            "broker_port": broker_port,
            "inference_port": inference_port,
            "store_url": "",
            "store_password_file": "",
            "broker_url": "",
            "broker_password_file": "",
            "inference_urls": "",
            "without_keys": "loopback",
            "first_key_file": "",
        }
    )


def free_ports(number: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
