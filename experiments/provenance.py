"""Where a number comes from: commit, machine and command, put beside every result.

A command is kept without the folders of the machine that it ran on: `--data …/wiki` becomes `--data wiki`.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from knowledge.processor import float_type


def stamp() -> dict[str, str]:
    """`commit` ("" outside a checkout, "+" behind one with changes), `machine`, `command` and the `date` in UTC."""
    return {
        "commit": _commit(),
        "machine": _machine(),
        "command": command(sys.argv),
        "date": datetime.now(UTC).date().isoformat(),
    }


def command(words: Sequence[str]) -> str:
    """A command line of ours as it is typed, with the last part of each path alone."""
    program = Path(words[0])
    module = (
        ".".join((*program.parts[_package(program) : -1], program.stem)) if program.suffix == ".py" else program.name
    )
    return " ".join(("python -m", module.removesuffix(".__main__"), *(word.rsplit("/", 1)[-1] for word in words[1:])))


def _package(program: Path) -> int:
    return program.parts.index("experiments") if "experiments" in program.parts else -1


def _commit() -> str:
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.stdout.strip()


def _machine() -> str:
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} {torch.cuda.get_device_name()}"
    try:
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        model = None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = model[1] if model else platform.machine()
    return f"{name}, {cores} cores, {torch.get_num_threads()} threads, {float_type()}"
