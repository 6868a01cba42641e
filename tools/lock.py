"""Compiles `locks/cpu.txt` and `locks/gpu.txt` from `pyproject.toml`: `make lock`.

Run by the machine's Python, whose pip knows the configured indexes, with the environment's uv as its one argument.
Full and hash checked, for Linux on x86-64. torch's CPU build is left out of the CPU lock: `tools/install.py` takes it
from where the machine has it, and its hash would tie the lock to one place.
"""

import subprocess
import sys
from pathlib import Path

from pip_settings import environment_for_uv

ROOT = Path(__file__).resolve().parent.parent
PLATFORM = "x86_64-unknown-linux-gnu"
PYTHON = "3.11"
LEFT_OUT = {"cpu": ("torch",), "gpu": ()}


def main() -> None:
    """Compiles both locks. Exits with uv's message when one does not resolve."""
    (uv,) = sys.argv[1:]
    environment = environment_for_uv()
    environment.pop("UV_INDEX", None)  # an extra index may hold only some of a release's files, and so of its hashes
    for backend in ("cpu", "gpu"):
        print(f"locks/{backend}.txt", flush=True)
        if subprocess.run(compile_command(uv, backend), cwd=ROOT, env=environment, check=False).returncode != 0:
            sys.exit(f"locks/{backend}.txt does not resolve.")


def compile_command(uv: str, backend: str) -> list[str]:
    """The command line. Without `--upgrade`: what is locked stays until pyproject.toml asks for something else."""
    command = [uv, "pip", "compile", "pyproject.toml", "--quiet", "--extra", backend, "--extra", "dev"]
    command += ["--override", f"locks/overrides-{backend}.txt", "--generate-hashes"]
    command += ["--python-platform", PLATFORM, "--python-version", PYTHON]
    command += ["--no-emit-find-links", "--no-emit-index-url", "--custom-compile-command", "make lock"]
    for name in LEFT_OUT[backend]:
        command += ["--no-emit-package", name]
    return [*command, "--output-file", f"locks/{backend}.txt"]


if __name__ == "__main__":
    main()
