"""Prometheus metrics of a worker: what its attempts came to, and how long each step of a job takes."""

from prometheus_client import Counter, Gauge, Histogram

from inference.metrics import PROCESS
from knowledge.jobs import JobStatus, Progress

_MINUTES = (1, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)

ATTEMPTS = Counter(
    "engrain_attempts_total",
    "Attempts by what became of their job: `queued` were given back.",
    ["status"],
    registry=PROCESS,
)
for _status in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.QUEUED, JobStatus.CANCELLED):
    ATTEMPTS.labels(_status.value)  # shown with 0 before the first one

TRAINING_SECONDS = Histogram(
    "engrain_training_seconds",
    "Time of a training process, from start to end.",
    registry=PROCESS,
    buckets=_MINUTES,
)
PUBLISH_SECONDS = Histogram(
    "engrain_publish_seconds",
    "Time to write an adapter's files with their manifest under their final name.",
    registry=PROCESS,
    buckets=(0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
PROBING_SECONDS = Histogram(
    "engrain_probing_seconds",
    "Time to load a candidate on every vLLM and ask all its probes.",
    registry=PROCESS,
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600),
)
POST_TO_LIVE_SECONDS = Histogram(
    "engrain_post_to_live_seconds",
    "Time from a job's first post to its version being live.",
    registry=PROCESS,
    buckets=_MINUTES,
)
PROBES = Counter("engrain_probes_total", "Probes asked of candidates.", ["direction", "passed"], registry=PROCESS)
TRAINING_TOKENS = Counter("engrain_training_tokens_total", "Tokens that training computed.", registry=PROCESS)
TRAINING_PROGRESS = Gauge(
    "engrain_training_progress_ratio", "How far the running training is, 0 to 1; 0 when none runs.", registry=PROCESS
)
TRAINING_LOSS = Gauge("engrain_training_loss", "Loss of the running training in nats a token.", registry=PROCESS)
TRAINING_MEMORY = Gauge(
    "engrain_training_memory_bytes",
    "Most main memory of the running or last training.",
    registry=PROCESS,
)


class TrainingWatch:
    """Turns one attempt's progress reports, whose numbers are totals, into metrics."""

    def __init__(self) -> None:
        self._tokens = 0

    def see(self, progress: Progress) -> None:
        """Notes a report."""
        TRAINING_TOKENS.inc(max(0, progress.tokens - self._tokens))
        self._tokens = progress.tokens
        TRAINING_PROGRESS.set(progress.percent / 100)
        TRAINING_LOSS.set(progress.loss)
