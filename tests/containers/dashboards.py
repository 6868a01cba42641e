"""Grafana's dashboards: their queries, the metrics that these name, and what Prometheus answers to them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import promql_parser

from tests.containers.composition import FILE

FOLDER = FILE.parent / "grafana" / "dashboards"


@dataclass(frozen=True)
class Query:
    """One query of one panel."""

    dashboard: str
    panel: str
    expression: str


def queries(folder: Path = FOLDER) -> list[Query]:
    """Every query of every dashboard."""
    return [
        Query(file.stem, panel["title"], target["expr"])
        for file in sorted(folder.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def metrics_in(expression: str) -> set[str]:
    """The names of the series that the expression selects. Raises `ValueError` for one that is no PromQL."""
    found: set[str] = set()
    _walk(promql_parser.parse(expression), found)
    return found


def without_data(prometheus: str) -> list[Query]:
    """The queries to which a running Prometheus has no answer."""
    with httpx.Client(base_url=prometheus, trust_env=False, timeout=20) as http:
        return [query for query in queries() if not _result(http, query.expression)]


def broken_rules(prometheus: str) -> list[str]:
    """Alerts whose expressions a running Prometheus could not evaluate."""
    groups = httpx.get(f"{prometheus}/api/v1/rules", trust_env=False).raise_for_status().json()["data"]["groups"]
    return [rule["name"] for group in groups for rule in group["rules"] if rule["health"] != "ok"]


def firing(prometheus: str) -> set[str]:
    """Names of the alerts that fire now."""
    alerts = httpx.get(f"{prometheus}/api/v1/alerts", trust_env=False).raise_for_status().json()["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def _result(http: httpx.Client, expression: str) -> list[Any]:
    data = http.get("/api/v1/query", params={"query": expression}).raise_for_status().json()
    result: list[Any] = data["data"]["result"]
    return result


def _walk(expression: Any, found: set[str]) -> None:
    if isinstance(expression, promql_parser.VectorSelector) and expression.name:
        found.add(expression.name)
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "args", "param"):
        for inner in _as_list(getattr(expression, name, None)):
            _walk(inner, found)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
