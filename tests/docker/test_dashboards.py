"""Dashboards and alerts ask only for metrics that are there, and every alert is explained."""

import re
from pathlib import Path

import pytest
import yaml

import worker.metrics  # noqa: F401 - a worker's metrics are there too
from inference.adapters import Replicas
from knowledge.store import Store
from knowledge.store.schema import upgrade
from service.metrics import registry
from tests.containers.composition import FILE
from tests.containers.dashboards import Query, metrics_in, queries

ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((FILE.parent / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
OPERATIONS = (FILE.parents[1] / "docs" / "operations.md").read_text()
# Prometheus' own, and those of vLLM that `make compose-check` finds in a running one.
FOREIGN = {"up", "vllm:num_requests_running", "vllm:num_requests_waiting"}


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of all series that a service and a worker can show."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/store.sqlite3"
    upgrade(url)
    store = Store(url)
    names = set()
    for metric in registry(store, Replicas(["http://127.0.0.1:1"])).collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric.type, [""])
        names |= {metric.name + ending for ending in endings}
    store.close()
    return names


@pytest.mark.parametrize("query", queries(), ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_a_panel_asks_for_metrics_that_are_there(query: Query, exposed: set[str]) -> None:
    names = metrics_in(query.expression)
    assert names and names <= exposed | FOREIGN


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_watches_metrics_that_are_there_and_says_what_to_do(alert: str, exposed: set[str]) -> None:
    names = metrics_in(ALERTS[alert])
    assert names and names <= exposed | FOREIGN
    section = OPERATIONS.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.search(rf"^\| `{alert}` \| \S", section, flags=re.MULTILINE)


def test_every_dashboard_has_an_identity_of_its_own() -> None:
    boards = [
        yaml.safe_load(Path(file).read_text()) for file in (FILE.parent / "grafana" / "dashboards").glob("*.json")
    ]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(boards) == 3
    for board in boards:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
