"""Hosts on one machine: each a network namespace on a bridge, with a name in a DNS server of theirs. Needs root.

They and the process that made them are all there is: the bridge lies in a network of its own (`leave_network`), and
nothing leads out of it.
"""

import contextlib
import ctypes
import ipaddress
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ALONE = "TEST_CONTAINERS_ALONE"
_CLONE_NEWNET = 0x40000000
BRIDGE = "engrain0"
NETWORK = ipaddress.ip_network("10.77.0.0/24")
GATEWAY = str(NETWORK[1])


@dataclass
class Host:
    """A network namespace with one address. `link` is our end of its cable."""

    name: str
    address: str
    namespace: str
    link: str

    def cut(self) -> None:
        """Pulls the cable: nobody is told, and open connections hang."""
        ip("link", "set", self.link, "down")

    def join(self) -> None:
        """Puts the cable back."""
        ip("link", "set", self.link, "up")


@dataclass
class Process:
    """A container's command. `pid` is process 1 of its own process ids, as this machine counts."""

    outer: subprocess.Popen[bytes]
    pid: int

    def stop(self, number: int, grace_seconds: float) -> float | None:
        """Sends the signal, and SIGKILL after the grace; the seconds it took, None when it had to be killed."""
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
        try:
            self.outer.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.outer.wait(30)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], user: tuple[int, int], seconds: float
    ) -> bool:
        """Whether a command in the same container, a healthcheck say, ends with 0 in time."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--root", "--wd"]
        rights = ["--setuid", str(user[0]), "--setgid", str(user[1])]
        words = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command]
        try:
            ended = subprocess.run([*enter, *rights, *words], capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return False
        return ended.returncode == 0


class Network:
    """The bridge, its DNS server, and its hosts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(10)
        self._hosts: dict[str, Host] = {}
        self._dns: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises `CalledProcessError` where network namespaces are not allowed."""
        (self._folder / "names").mkdir(parents=True)
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("address", "add", f"{GATEWAY}/{NETWORK.prefixlen}", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        options = ["--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root", "--pid-file="]
        options += [f"--listen-address={GATEWAY}", f"--hostsdir={self._folder / 'names'}", "--local-ttl=1"]
        with (self._folder / "dns.log").open("wb") as log:
            self._dns = subprocess.Popen(["dnsmasq", *options, "--log-facility=-"], stdout=log, stderr=log)

    def stop(self) -> None:
        """Takes everything away again."""
        if self._dns:
            self._dns.terminate()
            self._dns.wait(10)
        for host in self._hosts.values():
            ip("netns", "delete", host.namespace, check=False)
        ip("link", "delete", BRIDGE, check=False)

    def add(self, name: str, names: Sequence[str]) -> Host:
        """A new host, which is found under each of the names."""
        number = next(self._numbers)
        address, namespace, link = str(NETWORK[number]), f"engrain-{name}", f"engr{number}"
        ip("netns", "add", namespace)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("link", "set", link, "master", BRIDGE, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{address}/{NETWORK.prefixlen}", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            ip("-n", namespace, *words)
        host = self._hosts[name] = Host(name, address, namespace, link)
        (self._folder / "names" / f"{number}").write_text("".join(f"{address} {each}\n" for each in names))
        return host

    def resolver(self) -> Path:
        """A `resolv.conf` for the hosts."""
        path = self._folder / "resolv.conf"
        path.write_text(f"nameserver {GATEWAY}\noptions timeout:1 attempts:2\n")
        return path


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Up for as long as the block lasts."""
    made = Network(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def alone(module: str) -> None:
    """Runs `python -m module` again with mounts and process ids of its own, so that nothing outlives it; or returns.

    However it ends, the kernel then ends what it started and unmounts what it mounted.
    """
    if os.environ.get(_ALONE):
        return
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words = [*unshare, sys.executable, "-m", module, *sys.argv[1:]]
    os.execvpe(words[0], words, {**os.environ, _ALONE: "1"})


def leave_network() -> None:
    """Takes this process into a network of its own: from here on nothing outside is reached, and no interface shown."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET) is not allowed")
    Path("/run/netns").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)  # names of ours alone
    ip("link", "set", "lo", "up")


def launch(host: Host, wanted: Mapping[str, Any], log: Path) -> Process:
    """Starts a container's command on the host; `wanted` is what `enter.py` reads."""
    enter = [sys.executable, "-S", str(Path(__file__).with_name("enter.py")), json.dumps(wanted)]
    unshare = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    with log.open("ab") as output:
        outer = subprocess.Popen(
            ["ip", "netns", "exec", host.namespace, *unshare, *enter],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    while outer.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            return Process(outer, int(children.read_text().split()[0]))
        time.sleep(0.02)
    return Process(outer, outer.pid)


def ip(*words: str, check: bool = True) -> None:
    """Runs iproute2's `ip`."""
    subprocess.run(["ip", *words], check=check, capture_output=not check)
