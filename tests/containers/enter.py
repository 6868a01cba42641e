"""Inside a container's namespaces: makes its root, drops rights, and becomes its command. Reads one JSON object.

Run by `hosts.py` under `unshare`, with mounts and process ids of its own: it, and then the command, is process 1.
"""

import ctypes
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Never returns."""
    wanted = json.loads(sys.argv[1])
    root = Path(wanted["root"])
    socket.sethostname(root.name)  # a worker names itself by it
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "tmpfs", str(root))  # gone with the container
    inside = root / "root"
    make_root(wanted, root, inside)
    for source, target, read_only in wanted["binds"]:
        bind(Path(source), inside / target.lstrip("/"), read_only=read_only)
    for target in wanted["tmpfs"]:
        mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(inside / target.lstrip("/")))
    if wanted["read_only"]:
        mount("-o", "remount,bind,ro", str(inside))
    os.chroot(inside)
    os.chdir(wanted["folder"])
    user, group = wanted["user"]
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execvpe(wanted["command"][0], wanted["command"], wanted["environment"])


def make_root(wanted: dict[str, object], root: Path, inside: Path) -> None:
    """An overlay over an image's layers, or this machine's own system, read-only, for what comes from its packages."""
    inside.mkdir()
    layers = wanted["layers"]
    if isinstance(layers, list) and layers:
        for name in ("upper", "work"):
            (root / name).mkdir()
        below = ":".join(map(str, layers))
        mount(
            "-t", "overlay", "overlay", "-o", f"lowerdir={below},upperdir={root}/upper,workdir={root}/work", str(inside)
        )
    else:
        mount("--bind", str(inside), str(inside))
        for name in ("usr", "etc", "opt"):
            bind(Path("/", name), inside / name, read_only=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (inside / name).symlink_to(f"usr/{name}")
    for name in ("proc", "dev", "tmp", "run"):
        (inside / name).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", str(inside / "proc"))
    mount("--rbind", "/dev", str(inside / "dev"))
    bind(Path("/sys"), inside / "sys", read_only=True)


def bind(source: Path, target: Path, *, read_only: bool) -> None:
    """Shows a file or folder at another place."""
    if not target.exists():
        if source.is_dir():
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    mount("--bind", str(source), str(target))
    if read_only:
        mount("-o", "remount,bind,ro", str(target))


def mount(*words: str) -> None:
    """Raises `CalledProcessError`."""
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main()
