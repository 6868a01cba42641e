"""The clients of a drill: they post, ask, roll back and look, all the time, and write down what they were told."""

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from command.api import key_header
from command.drill.history import History, Line
from knowledge.adapters import verify_manifest
from knowledge.errors import CorruptAdapter

UNKNOWN = (httpx.HTTPError, ValueError)
"""No answer, or half of one."""

_GIVEN = "Ada Bo Cy Dora Esme Finn Gus Hope Ida Jud Kit Lena Moss Nell Otis Pia Quin Rhea Sid Tess".split()
_FAMILY = (
    "Alder Birch Carr Dell Elm Fenn Gale Holt Irwin Jarl Knox Lund Marsh North Oake Pell Quill Rook Sale Thorn".split()
)
_TRADES = "smith tailor ferryman warden baker joiner glazier archivist miller cooper".split()


_ROLLED = tuple("02468")
"""How the names of the namespaces end that are rolled back; the others are left alone."""


@dataclass
class Known:
    """What the clients have been told so far."""

    versions: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Versions that were promised, by namespace."""
    names: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Clients:
    """Talks HTTP to the service as its users do. Safe to use from several threads."""

    def __init__(self, url: str, history: History, *, prefix: str, seed: int, per_namespace: int = 4) -> None:
        self.http = httpx.Client(base_url=url, headers=key_header(), timeout=40, trust_env=False)
        self.history = history
        self.known = Known()
        self._prefix, self._per_namespace = prefix, per_namespace
        self._rng = random.Random(seed)
        self._posted = 0
        self._lock = threading.Lock()

    def namespaces(self) -> list[str]:
        """Those that were posted to."""
        return sorted(self.known.versions)

    def document(self, namespace: str = "") -> tuple[str, dict[str, Any]]:
        """An invented fact for the next namespace, or this one. Most bring a probe that says nothing about learning.

        The drill's recipe teaches nothing, so a fact that is to become live is asked what the base model knows.
        """
        with self._lock:
            number, self._posted = self._posted, self._posted + 1
        name = f"{self._rng.choice(_GIVEN)} {self._rng.choice(_FAMILY)} {number}"
        body: dict[str, Any] = {"text": f"{name} is the {self._rng.choice(_TRADES)} of Orrin {number}."}
        if number % 5 < 4:
            body["probes"] = [{"question": "What is the capital of France?", "answer": "Paris"}]
        namespace = namespace or f"{self._prefix}-{number // self._per_namespace}"
        self.known.names[namespace].append(name)
        return namespace, body

    def post(self, namespace: str = "", deadline_seconds: float = 120.0) -> Line | None:
        """Teaches one invented fact, again and again under one key until it is answered; None if it never is."""
        namespace, body = self.document(namespace)
        key = f"{self._prefix}-{body['text']}"
        deadline = time.monotonic() + deadline_seconds
        while time.monotonic() < deadline:
            told = self.post_once(namespace, body, key)
            if told is not None:
                return told
            time.sleep(0.5)
        return None

    def post_once(self, namespace: str, body: dict[str, Any], key: str) -> Line | None:
        """One request; the answer, if it was kept."""
        text = body["text"]
        with self.history.operation("post", namespace=namespace, text=text, idempotency_key=key) as line:
            line |= {"status": None, "facts": [], "version": None}
            try:
                response = self.http.post(
                    "/facts", json={**body, "namespace": namespace}, headers={"Idempotency-Key": key}
                )
                told: Line = response.json()
            except UNKNOWN:
                return None
            line["status"] = response.status_code
            if response.status_code not in (200, 202):
                return None
            line["facts"], line["version"] = [fact["id"] for fact in told["facts"]], told["version"]
        if told["version"] is not None:
            self.known.versions[namespace].append(told["version"])
        return told

    def ask(self, rng: random.Random) -> None:
        """One question: of whatever is live, of at least a promised version, or of a version by its number."""
        namespace = rng.choice(self.namespaces())
        promised = rng.choice(self.known.versions[namespace])
        wish = rng.choice(["live", "least", "named"])
        asked = promised if wish == "named" else None
        least = promised if wish == "least" else None
        body = {
            "question": f"Who is {rng.choice(self.known.names[namespace])}?",
            "namespace": namespace,
            "max_tokens": 4,
            "version": asked,
            "min_version": least,
            "wait_seconds": 5.0 if least else 0.0,
        }
        with self.history.operation("ask", namespace=namespace, asked_version=asked, min_version=least) as line:
            line |= {"status": None, "version": None, "adapter": None, "source": None}
            try:
                response = self.http.post("/ask", json=body)
                told = response.json()
            except UNKNOWN:
                return
            line["status"] = response.status_code
            if response.status_code == 200:
                line |= {name: told[name] for name in ("version", "adapter", "source")}

    def post_to_one_version(self) -> None:
        """Teaches a fact to a namespace that has one version and could be rolled back if it had two."""
        for namespace in self.namespaces():
            statuses = [each["status"] for each in self.look(namespace)]
            if namespace.endswith(_ROLLED) and "live" in statuses and "retired" not in statuses:
                self.post(namespace)
                return

    def activate(self, rng: random.Random) -> bool:
        """Rolls a namespace back or forth; whether there was one that can be."""
        for namespace in rng.sample(self.namespaces(), len(self.namespaces())):
            if namespace.endswith(_ROLLED) and self.activate_in(namespace, rng):
                return True
        return False

    def activate_in(self, namespace: str, rng: random.Random) -> bool:
        """Rolls this namespace; False when it has but one version."""
        seen = self.look(namespace)
        able = [each["version"] for each in seen if each["status"] in ("live", "retired")]
        if len(able) < 2:
            return False
        number = rng.choice([each["version"] for each in seen if each["status"] == "retired"])
        with self.history.operation("activate", namespace=namespace, version=number) as line:
            line["status"] = None
            try:
                line["status"] = self.http.post(f"/namespaces/{namespace}/versions/{number}/activate").status_code
            except UNKNOWN:
                return True
        return True

    def look(self, namespace: str) -> list[Line]:
        """The namespace's versions now; writes down which are live."""
        began = self.history.now()
        try:
            response = self.http.get(f"/namespaces/{namespace}/versions")
            found: list[Line] = response.json()["versions"] if response.status_code == 200 else []
        except UNKNOWN:
            return []
        with self.history.operation("seen", namespace=namespace) as line:
            line["began"] = began
            line["live"] = [each["version"] for each in found if each["status"] == "live"]
        return found

    def everything(self, path: str, name: str) -> list[Line]:
        """All things of a list of the service, page by page. Raises `httpx.HTTPError`."""
        found: list[Line] = []
        query: dict[str, Any] = {"limit": 1000}
        while True:
            response = self.http.get(path, params=query)
            response.raise_for_status()
            page = response.json()
            found += page[name]
            if page.get("next") is None:
                return [each for each in found if str(each["namespace"]).startswith(f"{self._prefix}-")]
            query["after"] = page["next"]

    def unfinished(self) -> list[Line]:
        """Our jobs that have not ended; raises as `everything`."""
        ended = ("succeeded", "failed", "cancelled", "dead")
        return [job for job in self.everything("/jobs", "jobs") if job["status"] not in ended]

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()


def is_whole(folder: str) -> bool:
    """Whether an adapter's files are what its manifest says."""
    try:
        verify_manifest(Path(folder))
    except CorruptAdapter:
        return False
    return True


def loaded(model_server: str) -> list[Line] | None:
    """What a model server holds now, each checked against its manifest; None when it does not answer."""
    try:
        cards = httpx.get(f"{model_server}/v1/models", timeout=5, trust_env=False).json()["data"]
    except (*UNKNOWN, KeyError):
        return None
    return [{"name": card["id"], "whole": is_whole(card["root"])} for card in cards if card.get("parent") is not None]
