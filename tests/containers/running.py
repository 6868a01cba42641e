"""Runs the services of the compose file, each replica on a host of its own, from the images of their Dockerfiles.

PostgreSQL, Redis, Caddy and Prometheus are this machine's packages, with the command, environment, volumes and health
check of the compose file; Grafana, of which there is no package, is left out.
"""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.containers.composition import FILE, Service, as_command, order
from tests.containers.dockerfile import IMAGE, Image, build, remove, size_bytes
from tests.containers.hosts import Host, Network, Process, launch

HEALTHY_SECONDS = 900.0
ENDED_SECONDS = 600.0
LEFT_OUT = ("grafana",)

_POSTGRES = """
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH
cd /var/lib/postgresql/data
if [ ! -s PG_VERSION ]; then
  initdb --pgdata . --encoding UTF8 --locale C.UTF-8 --username "$POSTGRES_USER" \\
    --pwfile "$POSTGRES_PASSWORD_FILE" --auth scram-sha-256 > /dev/null
  echo 'host all all all scram-sha-256' >> pg_hba.conf
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D . postgres > /dev/null
fi
exec postgres -D . -c listen_addresses='*' -c unix_socket_directories=/tmp
"""

# What the images of others bring along, said for this machine's packages: the start of the command, and the user.
NEIGHBOURS: dict[str, tuple[tuple[str, ...], str]] = {
    "postgres": (("/bin/sh", "-euc", _POSTGRES), "postgres"),
    "redis": ((), "redis"),
    "proxy": (("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"), "root"),
    "prometheus": (("prometheus",), "root"),
}


@dataclass
class Container:
    """One replica."""

    name: str
    service: Service
    image: Image
    host: Host
    process: Process
    environment: Mapping[str, str]
    user: tuple[int, int]

    @property
    def address(self) -> str:
        """Its address on the hosts' network."""
        return self.host.address

    def healthy(self) -> bool:
        """What its health check says; True where it has none."""
        test, seconds = self.image.healthcheck, 5.0
        if self.service.healthcheck:
            test, seconds = self.service.healthcheck.test, self.service.healthcheck.timeout_seconds
        if not test or self.service.no_healthcheck:
            return True
        return self.process.run(as_command(test), self.environment, self.user, seconds)

    def stop(self) -> float | None:
        """As `docker stop` does it: seconds, or None when it had to be killed."""
        name = self.service.stop_signal or self.image.stop_signal
        return self.process.stop(signal.Signals[name], self.service.stop_grace_seconds)


