"""A key of one namespace cannot read, ask, teach, list or activate in another, by whatever route.

The routes come from the OpenAPI document (`tests/service/walk.py`). The same requests are sent with the tenant's own
key, and must work: so a refusal is never that of a request that nobody could have understood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from inference.adapters import Replicas
from knowledge.adapters import Manifest, publish_files
from knowledge.facts import Document as Posting
from knowledge.keys import SYSTEM, Caller, Scope
from knowledge.settings import Settings
from knowledge.store import Store, facts, forgetting, jobs, keys, webhooks
from knowledge.store.schema import upgrade
from knowledge.store.sight import owned
from knowledge.store.tables import KeyRow, Table
from service.app import create_app
from service.dashboard.paths import is_page
from service.gate import OPEN_PATHS, needs, open_to_all
from service.parts import Needs, NeedsAll, Parts
from tests.inference.fake_vllm import FakeVllm, transport
from tests.service.conftest import DeadBroker, claim, teach, visitor
from tests.service.walk import Document, Tenant, Try, UnknownParameter

OPEN = {"GET /healthz", "GET /readyz"}
"""Routes that ask for no key. Whoever adds one here says in docs/operations.md why."""

EVERYWHERE = {
    "GET /metrics",
    "POST /webhooks",
    "GET /webhooks",
    "GET /webhooks/{webhook_id}",
    "DELETE /webhooks/{webhook_id}",
    "GET /webhooks/{webhook_id}/deliveries",
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
}
"""Routes that only a key for all namespaces opens."""

LAST = (
    "DELETE /webhooks/{webhook_id}",
    "POST /jobs/{job_id}/retry",
    "POST /facts",
    "DELETE /facts/{fact_id}",
    "DELETE /keys/{key_id}",
)
"""What leaves nothing to do for the others: the webhook, a failed job, the place in the queue, and the key itself."""


@dataclass
class House:
    """A service with two tenants, and a key of each that may do everything in its own namespace."""

    app: FastAPI
    client: TestClient
    store: Store
    theirs: Tenant
    our_secret: str
    their_secret: str
    root_secret: str

    def rows(self) -> list[str]:
        """Everything in the store that is the tenant's, as text."""
        found = []
        with self.store.read() as session:
            for table in (mapper.class_ for mapper in Table.registry.mappers):
                rule = owned(table, frozenset({self.theirs.namespace}))
                if table is KeyRow:
                    rule = KeyRow.id == self.theirs.objects["key_id"]
                if rule is not None:
                    rows = session.execute(select(table.__table__).where(rule))
                    found += [f"{table.__name__} {tuple(row)}" for row in rows]
        return sorted(found)

    def leaks(self) -> list[str]:
        """What our key got of theirs: words, changes, or an answer other than "it is not there"."""
        return [leak for each in Document.of(self.app).tries(self.theirs) for leak in self._leaks(each)]

    def _leaks(self, each: Try) -> Iterator[str]:
        before = self.rows()
        response = each.send(self.client, self.our_secret)
        if marks := each.unsaid_marks(self.theirs, response.text):
            yield f"{each.operation} tells {marks}"
        if self.rows() != before:
            yield f"{each.operation} changes what is theirs"
        if each.names_object and response.status_code not in (403, 404):
            yield f"{each.operation} answers {response.status_code}"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    settings = Settings(data_folder=tmp_path, broker_port=1, inference_port=1, webhook_attempts=0)
    upgrade(settings.store)
    store = Store(settings.store)
    _furnish(store, tmp_path, "ours", "Pelle Ostrander")
    theirs = _furnish(store, tmp_path, "theirs", "Quillon Varga")
    everything = [Scope.READ, Scope.WRITE, Scope.ADMIN]
    _, our_secret = keys.create(store, "ours", everything, namespaces=["ours"])
    their_key, their_secret = keys.create(store, "Varga's key", everything, namespaces=["theirs"])
    _, root_secret = keys.create(store, "root", everything)
    theirs.objects["key_id"] = their_key.id
    fake = FakeVllm()

    def open_parts(opened: Settings) -> Parts:
        replicas = Replicas(opened.replicas, transport({opened.replicas[0]: fake}))
        own = Store(opened.store)
        return Parts.around(opened, own, DeadBroker(opened, own), replicas)

    app = create_app(settings, open_parts)
    with visitor(app) as client:
        yield House(app, client, store, theirs, our_secret, their_secret, root_secret)
    store.close()


