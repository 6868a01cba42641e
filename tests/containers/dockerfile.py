"""Carries out a Dockerfile's instructions with chroot and overlay mounts: what Docker's builder does, without it.

Not the same in one thing: the base image `python:…-slim-bookworm` cannot be had without a registry of images, so a
root made by debootstrap stands in for it: the same Debian, with Debian's own Python 3.11.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
BASE_PACKAGES = "python3,python3-pip,ca-certificates"
IMAGE = "image.json"
BASE_IMAGE = re.compile(r"python:3\.11\.\d+-slim-bookworm")


@dataclass
class Image:
    """A built image: `layers` from the top, and what its last stage declared."""

    layers: tuple[Path, ...]
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    user: str = "0:0"
    folder: str = "/"
    stop_signal: str = "SIGTERM"

    def write(self, folder: Path) -> None:
        """Keeps what was declared beside the layers."""
        (folder / IMAGE).write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What an earlier run built."""
        data = json.loads((folder / IMAGE).read_text())
        lists = {name: tuple(data[name]) for name in ("command", "healthcheck")}
        return cls(**{**data, **lists, "layers": tuple(map(Path, data["layers"]))})


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions in their order, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [
        (word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word
    ]


def base_root(folder: Path) -> Path:
    """The stand-in for the base image, made once (a minute, 300 MB) and kept."""
    root = folder / "base"
    if not (root / "usr/local/bin/python").exists():
        remove(root)
        root.parent.mkdir(parents=True, exist_ok=True)
        making = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", str(root)]
        subprocess.run([*making, "http://deb.debian.org/debian"], check=True, stdout=subprocess.DEVNULL)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    return root


def build(file: Path, folder: Path, arguments: Mapping[str, str]) -> Image:
    """Builds the last stage. Raises `CalledProcessError` for a step that fails, `ValueError` for one we do not know."""
    folder.mkdir(parents=True)
    base = base_root(folder.parent)
    stages: dict[str, Image] = {}
    image, given = Image((base,)), dict(arguments)
    for word, rest in instructions(file.read_text()):
        match word:
            case "FROM":
                name, _, alias = rest.partition(" AS ")
                if not BASE_IMAGE.fullmatch(name):
                    raise ValueError(f"{name} is not the base image that we have a stand-in for")
                layer = folder / (alias or "final")
                layer.mkdir()
                image = stages[alias or "final"] = Image((layer, base))
            case "ARG":
                key, _, default = rest.partition("=")
                given.setdefault(key, default)
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in shlex.split(_fill(rest, _with_path(image))))
            case "WORKDIR":
                image.folder = rest
                with mounted(image) as root:
                    (root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                with mounted(image) as root:
                    _copy(rest, image, root, stages)
            case "RUN":
                with mounted(image) as root:
                    _run(rest, image, root, given)
            case "USER":
                image.user = rest
            case "CMD":
                image.command = tuple(json.loads(rest))
            case "HEALTHCHECK":
                image.healthcheck = ("CMD", *json.loads(rest[rest.index("CMD") + 3 :]))
            case "STOPSIGNAL":
                image.stop_signal = rest
            case "EXPOSE":
                pass
            case _:
                raise ValueError(f"{file.name}: {word} is not understood")
    return image


@contextmanager
def mounted(image: Image) -> Iterator[Path]:
    """The image's root, to be written to: its topmost layer takes the changes."""
    top, *below = image.layers
    root, work = top.with_name(f"{top.name}.root"), top.with_name(f"{top.name}.work")
    root.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    options = f"lowerdir={':'.join(map(str, below))},upperdir={top},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--recursive", str(root)], check=True)
        shutil.rmtree(work, ignore_errors=True)


def remove(folder: Path) -> None:
    """Deletes a root, and nothing that is mounted into it: a step that was killed may have left `/proc` there."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def size_bytes(image: Image) -> int:
    """What the image adds to its base."""
    listed = subprocess.run(["du", "-sb", str(image.layers[0])], check=True, capture_output=True, text=True)
    return int(listed.stdout.split()[0])


def _copy(rest: str, image: Image, root: Path, stages: Mapping[str, Image]) -> None:
    words = rest.split()
    source: Path | None = None
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].layers[0]
    *names, target = words
    to = root / (target if target.startswith("/") else str(Path(image.folder) / target)).lstrip("/")
    for name in names:
        found = source / name.lstrip("/") if source else ROOT / name
        into = to / found.name if target.endswith("/") else to
        if found.is_dir():
            ignored = None if source else shutil.ignore_patterns("__pycache__")
            shutil.copytree(found, into, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, into)


def _run(command: str, image: Image, root: Path, arguments: Mapping[str, str]) -> None:
    """In the root, with the network, and with what pip is configured to use on this machine."""
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    settings = _pip_configuration()
    for path in {*_local_paths(settings), *_uv_cache()}:
        _bind(path, root / str(path).lstrip("/"))
    for name in ("proc", "dev"):
        subprocess.run(["mount", "--rbind", f"/{name}", str(root / name)], check=True)
        subprocess.run(["mount", "--make-rslave", str(root / name)], check=True)
    environment = {**_with_path(image), **arguments, **settings, "HOME": "/root", "UV_LINK_MODE": "copy"}
    inside = ["chroot", str(root), "/bin/sh", "-c", f"cd {shlex.quote(image.folder)} && {command}"]
    subprocess.run(inside, env=environment, check=True)


def _with_path(image: Image) -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} | image.environment


def _fill(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found.group(1), ""), text)


def _pip_configuration() -> dict[str, str]:
    from pip_settings import pip_settings

    listing = subprocess.run(
        ["python3", "-m", "pip", "config", "list"], check=True, capture_output=True, text=True, env=_outside_venv()
    )
    return {f"PIP_{key.upper().replace('-', '_')}": value for key, value in pip_settings(listing.stdout).items()}


def _outside_venv() -> dict[str, str]:
    own = str(Path(sys.executable).parent)
    path = ":".join(part for part in os.environ["PATH"].split(":") if part != own)
    return {**os.environ, "PATH": path}


def _local_paths(settings: Mapping[str, str]) -> list[Path]:
    words = [word.removeprefix("file://") for value in settings.values() for word in value.split()]
    return [Path(word) for word in words if word.startswith("/") and Path(word).exists()]


def _uv_cache() -> list[Path]:
    cache = Path("/root/.cache/uv")
    return [cache] if cache.is_dir() else []


def _bind(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
