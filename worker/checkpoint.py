"""Where an interrupted training run stood, in one file that is whole or not there.

The file is a line with the SHA-256 of the rest, then what `torch.save` makes of a header and a `State`. It is read with
`weights_only`, so it can hold no code. The header ties it to one run: the same job, base model, recipe, lessons, seed
and adapter to continue from. Anything else, or a damaged file, is as good as none: training starts from the beginning.
"""

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from worker.questions import Written
from worker.spec import TrainingSpec


@dataclass(frozen=True)
class State:
    """A run after `step` steps.

    `last` is the step that ends it as things stand, `look` that of the next look at the probes, `settled` whether one
    has passed, `reached` how many passed so far. The batches need no state: they are drawn again from their seed, and
    from `written`. `weights` are the adapter's, by parameter name, `average` what `worker/averaging.py` made of them.
    """

    step: int
    last: int
    look: int
    settled: bool
    tokens: int
    reached: int
    loss: float
    seconds: float
    written: Written
    weights: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    rng: torch.Tensor


def save(state: State, spec: TrainingSpec) -> None:
    """Writes `spec.checkpoint` in the place of an older one. Raises `OSError`."""
    path = Path(spec.checkpoint)
    buffer = io.BytesIO()
    torch.save({"run": identity(spec), **state.__dict__}, buffer)
    content = buffer.getvalue()
    making = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with making.open("wb") as stream:
            stream.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            stream.flush()
            os.fsync(stream.fileno())
        making.rename(path)
    finally:
        making.unlink(missing_ok=True)


def load(spec: TrainingSpec) -> State | None:
    """What `save` wrote for this very run; None when there is nothing, or nothing that can be trusted."""
    try:
        digest, _, content = Path(spec.checkpoint).read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    found = torch.load(io.BytesIO(content), weights_only=True)
    if found.pop("run") != identity(spec):
        return None
    return State(**found)


def identity(spec: TrainingSpec) -> str:
    """Equal for two attempts of a job that would train the same thing from the same start."""
    run = {name: value for name, value in asdict(spec).items() if name not in ("output", "threads", "memory_gib")}
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()