def _furnish(store: Store, folder: Path, namespace: str, name: str) -> Tenant:
    """Two versions, of which the first is not live any more, a job that failed and one that runs."""
    webhook, _ = webhooks.add(store, "https://example.com/told", [], [namespace])
    for number, text in enumerate((f"{name} keeps the ledger.", f"{name} sold the mill."), start=1):
        adapter = f"{namespace}-v{number}"
        (folder / f".making-{adapter}").mkdir()
        (folder / f".making-{adapter}" / "adapter_model.safetensors").write_bytes(adapter.encode())
        manifest = Manifest(adapter, namespace, number, "j", "b", {}, "h", (), "2026-01-01")
        publish_files(folder / f".making-{adapter}", folder / adapter, manifest)
        teach(store, text, adapter=adapter, path=str(folder / adapter), namespace=namespace)
    failed = claim(store, f"{name} fears geese.", namespace=namespace)
    jobs.fail(store, failed, f"{name} was not learnt.")
    running = claim(store, f"{name} hums.", namespace=namespace)
    facts.post(store, namespace, [Posting(f"{name} hums.")], idempotency_key="once")
    forgetting.forget(store, jobs.get(store, failed.job_id).fact_ids[0])
    fact_ids = [fact.id for fact in facts.find(store, namespace)]
    job_ids = [job.id for job in jobs.find(store, namespace)]
    objects = {
        "namespace": namespace,
        "model": namespace,
        "fact_id": fact_ids[0],
        "job_id": failed.job_id,
        "POST /jobs/{job_id}/cancel job_id": running.job_id,
        "number": "1",
        "other": "2",
        "webhook_id": webhook.id,
        "delivery_id": webhooks.deliveries(store, webhook.id, limit=1)[0].id,
    }
    return Tenant(namespace, objects, (name, *name.split(), *fact_ids, *job_ids, f"{namespace}-v"))


def test_no_route_shows_or_changes_what_another_namespace_has(house: House) -> None:
    assert house.leaks() == []


@pytest.mark.enable_socket  # an address is told from a name by asking the resolver, which sends nothing
def test_the_tenant_itself_is_served_by_every_route(house: House) -> None:
    tries = list(Document.of(house.app).tries(house.theirs))
    tries.sort(key=lambda each: LAST.index(each.operation) if each.operation in LAST else -1)
    for each in tries:
        secret = house.root_secret if each.operation in EVERYWHERE else house.their_secret
        response = each.send(house.client, secret)
        assert response.status_code < 400 or each.operation in OPEN, (each, response.text)
        if each.method == "GET" and each.operation not in OPEN | EVERYWHERE:
            marks = each.unsaid_marks(house.theirs, response.text)
            assert marks or "theirs" in response.text, (each, response.text)


def test_a_planted_route_that_forgets_the_namespace_is_caught(house: House) -> None:
    @house.app.get("/planted/{fact_id}")
    def read(fact_id: str, parts: NeedsAll) -> str:
        return facts.get(parts.store, fact_id).text

    @house.app.get("/planted")
    def look(parts: NeedsAll) -> list[str]:
        return [fact.id for fact in facts.find(parts.store)]

    @house.app.delete("/planted/{job_id}")
    def end(job_id: str, parts: NeedsAll) -> None:
        jobs.cancel(parts.store, house.theirs.value("POST /jobs/{job_id}/cancel", "job_id"))

    house.app.openapi_schema = None
    leaks = house.leaks()
    assert [leak.split(" ['")[0] for leak in leaks] == [
        "GET /planted/{fact_id} tells",
        "GET /planted/{fact_id} answers 200",
        "GET /planted tells",
        "DELETE /planted/{job_id} changes what is theirs",
        "DELETE /planted/{job_id} answers 200",
    ]


def test_the_same_routes_with_the_callers_store_need_no_check_of_their_own(house: House) -> None:
    @house.app.get("/planted/{fact_id}")
    def read(fact_id: str, parts: Needs) -> str:
        return facts.get(parts.store, fact_id).text

    @house.app.get("/planted")
    def look(parts: Needs) -> list[str]:
        return [fact.id for fact in facts.find(parts.store)]

    house.app.openapi_schema = None
    assert house.leaks() == []


def test_a_planted_route_with_a_parameter_that_nobody_knows_is_not_passed_over(house: House) -> None:
    @house.app.get("/planted/{thing_id}")
    def read(thing_id: str) -> str:
        return thing_id

    house.app.openapi_schema = None
    with pytest.raises(UnknownParameter, match="thing_id"):
        house.leaks()


