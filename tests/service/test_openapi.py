"""The OpenAPI text says what the service answers."""

import json
import sys
import unicodedata
from typing import Any

import pytest
from fastapi.testclient import TestClient

from knowledge.facts import BLANK_CHARACTERS, is_blank
from tests.fuzz.__main__ import summary


@pytest.fixture
def text(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


def test_every_error_has_the_form_that_is_written_there(text: dict[str, Any]) -> None:
    for path, operations in text["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) < 400 or path == "/readyz":
                    continue
                media_type, name = ("application/problem+json", "Problem")
                if path.startswith("/v1/"):
                    media_type, name = ("application/json", "OpenAiErrorOut")
                expected = {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
                assert response["content"] == expected, (path, status)


def test_every_reference_leads_to_a_schema(text: dict[str, Any]) -> None:
    references = {
        word.removeprefix("#/components/schemas/")
        for word in json.dumps(text).split('"')
        if word.startswith("#/components/schemas/")
    }
    assert references <= set(text["components"]["schemas"])
    assert "$defs" not in json.dumps(text)


def test_a_wrong_method_is_told_all_that_the_path_takes(client: TestClient) -> None:
    for path, methods in (("/facts", "GET, POST"), ("/webhooks/webhook_0", "DELETE, GET"), ("/healthz", "GET")):
        response = client.put(path)
        assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")
        assert response.headers["Allow"] == methods


def test_blank_is_what_unicode_says() -> None:
    blank = {"Cc", "Cf", "Zs", "Zl", "Zp"}
    characters = map(chr, range(sys.maxunicode + 1))
    wrong = [c for c in characters if (c.isspace() or unicodedata.category(c) in blank) != is_blank(c)]
    assert wrong == [], BLANK_CHARACTERS


def test_the_fuzzers_last_line_counts_requests_checks_and_failures() -> None:
    checks = {"a": [{"status": "success"}, {"status": "failure"}], "b": [{"status": "success"}]}
    scenario = {"ScenarioFinished": {"recorder": {"interactions": {"a": {}, "b": {}}, "checks": checks}}}
    events: list[dict[str, Any]] = [{"ScenarioStarted": {}}, scenario, scenario, {"NonFatalError": {}}]
    assert summary(map(json.dumps, events)) == {"cases": 4, "checks": 6, "failures": 2, "errors": 1}
