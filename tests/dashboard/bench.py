"""Benchmark of the dashboard: each page's time to its first response with 10,000 facts and 1,000 jobs stored."""

import argparse
import contextlib
import json
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from fastapi.testclient import TestClient

from inference.adapters import Replicas
from knowledge.settings import Settings
from knowledge.store import Store, facts, jobs, line
from knowledge.store.schema import upgrade
from service.app import create_app
from service.parts import Parts
from tests.dashboard.seed import large
from tests.dashboard.site import NoBroker
from tests.inference.fake_vllm import FakeVllm, transport

MOST_SECONDS = 0.1
ROUNDS = 7


@contextmanager
def opened(settings: Settings) -> Iterator[TestClient]:
    """A client on this machine, in the service's own process: no network in between."""

    def open_parts(given: Settings) -> Parts:
        own = Store(given.store)
        replicas = Replicas(given.replicas, transport({given.replicas[0]: FakeVllm()}))
        return Parts.around(given, own, NoBroker(given, own), replicas)

    app = create_app(settings, open_parts)
    with TestClient(app, "http://localhost", client=("127.0.0.1", 50000)) as client:
        yield client


def pages(store: Store) -> list[str]:
    """Every page, with the largest namespace and the longest lists."""
    fact = facts.find(store, "default", newest_first=True, limit=1)[0].id
    [job, other] = [each.id for each in jobs.find(store, "default", limit=2)]
    newest = line.line(store, "default", limit=2)
    new, old = newest[0].number, newest[1].number
    middle = facts.find(store, newest_first=True, limit=5000)[-1].id
    return [
        "", "/overview/now", "/overview/answers", "/overview/namespaces", "/facts", f"/facts?before={middle}",
        "/facts?q=ledger", "/facts?q=nobody+has+said+this", "/facts?status=weak&namespace=default",
        f"/facts?namespace=default&version={new}", f"/facts/{fact}", "/jobs", "/jobs?status=failed", f"/jobs/{job}",
        f"/jobs/compare?job={job}&job={other}", "/versions", f"/versions/default/{new}",
        f"/versions/default/diff?old={old}&new={new}", f"/versions/default/{old}/activate", "/ask", "/settings",
        "/settings/keys", "/settings/webhooks", "/settings/audit", f"/facts/{fact}/forget",
    ]  # fmt: skip


LATER = ("/overview/scores", "/overview/capacity", "/versions/default/capacity")
"""Parts that a page loads when it is there."""


def show(client: TestClient, page: str, most_seconds: float = math.inf) -> float:
    """Asks for it several times and prints how long that took; returns the median in seconds."""
    taken = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        response = client.get(f"/dashboard{page}")
        taken.append(time.perf_counter() - started)
        assert response.status_code == 200, (page, response.status_code)
    median = statistics.median(taken[1:])
    figures = " ".join(f"{1000 * each:6.1f}" for each in (min(taken), median, max(taken[1:])))
    print(f"{figures}  /dashboard{page}{'  too long' if median > most_seconds else ''}", flush=True)
    return median


def main() -> None:
    """Prints the least, median and longest time of several requests for each page; the last line is JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--store-url", default="", help="an empty PostgreSQL instead of a SQLite file")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_folder=Path(folder), store_url=arguments.store_url, webhook_attempts=0)
        upgrade(settings.store)
        with contextlib.closing(Store(settings.store)) as store, opened(settings) as client:
            large(store)
            print("least, median, longest ms")
            medians = {page: show(client, page, MOST_SECONDS) for page in pages(store)}
            for part in LATER:
                show(client, part)
    slowest = max(medians, key=lambda page: medians[page])
    longest = round(1000 * medians[slowest], 1)
    print(json.dumps({"pages": len(medians), "slowest": slowest, "milliseconds": longest}))


if __name__ == "__main__":
    main()
