"""Installs what one image needs: `python tools/image.py worker-cpu /opt/engrain`, run by the Dockerfiles.

The packages of `locks/images/NAME.txt`, hash checked, and Engrain itself as a built wheel, in an environment without
pip, uv or anything that builds. Modules are compiled here: an image's files cannot be written at run time.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from install import ROOT, install_torch, locked, own_torch
from pip_settings import environment_for_uv

BUILDERS = ("uv", "setuptools")
"""What builds, from `locks/cpu.txt`, in an environment of its own that is thrown away."""


def main() -> None:
    """Installs into a new environment. Exits with the failing command when something does not install."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    lock = ROOT / "locks" / "images" / f"{arguments.image}.txt"
    environment = environment_for_uv()
    run([sys.executable, "-m", "venv", "--without-pip", str(arguments.folder)])
    python = arguments.folder / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        builders = Path(folder) / "builders"
        uv = make_builders(builders)
        into = [str(uv), "pip", "install", "--quiet", "--python", str(python), "--no-deps", "--compile-bytecode"]
        if "\ntransformers==" in lock.read_text() and (torch := own_torch(arguments.image.rpartition("-")[2])):
            install_torch(python, torch, environment, uv=uv)
        run([*into, "--require-hashes", "-r", str(lock)], environment)
        build = [
            str(uv),
            "build",
            "--quiet",
            "--wheel",
            "--no-build-isolation",
            "--python",
            str(builders / "bin" / "python"),
        ]
        run([*build, "--out-dir", folder, str(ROOT)], environment)
        run([*into, *map(str, Path(folder).glob("engrain-*.whl"))], environment)


def make_builders(folder: Path) -> Path:
    """An environment with uv and setuptools, installed by the machine's pip; returns uv."""
    run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    requirement = folder / "builders.txt"
    lock = (ROOT / "locks" / "cpu.txt").read_text()
    requirement.write_text("".join(locked(name, lock) for name in BUILDERS))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-qq", "--no-deps"]
    run([*pip, "--require-hashes", "--disable-pip-version-check", "-r", str(requirement)])
    return folder / "bin" / "uv"


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Exits with the command when it fails."""
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        sys.exit(f"The image's packages were not installed: `{' '.join(command)}` failed.")


if __name__ == "__main__":
    main()
