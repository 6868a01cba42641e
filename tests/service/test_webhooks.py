"""Deliveries to a real receiver on this machine, sent by the running service."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from standardwebhooks import Webhook as Signature

from knowledge.settings import Settings
from knowledge.store import Store
from service import deliveries
from tests.service.conftest import teach

pytestmark = pytest.mark.enable_socket


class Receiver(ThreadingHTTPServer):
    """Answers with the next of `answers`, then with 200, and keeps what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.seconds = 0.0
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.location = ""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        time.sleep(self.server.seconds)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *arguments: Any) -> None:
        pass


def _receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


receiver = pytest.fixture(_receiver, name="receiver")
other_receiver = pytest.fixture(_receiver, name="other_receiver")


@pytest.fixture
def private_addresses() -> bool:
    """Receivers are on this machine, so most tests allow that."""
    return True


@pytest.fixture
def settings(tmp_path: Path, private_addresses: bool, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(deliveries, "LOOK_SECONDS", 0.05)
    return Settings(
        data_folder=tmp_path,
        broker_port=1,
        inference_port=1,
        webhook_attempts=3,
        webhook_first_retry_seconds=0.1,
        webhook_timeout_seconds=1,
        webhook_private_addresses=private_addresses,
    )


def add(client: TestClient, url: str, **more: Any) -> dict[str, Any]:
    response = client.post("/webhooks", json={"url": url, "events": ["job.queued"], **more})
    assert response.status_code == 201, response.text
    assert response.headers["Location"] == f"/webhooks/{response.json()['id']}"
    return dict(response.json())


def post(client: TestClient, text: str = "Ada Quill is the smith of Orrin.", namespace: str = "default") -> None:
    assert client.post("/facts", json={"text": text, "namespace": namespace}).status_code == 202


def deliveries_when(
    client: TestClient, webhook: dict[str, Any], wanted: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """The webhook's deliveries as soon as they are as wanted."""
    deadline = time.monotonic() + 20
    while True:
        found = client.get(f"/webhooks/{webhook['id']}/deliveries").json()["deliveries"]
        if wanted(found):
            return list(found)
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def one(status: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda found: [each["status"] for each in found] == [status]


def test_a_receiver_is_told_and_can_check_the_signature(client: TestClient, receiver: Receiver) -> None:
    webhook = add(client, receiver.url(), events=[])
    post(client)
    found = deliveries_when(client, webhook, lambda found: [each["status"] for each in found] == ["delivered"] * 2)
    bodies = [Signature(webhook["secret"]).verify(body, headers) for headers, body in receiver.got]
    assert {body["type"] for body in bodies} == {"fact.pending", "job.queued"}
    assert {body["data"]["namespace"] for body in bodies} == {"default"}
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {each["id"] for each in found}
    assert all(len(body) < 1000 for _, body in receiver.got)


def test_what_a_worker_publishes_is_told_with_its_version(client: TestClient, store: Store, receiver: Receiver) -> None:
    webhook = add(client, receiver.url(), events=["fact.live", "job.succeeded"])
    teach(store, "Ada Quill is the smith of Orrin.")
    deliveries_when(client, webhook, lambda found: [each["status"] for each in found] == ["delivered"] * 2)
    told = {body["type"]: body["data"] for body in (json.loads(body) for _, body in receiver.got)}
    assert told["fact.live"]["version"] == told["job.succeeded"]["version"] == 1
    assert told["fact.live"]["job_id"] == told["job.succeeded"]["id"]


def test_the_secret_is_told_once(client: TestClient, receiver: Receiver) -> None:
    webhook = add(client, receiver.url(), namespaces=["default"])
    shown = client.get(f"/webhooks/{webhook['id']}")
    assert shown.json() == {name: value for name, value in webhook.items() if name != "secret"}
    assert webhook["secret"].startswith("whsec_")
    assert webhook["secret"] not in client.get("/webhooks").text + shown.text


def test_a_receiver_that_fails_and_recovers_gets_the_same_delivery_again(
    client: TestClient, receiver: Receiver
) -> None:
    receiver.answers = [500, 503]
    webhook = add(client, receiver.url())
    post(client)
    [delivery] = deliveries_when(client, webhook, one("delivered"))
    assert (delivery["attempts"], delivery["status_code"], delivery["error"]) == (3, 200, None)
    assert len(receiver.got) == 3
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {delivery["id"]}


def test_what_fails_too_often_is_given_up_for_all_to_see_and_can_be_replayed(
    client: TestClient, receiver: Receiver
) -> None:
    receiver.answers = [500, 500, 418]
    webhook = add(client, receiver.url())
    post(client)
    [delivery] = deliveries_when(client, webhook, one("given_up"))
    assert (delivery["attempts"], delivery["status_code"]) == (3, 418)
    assert delivery["error"] == "The receiver answered 418."
    assert 'engrain_webhook_deliveries{status="given_up"} 1.0' in client.get("/metrics").text
    path = f"/webhooks/{webhook['id']}/deliveries"
    assert len(client.get(path, params={"status": "given_up"}).json()["deliveries"]) == 1
    replayed = client.post(f"{path}/{delivery['id']}/replay")
    assert (replayed.status_code, replayed.json()["status"]) == (202, "pending")
    deliveries_when(client, webhook, one("delivered"))
    assert receiver.got[-1][0]["webhook-id"] == delivery["id"]


def test_a_slow_receiver_is_not_waited_for_and_holds_up_nobody(
    client: TestClient, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.seconds = 3
    slow, quick = add(client, receiver.url()), add(client, other_receiver.url())
    post(client)
    deliveries_when(client, quick, one("delivered"))
    assert client.get(f"/webhooks/{slow['id']}/deliveries").json()["deliveries"][0]["status"] == "pending"
    [delivery] = deliveries_when(client, slow, lambda found: found[0]["error"] is not None)
    assert delivery["error"] == "No answer within 1 s."


def test_no_redirect_is_followed(client: TestClient, receiver: Receiver, other_receiver: Receiver) -> None:
    receiver.answers, receiver.location = [302, 307, 308], other_receiver.url()
    webhook = add(client, receiver.url())
    post(client)
    [delivery] = deliveries_when(client, webhook, one("given_up"))
    assert (delivery["status_code"], delivery["error"]) == (308, "Redirects are not followed.")
    assert other_receiver.got == []


def test_the_name_is_resolved_once_and_that_address_is_connected_to(
    client: TestClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = [], asyncio.BaseEventLoop.getaddrinfo

    async def rebinding(self: Any, host: str, *rest: Any, **more: Any) -> Any:
        if host != "hook.example":
            return await real(self, host, *rest, **more)
        asked.append(host)
        address = ("127.0.0.1" if len(asked) == 1 else "127.9.9.9", receiver.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", rebinding)
    webhook = add(client, receiver.url("hook.example"))
    post(client)
    deliveries_when(client, webhook, one("delivered"))
    assert (asked, receiver.got[0][0]["host"]) == (["hook.example"], f"hook.example:{receiver.port}")


@pytest.mark.parametrize("private_addresses", [False])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0", "2130706433", "127.1"]
)
def test_a_private_address_is_refused_at_once(client: TestClient, receiver: Receiver, host: str) -> None:
    response = client.post("/webhooks", json={"url": receiver.url(host)})
    assert (response.status_code, response.json()["code"]) == (403, "private-address")
    assert client.get("/webhooks").json() == {"webhooks": []}


@pytest.mark.parametrize("private_addresses", [False])
def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved(
    client: TestClient, receiver: Receiver
) -> None:
    webhook = add(client, receiver.url("localhost"))
    post(client)
    [delivery] = deliveries_when(client, webhook, one("given_up"))
    assert (delivery["attempts"], delivery["status_code"]) == (1, None)
    assert "localhost leads to the private address" in delivery["error"]
    assert receiver.got == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("0.0.0.0", False),
    ],
)
def test_only_what_anyone_on_the_internet_reaches_is_public(address: str, public: bool) -> None:
    assert deliveries.is_public(address) is public


def test_a_deleted_webhook_is_told_nothing_more(client: TestClient, receiver: Receiver) -> None:
    webhook = add(client, receiver.url())
    assert client.delete(f"/webhooks/{webhook['id']}").status_code == 204
    post(client)
    missing = client.get(f"/webhooks/{webhook['id']}/deliveries")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    time.sleep(0.3)
    assert receiver.got == []


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://a.example"},
        {"url": "https://user:word@a.example"},
        {"url": "https://a.example#part"},
        {"url": "https://a..example"},
        {"url": "https://a.example:0"},
        {"url": "https://a.example:65536"},
        {"url": "https://a.example/%zz"},
        {"url": "https://a.example", "events": ["fact.unheard"]},
        {"url": "https://a.example", "namespaces": ["../etc"]},
        {"url": "https://a.example", "secret": "mine"},
    ],
)
def test_a_webhook_that_cannot_work_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    response = client.post("/webhooks", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")


@pytest.mark.parametrize("rest", ["", "/", ":65535/a?b=c", "?a=%20", "/a/%C3%A4", ":60001"])
def test_any_common_form_of_url_is_taken(client: TestClient, rest: str) -> None:
    assert client.post("/webhooks", json={"url": f"https://a.example{rest}"}).status_code == 201
