"""Prometheus metrics of this process: the registry that its parts add to, and a port to show it."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server

log = structlog.get_logger()

PROCESS = CollectorRegistry()
ProcessCollector(registry=PROCESS)

LOAD_SECONDS = Histogram(
    "engrain_load_seconds",
    "Time to check an adapter's files, load them into one vLLM and make its first token.",
    registry=PROCESS,
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
LOADS = Counter(
    "engrain_loads_total", "Adapters brought to one vLLM: `loaded`, or `failed`.", ["outcome"], registry=PROCESS
)


def serve(address: str, registry: CollectorRegistry) -> None:
    """Shows the registry at `host:port`, from a thread, to whoever reaches it; a port that is taken is only logged."""
    host, _, port = address.rpartition(":")
    try:
        start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        log.warning("the metrics are not shown", address=address, error=str(error))
