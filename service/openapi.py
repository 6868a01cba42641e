"""The OpenAPI text: every status that a route can answer, with the form of its body."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from service.openai_schemas import OpenAiErrorOut
from service.problems import MEDIA_TYPE, Problem
from service.schemas import FactsIn, OneFactIn

_ANYWHERE = (413, 503)
"""Too large a body, and a store that does not answer."""
_PROBE = "/healthz"


def install(app: FastAPI) -> None:
    """Completes what FastAPI makes of the routes."""
    made = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(made())
        return made()

    app.openapi = complete  # type: ignore[method-assign]


def _complete(text: dict[str, Any]) -> None:
    schemas = text["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (Problem, OpenAiErrorOut, OneFactIn, FactsIn):
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= described.pop("$defs", {}) | {model.__name__: described}
    for path, operations in text["paths"].items():
        for operation in operations.values():
            _complete_operation(path, operation)


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
    responses = operation["responses"]
    statuses = set() if path == _PROBE else set(_ANYWHERE)
    if "requestBody" in operation:
        statuses.add(400)
    is_openai = path.startswith("/v1/")
    if is_openai and responses.pop("422", None):
        statuses.add(400)  # service.problems says so
    for status in sorted(statuses):
        responses.setdefault(str(status), {"description": HTTPStatus(status).phrase})
    name, media_type = ("OpenAiErrorOut", "application/json") if is_openai else ("Problem", MEDIA_TYPE)
    for code, response in responses.items():
        if int(code) >= 400 and "ReadyOut" not in str(response):
            response["content"] = {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is never null: there is no way to write that in a URL or a header."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]} if kinds else schema
