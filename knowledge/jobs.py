"""Jobs: one training run for one namespace, made of one or more attempts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from knowledge.errors import IllegalMove


class JobStatus(StrEnum):
    """Where a job stands. `failed` ran and was refused; `dead` died too often to be tried again by itself."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    TRAINING = "training"
    PROBING = "probing"
    PUBLISHING = "publishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"


RUNNING = frozenset({JobStatus.CLAIMED, JobStatus.TRAINING, JobStatus.PROBING, JobStatus.PUBLISHING})
ENDED = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.DEAD})
# From any running step: back to the queue, claimed anew after a worker died, or ended.
_STOPS = frozenset({JobStatus.QUEUED, JobStatus.CLAIMED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.DEAD})

_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.CLAIMED, JobStatus.CANCELLED, JobStatus.DEAD}),
    JobStatus.CLAIMED: frozenset({JobStatus.TRAINING, JobStatus.SUCCEEDED}) | _STOPS,  # some need no training
    JobStatus.TRAINING: frozenset({JobStatus.PROBING}) | _STOPS,
    JobStatus.PROBING: frozenset({JobStatus.TRAINING, JobStatus.PUBLISHING}) | _STOPS,
    JobStatus.PUBLISHING: frozenset({JobStatus.SUCCEEDED}) | _STOPS,
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
    JobStatus.DEAD: frozenset({JobStatus.QUEUED}),
}


def check_job_move(old: JobStatus, new: JobStatus) -> None:
    """Raises `IllegalMove` unless the transition table has `old` → `new`."""
    if new not in _MOVES[old]:
        raise IllegalMove(f"A job that is {old} cannot become {new}.")


@dataclass(frozen=True)
class Lease:
    """The right to write to a job: valid while `token` is the job's newest and `expires_at` has not passed."""

    job_id: str
    token: int
    expires_at: datetime


@dataclass(frozen=True)
class Progress:
    """How far the running attempt is. Times in seconds; `loss` in nats a token; `tokens` computed; `percent` 0..100."""

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_second: float
    percent: float
    eta_seconds: float
    probes_passed: int
    probes: int


@dataclass(frozen=True)
class Job:
    """One training run for one namespace. It will publish (or did publish) version `version`.

    `forget_ids` are facts that its version is built without because someone asked for that, `trace_parent` the context
    of the trace in which it was posted (`knowledge/tracing.py`).
    """

    id: str
    namespace: str
    version: int
    status: JobStatus
    attempts: int
    fact_ids: tuple[str, ...]
    progress: Progress | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    forget_ids: tuple[str, ...] = ()
    trace_parent: str | None = None


class Part(StrEnum):
    """What a training exercise does with a piece of its text: shows it, hides it, or has the model learn to say it."""

    SHOWN = "shown"
    HIDDEN = "hidden"
    LEARNT = "learnt"


@dataclass(frozen=True)
class Piece:
    """A run of an exercise's tokens as text, chat form and special tokens included, as the model sees it."""

    part: Part
    text: str


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened to a job. `id` grows.

    `kind` is `status`, `progress`, `log`, `recipe` (what an attempt trains with) or `example` (what it trains on).
    """

    id: int
    job_id: str
    kind: str
    at: datetime
    data: dict[str, object]


INJECT_TASK = "engrain.inject"
"""Name of the Celery task that takes a job id: all that the service and the worker agree on."""

QUEUE = "engrain"
