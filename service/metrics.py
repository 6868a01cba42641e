"""Prometheus metrics: what this process saw, and what the store holds at the moment of the scrape."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from knowledge.facts import FactStatus
from knowledge.jobs import JobStatus
from knowledge.store import Store, facts, jobs, webhooks
from knowledge.webhooks import DeliveryStatus

PROCESS = CollectorRegistry()

REQUEST_SECONDS = Histogram(
    "engrain_request_seconds",
    "Time from the request to the end of its answer.",
    ["method", "route", "status"],
    registry=PROCESS,
    buckets=(0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
ANSWERS = Counter("engrain_answers_total", "Answers by what they came from.", ["source"], registry=PROCESS)
ABSTENTIONS = Counter("engrain_abstentions_total", "Answers withheld for their low lift.", registry=PROCESS)
ANSWER_TOKENS = Counter("engrain_answer_tokens_total", "Tokens written in answers.", registry=PROCESS)


class _StoreCollector(Collector):
    """Facts and jobs by status, summed over namespaces: the labels stay bounded however many there are."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every status appears, with 0 where there is none."""
        by_status = dict.fromkeys((status.value for status in FactStatus), 0)
        for (_, status), number in facts.counts(self._store).items():
            by_status[status] += number
        fact_metric = GaugeMetricFamily("engrain_facts", "Facts by status.", labels=["status"])
        for status, number in by_status.items():
            fact_metric.add_metric([status], number)
        yield fact_metric
        job_counts = jobs.counts(self._store)
        job_metric = GaugeMetricFamily("engrain_jobs", "Jobs by status.", labels=["status"])
        for job_status in JobStatus:
            job_metric.add_metric([job_status.value], job_counts.get(job_status.value, 0))
        yield job_metric
        deliveries = webhooks.counts(self._store)
        delivery_metric = GaugeMetricFamily(
            "engrain_webhook_deliveries", "Webhook deliveries by status.", labels=["status"]
        )
        for delivery_status in DeliveryStatus:
            delivery_metric.add_metric([delivery_status.value], deliveries.get(delivery_status.value, 0))
        yield delivery_metric


class _Both(CollectorRegistry):
    def __init__(self, store: Store) -> None:
        super().__init__()
        self.register(PROCESS)
        self.register(_StoreCollector(store))


def registry(store: Store) -> CollectorRegistry:
    """Everything that `/metrics` shows."""
    return _Both(store)