@dataclass
class Composition:
    """Everything that runs."""

    folder: Path
    network: Network
    services: Mapping[str, Service]
    settings: Mapping[str, str]
    say: Callable[[str], None]
    containers: dict[str, Container] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    _started: int = 0

    def up(self, scale: Mapping[str, int]) -> None:
        """Starts every service in its order, `scale` replicas of each, and waits until all are healthy."""
        for service in order(self.services):
            if service.name in LEFT_OUT:
                continue
            for name, condition in service.depends_on.items():
                self.wait(name, condition)
            for number in range(1, scale.get(service.name, 1) + 1):
                self.start(service, f"{service.name}-{number}")
        for name in self.services:
            if not any(name in each.depends_on for each in self.services.values()) and name not in LEFT_OUT:
                self.wait(name, "service_healthy")

    def start(self, service: Service, name: str, host: Host | None = None) -> Container:
        """Starts one replica, on a new host or on one that it had before."""
        image = self.images[service.image] if service.dockerfile else Image(())
        command, owner = NEIGHBOURS.get(service.name, ((), "root"))
        command = tuple(service.command or ()) if service.dockerfile else (*command, *(service.command or ()))
        user = ids(service.user or image.user) if service.dockerfile else ids(owner)
        if host is None:
            host = self.network.add(name, [service.name, *service.aliases])
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **image.environment,
            **({"XDG_DATA_HOME": "/data"} if service.name == "proxy" else {}),
            **(self.settings if service.dockerfile else {}),
            **service.environment,
        }
        root = self.folder / "roots" / name
        root.mkdir(parents=True, exist_ok=True)
        binds: list[tuple[str, str, bool]] = [(str(self.network.resolver()), "/etc/resolv.conf", True)]
        binds += [
            (str(self._volume(volume.source, volume.target, image, user)), volume.target, volume.read_only)
            for volume in service.volumes
        ]
        wanted = {
            "root": str(root),
            "layers": [str(layer) for layer in image.layers],
            "binds": binds,
            "tmpfs": list(service.tmpfs) or ["/tmp"],
            "read_only": service.read_only,
            "folder": image.folder,
            "user": user,
            "command": command or image.command,
            "environment": environment,
        }
        self._started += 1
        process = launch(host, wanted, self.folder / f"{name}.log")
        self.containers[name] = Container(name, service, image, host, process, environment, user)
        return self.containers[name]

    def of(self, service: str) -> list[Container]:
        """The service's replicas."""
        return [each for each in self.containers.values() if each.service.name == service]

    def down(self) -> dict[str, float | None]:
        """Stops everything in the reverse order; the seconds each took, None for what had to be killed."""
        took = {}
        for name, container in reversed(self.containers.items()):
            if container.process.outer.poll() is None:
                took[name] = container.stop()
        return took

    def tail(self, name: str, lines: int = 60) -> str:
        """The end of a replica's log."""
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])

    def wait(self, name: str, condition: str) -> None:
        """Waits until the service's replicas are as compose means the condition. Raises `AssertionError` with a log."""
        began = time.monotonic()
        for container in self.of(name):
            if condition == "service_completed_successfully":
                if container.process.outer.wait(ENDED_SECONDS) != 0:
                    raise AssertionError(f"{container.name} failed:\n{self.tail(container.name)}")
                continue
            while not container.healthy():
                if container.process.outer.poll() is not None or time.monotonic() - began > HEALTHY_SECONDS:
                    raise AssertionError(f"{container.name} is not healthy:\n{self.tail(container.name)}")
                time.sleep(1)
        if time.monotonic() - began > 1:
            self.say(f"  {name}: {condition.removeprefix('service_')} after {time.monotonic() - began:.0f} s")

    def _volume(self, source: str, target: str, image: Image, user: tuple[int, int]) -> Path:
        """A path beside the compose file; or a named volume, which takes the owner that the image's folder has."""
        if "/" in source:
            return (FILE.parent / source).resolve()
        path = self.folder / "volumes" / source
        if not path.exists():
            path.mkdir(parents=True)
            within = [layer / target.lstrip("/") for layer in image.layers]
            like = next((each.stat() for each in within if each.exists()), None)
            os.chown(path, *((like.st_uid, like.st_gid) if like else user))
        return path


def build_images(
    services: Mapping[str, Service], folder: Path, say: Callable[[str], None], *, again: bool = True
) -> dict[str, Image]:
    """Builds each image that the services name; with `again` false only those that an earlier run has not left."""
    built: dict[str, Image] = {}
    for service in services.values():
        if service.dockerfile and service.image not in built:
            began = time.monotonic()
            place = folder / service.image.replace(":", "-")
            if again or not (place / IMAGE).exists():
                remove(place)
                build(service.dockerfile, place, service.build_arguments).write(place)
            image = built[service.image] = Image.read(place)
            size = size_bytes(image) / 1e6
            say(f"  {service.image}: {size:.0f} MB over its base, {time.monotonic() - began:.0f} s")
    return built


def ids(name: str) -> tuple[int, int]:
    """User and group of `user` or `uid:gid`."""
    if ":" in name:
        user, _, group = name.partition(":")
        return int(user), int(group)
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


@contextmanager
def kept_up(composition: Composition, scale: Mapping[str, int]) -> Iterator[Composition]:
    """Up for as long as the block lasts; killed at its end if it was not stopped."""
    try:
        composition.up(scale)
        yield composition
    finally:
        for container in composition.containers.values():
            if container.process.outer.poll() is None:
                container.process.kill()


def missing_tools(tools: Sequence[str]) -> list[str]:
    """Those of the programs that this machine lacks."""
    return [tool for tool in tools if shutil.which(tool) is None]


def run_quietly(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a tool; raises `CalledProcessError` with what it said."""
    return subprocess.run(command, check=True, capture_output=True, text=True)
