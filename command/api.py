"""Talks to a running Engrain over HTTP, as any other client does."""

import json
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from knowledge.errors import EngrainError, Unavailable
from knowledge.settings import CLIENT_KEY

ANSWER_SECONDS = 330.0
"""Longer than the longest wait that the service grants (`ENGRAIN_MAX_WAIT_SECONDS`)."""

RECONNECTS = 5
ENDED = frozenset({"succeeded", "failed", "cancelled", "dead"})
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Refused(EngrainError):
    """The service answered with a problem (RFC 9457). `problem` is its JSON."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem.get('title', 'Refused')}: {self.problem.get('detail', self.problem.get('status', ''))}"


def key_header() -> dict[str, str]:
    """The header that carries the key of `ENGRAIN_API_KEY`; none without one."""
    key = os.environ.get(CLIENT_KEY, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


class Api:
    """The HTTP contract in as many words as the commands need. Closes with its `with` block.

    The API key is that of `ENGRAIN_API_KEY`, if there is one.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        trust_proxies = urlsplit(self.url).hostname not in _LOOPBACK
        self._client = httpx.Client(
            base_url=self.url,
            headers=key_header(),
            timeout=ANSWER_SECONDS,
            trust_env=trust_proxies,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """GET; the JSON object. Query parameters that are None are left out."""
        return self._call("GET", path, params={name: str(value) for name, value in query.items() if value is not None})

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST with a JSON body; the JSON object."""
        return self._call("POST", path, json=body)

    def delete(self, path: str) -> dict[str, Any]:
        """DELETE; the JSON object."""
        return self._call("DELETE", path)

    def teach(self, documents: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
        """Posts documents; gives the job and the version that will hold them."""
        return self.post("/facts", {"documents": documents, "namespace": namespace})

    def ask(self, question: str, **options: Any) -> dict[str, Any]:
        """Asks; options that are None are left out."""
        named = {name: value for name, value in options.items() if value is not None}
        return self.post("/ask", {"question": question, **named})

    def job_events(self, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kinds and data of a job's events until its final status. Reconnects where it stopped."""
        last, misses = "", 0
        while misses <= RECONNECTS:
            try:
                for number, kind, data in self._events(job_id, last):
                    last, misses = number or last, 0
                    yield kind, data
                    if kind == "status" and data.get("status") in ENDED:
                        return
            except httpx.TransportError:
                pass
            misses += 1
        raise Unavailable(f"{self.url} stopped telling about {job_id}.")

    def _events(self, job_id: str, last: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        with self._client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
            if response.status_code != 200:
                response.read()
                raise Refused(_problem(response))
            yield from parse_events(response.iter_lines())

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise Unavailable(
                f"{self.url} does not answer ({error}). Start it with `engrain up`, or say where it is with --url."
            ) from error
        if response.is_error:
            raise Refused(_problem(response))
        found = response.json()
        assert isinstance(found, dict)
        return found


def parse_events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Server-sent events as (id, kind, data), from the lines of the stream. Comments and keep-alives are skipped."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    return {"title": response.reason_phrase, "status": response.status_code, "detail": response.text[:300]}
