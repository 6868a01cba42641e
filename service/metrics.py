"""Prometheus metrics: what this process saw, and what the store holds at the moment of the scrape."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from inference.adapters import Replicas
from inference.metrics import PROCESS
from knowledge.adapters import VersionStatus
from knowledge.facts import FactStatus
from knowledge.jobs import JobStatus
from knowledge.store import Store, facts, jobs, versions, webhooks
from knowledge.webhooks import DeliveryStatus

MOST_LABELS = 20
"""Most namespaces and versions that become labels: a series costs Prometheus memory for as long as it keeps data."""

WORKER_SEEN_SECONDS = 45.0

REQUEST_SECONDS = Histogram(
    "engrain_request_seconds",
    "Time from the request to the end of its answer.",
    ["method", "route", "status"],
    registry=PROCESS,
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
ANSWERS = Counter("engrain_answers_total", "Answers by what they came from.", ["source"], registry=PROCESS)
ANSWER_SECONDS = Histogram(
    "engrain_answer_seconds",
    "Time that the model servers took for an answer, by what it came from.",
    ["source"],
    registry=PROCESS,
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 180),
)
ABSTENTIONS = Counter("engrain_abstentions_total", "Answers withheld for their low lift.", registry=PROCESS)
ANSWER_TOKENS = Counter("engrain_answer_tokens_total", "Tokens written in answers.", registry=PROCESS)
POST_TO_ANSWER_SECONDS = Histogram(
    "engrain_post_to_answer_seconds",
    "Time from a job's first post to the first answer from its version in this process.",
    registry=PROCESS,
    buckets=(10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400),
)


class VersionAnswers(Collector):
    """Answers by namespace and version: of those that answered last; what the others had said is summed as `other`."""

    def __init__(self, most: int = MOST_LABELS) -> None:
        self._most = most
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._other = 0
        self._lock = Lock()

    def count(self, namespace: str, version: int) -> None:
        """Notes one answer."""
        label = (namespace, str(version))
        with self._lock:
            self._counts[label] = self._counts.get(label, 0) + 1
            self._counts.move_to_end(label)
            if len(self._counts) > self._most:
                self._other += self._counts.popitem(last=False)[1]

    def collect(self) -> Iterator[Metric]:
        """The counts now."""
        metric = CounterMetricFamily(
            "engrain_version_answers", "Answers from the weights, by version.", labels=["namespace", "version"]
        )
        with self._lock:
            for label, number in self._counts.items():
                metric.add_metric(label, number)
            metric.add_metric(["other", "other"], self._other)
        yield metric


VERSION_ANSWERS = VersionAnswers()
PROCESS.register(VERSION_ANSWERS)


class _StoreCollector(Collector):
    """Facts, jobs and versions, summed over namespaces: the labels stay bounded however many there are."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Every status appears, with 0 where there is none."""
        facts_by_status: dict[str, int] = {}
        for (_, status), number in facts.counts(self._store).items():
            facts_by_status[status] = facts_by_status.get(status, 0) + number
        yield _by_status("engrain_facts", "Facts by status.", FactStatus, facts_by_status)
        yield _by_status("engrain_jobs", "Jobs by status.", JobStatus, jobs.counts(self._store))
        yield _by_status("engrain_versions", "Versions by status.", VersionStatus, versions.counts(self._store))
        yield _by_status(
            "engrain_webhook_deliveries", "Webhook deliveries by status.", DeliveryStatus, webhooks.counts(self._store)
        )
        yield from self._queue()
        yield from self._live_versions()
        yield from self._connections()

    def _queue(self) -> Iterator[Metric]:
        waiting = jobs.waiting(self._store)
        yield _gauge("engrain_queue_jobs", "Jobs that wait for a worker and are due.", waiting.due)
        yield _gauge("engrain_queue_oldest_seconds", "How long the oldest of them is due.", waiting.oldest_seconds)
        yield _gauge(
            "engrain_outbox_lag_seconds", "Age of the oldest job not sent to the broker.", waiting.unsent_seconds
        )
        seen = jobs.workers_seen(self._store, within_seconds=WORKER_SEEN_SECONDS)
        yield _gauge("engrain_workers", "Workers that were alive in the last 45 s.", len(seen))

    def _live_versions(self) -> Iterator[Metric]:
        """Of the namespaces whose live version is newest."""
        labels = ["namespace", "version"]
        held = GaugeMetricFamily("engrain_live_version_facts", "Facts that a live version holds.", labels=labels)
        score = GaugeMetricFamily(
            "engrain_live_version_score_ratio", "Share of its probes that a live version passed.", labels=labels
        )
        since = GaugeMetricFamily(
            "engrain_live_version_activated_timestamp_seconds", "When it became live.", labels=labels
        )
        for version in versions.newest_live(self._store, MOST_LABELS):
            label = [version.namespace, str(version.number)]
            held.add_metric(label, len(version.fact_ids))
            score.add_metric(label, version.score)
            since.add_metric(label, version.activated_at.timestamp() if version.activated_at else 0.0)
        yield from (held, score, since)

    def _connections(self) -> Iterator[Metric]:
        used, idle = self._store.connections()
        metric = GaugeMetricFamily("engrain_store_connections", "Connections to the store.", labels=["state"])
        metric.add_metric(["used"], used)
        metric.add_metric(["idle"], idle)
        yield metric


class _ReplicaCollector(Collector):
    """The vLLM servers as this process last saw them: the labels are those that exist now."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def collect(self) -> Iterator[Metric]:
        """One sample for each server."""
        labels = ["replica"]
        up = GaugeMetricFamily("engrain_replica_up", "1 for a model server that answers, else 0.", labels=labels)
        adapters = GaugeMetricFamily("engrain_replica_adapters", "Adapters loaded on it.", labels=labels)
        asking = GaugeMetricFamily("engrain_replica_requests", "Requests of this process to it now.", labels=labels)
        for replica in self._replicas.each:
            up.add_metric([replica.url], 0.0 if replica.failures else 1.0)
            adapters.add_metric([replica.url], replica.held)
            asking.add_metric([replica.url], replica.busy)
        yield from (up, adapters, asking)


class _All(CollectorRegistry):
    def __init__(self, store: Store, replicas: Replicas) -> None:
        super().__init__()
        for collector in (PROCESS, _StoreCollector(store), _ReplicaCollector(replicas)):
            self.register(collector)


def registry(store: Store, replicas: Replicas) -> CollectorRegistry:
    """Everything that `/metrics` shows."""
    return _All(store, replicas)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_status(name: str, text: str, statuses: Iterable[str], counts: dict[str, int]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=["status"])
    for status in statuses:
        metric.add_metric([status], counts.get(status, 0))
    return metric
