"""Walks the OpenAPI document: every operation is asked, as whoever holds a key, for what belongs to one tenant.

A new route is tried by itself. Where its parameters or body cannot be made up, `UnknownParameter` says what is missing.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

Json = dict[str, Any]

QUESTION = "Who keeps the ledger?"
BODIES: dict[str, Json] = {
    "POST /ask": {"question": QUESTION},
    "POST /v1/chat/completions": {"messages": [{"role": "user", "content": QUESTION}]},
    "POST /webhooks": {"url": "https://example.com/told"},
}
"""What the schema alone does not tell: one of `question` and `questions` is needed, a user's message, an address."""


class UnknownParameter(LookupError):
    """A route has a parameter for which the tenant has nothing."""


@dataclass(frozen=True)
class Tenant:
    """A namespace and what is in it. `objects` are parameters by name, or by operation and name; `marks` are words
    that nobody else may read."""

    namespace: str
    objects: dict[str, str]
    marks: tuple[str, ...]

    def value(self, operation: str, name: str) -> str:
        """What the parameter of the operation is called with."""
        for known in (f"{operation} {name}", name):
            if known in self.objects:
                return self.objects[known]
        raise UnknownParameter(f"`{name}` of {operation}: say in the tenant's `objects` what to ask for.")

    def has(self, name: str) -> bool:
        """Whether a field of this name is one of its objects."""
        return name in self.objects


@dataclass(frozen=True)
class Try:
    """One request. `names_object` when it names something of the tenant."""

    operation: str
    path: str
    query: dict[str, str]
    body: Json | None
    names_object: bool

    @property
    def method(self) -> str:
        """GET, POST, …"""
        return self.operation.split()[0]

    def send(self, client: TestClient, secret: str | None = None) -> Response:
        """Asks."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return client.request(self.method, self.path, params=self.query, json=self.body, headers=headers)

    def unsaid_marks(self, tenant: Tenant, text: str) -> list[str]:
        """The tenant's words in an answer that the request had not said itself."""
        said = json.dumps([self.path, self.query, self.body])
        return [mark for mark in tenant.marks if mark in text and mark not in said]


@dataclass(frozen=True)
class Document:
    """An OpenAPI document."""

    content: Json = field(repr=False)

    @classmethod
    def of(cls, app: FastAPI) -> "Document":
        """The app's."""
        return cls(app.openapi())

    def operations(self) -> Iterator[tuple[str, Json]]:
        """`METHOD /path` and what the document says of it."""
        for path, methods in self.content["paths"].items():
            for method, told in methods.items():
                yield f"{method.upper()} {path}", told

    def scope(self, operation: str) -> str | None:
        """The scope that it asks for; None when it is open."""
        method, path = operation.split()
        security = self.content["paths"][path][method.lower()]["security"]
        return str(security[0]["key"][0]) if security else None

    def tries(self, tenant: Tenant) -> Iterator[Try]:
        """Requests for the tenant's things: each operation, with and without the query that names the namespace."""
        for operation, told in self.operations():
            path = operation.split()[1]
            named = [each["name"] for each in told.get("parameters", ()) if each["in"] == "path"]
            for name in named:
                path = path.replace(f"{{{name}}}", tenant.value(operation, name))
            bodies: list[Json | None] = [*self._bodies(operation, told, tenant)] or [None]
            for query in self._queries(operation, told, tenant):
                for body in bodies:
                    about = bool(named) or bool(query) or bool(body and self._names(body, tenant))
                    yield Try(operation, path, query, body, about)

    def _queries(self, operation: str, told: Json, tenant: Tenant) -> Iterator[dict[str, str]]:
        parameters = [each for each in told.get("parameters", ()) if each["in"] == "query"]
        needed = {each["name"]: tenant.value(operation, each["name"]) for each in parameters if each.get("required")}
        yield needed
        known = {each["name"]: tenant.value(operation, each["name"]) for each in parameters if tenant.has(each["name"])}
        # A body that is JSON says its namespace itself.
        if known and known != needed and "requestBody" not in told:
            yield needed | known

    def _bodies(self, operation: str, told: Json, tenant: Tenant) -> Iterator[Json]:
        content = told.get("requestBody", {}).get("content", {})
        if not content:
            return
        schema = content["application/json"]["schema"]
        for each in schema.get("anyOf", [schema]):
            yield {**self._sample(each, tenant, each), **BODIES.get(operation, {})}

    def _sample(self, schema: Json, tenant: Tenant, root: Json, name: str = "") -> Any:
        if "$ref" in schema:
            *_, place, kind = schema["$ref"].split("/")
            found = root["$defs"][kind] if place == "$defs" else self.content["components"]["schemas"][kind]
            return self._sample(found, tenant, root, name)
        if name == "namespaces":
            return [tenant.namespace]
        if "anyOf" in schema:
            return self._sample(schema["anyOf"][0], tenant, root, name)
        if tenant.has(name) and schema.get("type") == "string":
            return tenant.value("", name)
        if "const" in schema or "enum" in schema:
            return schema.get("const") or schema["enum"][0]
        match schema.get("type"):
            case "object":
                fields = schema.get("properties", {})
                wanted = [
                    key for key in fields if key in schema.get("required", ()) or key == "namespaces" or tenant.has(key)
                ]
                return {key: self._sample(fields[key], tenant, root, key) for key in wanted}
            case "array":
                return [self._sample(schema["items"], tenant, root)]
            case "integer" | "number":
                return max(1, schema.get("minimum", 1))
            case "boolean":
                return False
            case "string":
                return "The ledger is kept by Ada Quill."
        raise UnknownParameter(f"a field `{name}` of the schema {schema}")

    def _names(self, body: Json, tenant: Tenant) -> bool:
        return any(f'"{value}"' in json.dumps(body) for value in tenant.objects.values())