def test_every_route_asks_for_a_key_but_those_that_are_open(house: House) -> None:
    document = Document.of(house.app)
    assert {operation for operation, _ in document.operations() if document.scope(operation) is None} == OPEN
    beyond = {getattr(route, "path", "?") for route in house.app.routes} - set(document.content["paths"])
    assert {path for path in beyond if not is_page(path)} == OPEN_PATHS  # pages: test_dashboard_access.py
    for each in document.tries(house.theirs):
        for secret in (None, "engrain_x", f"{house.our_secret}x"):
            before = house.rows()
            response = each.send(house.client, secret)
            if each.operation not in OPEN:
                assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer"), each
            assert not each.unsaid_marks(house.theirs, response.text), each
            assert house.rows() == before, each


def test_a_planted_open_route_is_seen(house: House) -> None:
    @house.app.get("/planted")
    @open_to_all
    def look(parts: Needs) -> list[str]:
        return [fact.id for fact in facts.find(parts.store)]

    house.app.openapi_schema = None
    document = Document.of(house.app)
    assert {operation for operation, _ in document.operations() if document.scope(operation) is None} != OPEN
    assert house.client.get("/planted").json() == []


def test_every_route_refuses_a_key_without_its_scope(house: House) -> None:
    secrets = {
        scope: keys.create(house.store, scope, [scope], namespaces=["theirs"])[1] for scope in (Scope.READ, Scope.WRITE)
    }
    document, refused = Document.of(house.app), set[str]()
    for each in document.tries(house.theirs):
        wanted = document.scope(each.operation)
        for scope, secret in secrets.items():
            if wanted in (None, scope):
                continue
            before = house.rows()
            response = each.send(house.client, secret)
            assert response.status_code == 403 and "scope" in response.text, (each, scope, response.text)
            assert house.rows() == before, each
            refused.add(f"{each.operation} {scope}")
    assert {"POST /facts read", "POST /ask write", "POST /keys write", "GET /audit read"} <= refused


def test_a_route_that_declares_nothing_asks_for_a_scope_by_its_method(house: House) -> None:
    @house.app.get("/planted")
    def look() -> str:
        return "seen"

    @house.app.post("/planted")
    def do() -> str:
        return "done"

    @house.app.put("/planted")
    @needs(Scope.ADMIN)
    def rule() -> str:
        return "ruled"

    house.app.openapi_schema = None
    document = Document.of(house.app)
    scopes = {operation: document.scope(operation) for operation, _ in document.operations() if "planted" in operation}
    assert scopes == {"GET /planted": "read", "POST /planted": "write", "PUT /planted": "admin"}
    assert [house.client.request(method, "/planted").status_code for method in ("GET", "POST", "PUT")] == [401] * 3


@pytest.mark.parametrize("model", ["theirs", "theirs@1", "theirs@99"])
def test_another_namespaces_models_answer_as_ones_that_do_not_exist(house: House, model: str) -> None:
    def told(name: str) -> tuple[int, str]:
        body = {"model": name, "messages": [{"role": "user", "content": "Who?"}]}
        response = house.client.post(
            "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {house.our_secret}"}
        )
        return response.status_code, response.json()["error"]["message"].replace(name.partition("@")[0], "…")

    assert told(model) == told(model.replace("theirs", "nobody"))
    assert told(model)[0] == 404


def test_a_post_to_another_namespace_is_refused_in_the_same_words_whether_it_exists_or_not(house: House) -> None:
    def told(namespace: str) -> tuple[int, str]:
        body = {"text": "Ada Quill hums.", "namespace": namespace}
        response = house.client.post("/facts", json=body, headers={"Authorization": f"Bearer {house.our_secret}"})
        return response.status_code, response.text.replace(namespace, "…")

    assert told("theirs") == told("nobody") == told("default")
    assert told("theirs")[0] == 403
    assert facts.find(house.store, "nobody") == []


def test_every_table_says_whose_its_rows_are(house: House) -> None:
    common = {"KeyRow", "SessionRow", "WebhookRow", "WorkerRow"}
    tables = [mapper.class_ for mapper in Table.registry.mappers]
    assert {table.__name__ for table in tables if owned(table, frozenset()) is None} == common


def test_a_caller_of_no_namespace_sees_an_empty_store(house: House) -> None:
    empty = house.store.seen_by(Caller("x", frozenset(Scope), frozenset()))
    with empty.read() as nothing, house.store.read() as everything:
        for table in (mapper.class_ for mapper in Table.registry.mappers):
            if owned(table, frozenset()) is not None and table.__name__ != "ProbeResultRow":
                assert nothing.scalars(select(table)).all() == [], table
                assert everything.scalars(select(table)).all(), table
    assert house.store.caller is SYSTEM
