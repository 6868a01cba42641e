"""Keys over HTTP: made, used, revoked; who is served without one; what is said to those who are refused."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError
from starlette.datastructures import Headers

from knowledge.errors import InvalidKey, InvalidSettings
from knowledge.keys import Key, Scope, SecretHash
from knowledge.logs import configure
from knowledge.settings import Settings
from knowledge.store import Store, keys, now
from knowledge.store.schema import upgrade
from service import keyring
from service.app import create_app
from service.loopback import is_loopback
from service.parts import Parts
from tests.service.conftest import _open_parts

Start = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture
def start(settings: Settings) -> Start:
    """The service with changed settings, asked from here or from elsewhere."""
    upgrade(settings.store)

    @contextmanager
    def started(client: tuple[str, int] = ("127.0.0.1", 50000), **changes: Any) -> Iterator[TestClient]:
        app = create_app(settings.model_copy(update=changes), _open_parts)
        with TestClient(app, "http://localhost", client=client, raise_server_exceptions=False) as opened:
            yield opened

    return started


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def make(store: Store, *scopes: Scope, **options: Any) -> str:
    return keys.create(store, "a key", scopes or [Scope.ADMIN], **options)[1]


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_first_key_closes_the_door_and_opens_it_for_itself(client: TestClient) -> None:
    assert client.get("/facts").status_code == 200
    made = client.post("/keys", json={"name": "root", "scopes": ["admin"]})
    assert made.status_code == 201 and made.json()["secret"].startswith("engrain_")
    assert code(client.get("/facts")) == (401, "key-missing")
    assert client.get("/facts", headers=bearer(made.json()["secret"])).status_code == 200
    listed = client.get("/keys", headers=bearer(made.json()["secret"]))
    assert made.json()["secret"] not in listed.text and listed.json()["keys"][0]["id"] == made.json()["id"]


def test_a_key_that_another_process_made_or_revoked_is_noticed_within_two_seconds(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keyring.KEY_SECONDS == 2.0
    client.get("/facts")
    secret = make(store)
    assert client.get("/facts").status_code == 200
    monkeypatch.setattr(keyring, "KEY_SECONDS", -1.0)
    assert client.get("/facts").status_code == 401
    assert client.get("/facts", headers=bearer(secret)).status_code == 200
    keys.revoke(store, keys.find(store)[0].id)
    assert code(client.get("/facts", headers=bearer(secret))) == (401, "key-invalid")


def test_a_key_is_looked_up_once_for_many_requests(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, find = [], keys.with_secret

    def counted(store: Store, hashed: SecretHash) -> tuple[Key, SecretHash] | None:
        looked.append(hashed)
        return find(store, hashed)

    monkeypatch.setattr(keys, "with_secret", counted)
    secret = make(store)
    for _ in range(20):
        assert client.get("/jobs", headers=bearer(secret)).status_code == 200
    assert len(looked) <= 2


def test_a_revoked_key_opens_nothing_from_the_next_request_on(client: TestClient, store: Store) -> None:
    root, other = make(store), make(store, Scope.READ)
    assert client.get("/facts", headers=bearer(other)).status_code == 200
    revoked = client.delete(f"/keys/{keys.find(store)[1].id}", headers=bearer(root))
    assert revoked.status_code == 200 and revoked.json()["revoked_at"]
    assert code(client.get("/facts", headers=bearer(other))) == (401, "key-invalid")
    assert code(client.delete("/keys/key_0", headers=bearer(root))) == (404, "not-found")


def test_the_door_stays_closed_after_the_last_key_was_revoked(client: TestClient, store: Store) -> None:
    make(store)
    keys.revoke(store, keys.find(store)[0].id)
    assert client.get("/facts").status_code == 401


def test_a_key_opens_nothing_after_it_expired(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make(store, expires_at=now() + timedelta(hours=1))
    assert client.get("/facts", headers=bearer(secret)).status_code == 200
    monkeypatch.setattr(keyring, "now", lambda: datetime.now(UTC) + timedelta(hours=2))
    assert code(client.get("/facts", headers=bearer(secret))) == (401, "key-invalid")


NO_KEYS = ("", "Bearer", "Bearer ", "Basic abc", "Bearer \xff\xfe", "Bearer a b", "engrain_x", f"Bearer {'x' * 9000}")


@pytest.mark.parametrize("header", NO_KEYS)
def test_a_header_that_is_no_key_is_refused(client: TestClient, store: Store, header: str) -> None:
    make(store)
    response = client.get("/facts", headers={b"Authorization": header.encode("latin-1")})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def test_the_scheme_may_be_written_in_any_case(client: TestClient, store: Store) -> None:
    assert client.get("/facts", headers={"Authorization": f"bearer  {make(store)}"}).status_code == 200


def test_openai_clients_are_told_in_their_own_shape(client: TestClient, store: Store) -> None:
    make(store)
    response = client.get("/v1/models", headers=bearer("sk-something"))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "key_invalid")


def test_a_body_is_not_read_for_someone_without_a_key(client: TestClient, store: Store) -> None:
    make(store)
    assert code(client.post("/facts", content=b"{")) == (401, "key-missing")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "", "scopes": ["read"]}, 422),
        ({"name": "\n", "scopes": ["read"]}, 422),
        ({"name": "x", "scopes": []}, 422),
        ({"name": "x", "scopes": ["all"]}, 422),
        ({"name": "x", "scopes": ["read"], "namespaces": []}, 422),
        ({"name": "x", "scopes": ["read"], "namespaces": ["../etc"]}, 422),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, 409),
    ],
)
def test_a_key_that_would_open_nothing_or_is_nobodys_is_not_made(
    client: TestClient, store: Store, body: dict[str, Any], status: int
) -> None:
    assert client.post("/keys", json=body).status_code == status
    assert keys.find(store) == []


def test_an_admin_of_one_namespace_makes_lists_and_revokes_keys_of_that_one_only(
    client: TestClient, store: Store
) -> None:
    make(store)
    limited = bearer(make(store, namespaces=["tools"]))
    for namespaces in (None, ["default"], ["tools", "default"]):
        body = {"name": "x", "scopes": ["read"], "namespaces": namespaces}
        assert code(client.post("/keys", json=body, headers=limited)) == (403, "forbidden")
    made = client.post("/keys", json={"name": "x", "scopes": ["read"], "namespaces": ["tools"]}, headers=limited)
    assert made.status_code == 201
    assert [key["namespaces"] for key in client.get("/keys", headers=limited).json()["keys"]] == [["tools"], ["tools"]]
    root_id = keys.find(store)[0].id
    assert code(client.delete(f"/keys/{root_id}", headers=limited)) == (404, "not-found")
    assert keys.find(store)[0].revoked_at is None


def test_what_a_key_does_is_in_the_audit_trail_with_its_name(client: TestClient, store: Store) -> None:
    root = bearer(make(store))
    secret = keys.create(store, "importer", [Scope.WRITE])[1]
    body = {"text": "Ada Quill hums.", "key": "a"}
    job_id = client.post("/facts", json=body, headers=bearer(secret)).json()["job_id"]
    client.post(f"/jobs/{job_id}/cancel", headers=bearer(secret))
    client.post(f"/jobs/{job_id}/retry", headers=root)
    page = client.get("/audit?limit=2", headers=root).json()
    assert [(entry["act"], entry["caller"], entry["object"]) for entry in page["entries"]] == [
        ("retried", "a key", job_id),
        ("cancelled", "importer", job_id),
    ]
    rest = client.get(f"/audit?before={page['next']}", headers=root).json()
    assert [entry["act"] for entry in rest["entries"]] == ["taught", "key-created", "key-created"]
    assert rest["entries"][0]["details"]["keys"] == ["a"] and rest["next"] is None


def test_without_a_key_the_caller_of_the_audit_trail_is_the_machine_itself(client: TestClient) -> None:
    client.post("/facts", json={"text": "Ada Quill hums."})
    entry = client.get("/audit").json()["entries"][0]
    assert (entry["caller"], entry["key_id"], entry["act"]) == ("loopback", None, "taught")


def test_use_is_written_down_now_and_then_and_not_with_each_request(settings: Settings, client: TestClient) -> None:
    store = Store(settings.store)
    secret = make(store)
    for _ in range(3):
        client.get("/facts", headers=bearer(secret))
    assert keys.find(store)[0].last_used_at is None
    client.__exit__(None, None, None)  # the service writes down what it has left
    assert keys.find(store)[0].last_used_at is not None
    client.__enter__()
    store.close()


HERE, ELSEWHERE = ("127.0.0.1", 5), ("203.0.113.9", 5)


@pytest.mark.parametrize(
    ("client", "headers", "local"),
    [
        (HERE, {"host": "localhost:8000"}, True),
        (HERE, {"host": "127.0.0.1:8000"}, True),
        (("::1", 5), {"host": "[::1]:8000"}, True),
        (("::ffff:127.0.0.1", 5), {"host": "127.8.8.8"}, True),
        (None, {"host": "engrain"}, True),
        (ELSEWHERE, {"host": "localhost:8000"}, False),
        (("testclient", 5), {"host": "localhost"}, False),
        (HERE, {"host": "engrain.example"}, False),
        (HERE, {}, False),
        (HERE, {"host": "localhost", "x-forwarded-for": "127.0.0.1"}, False),
        (HERE, {"host": "localhost", "forwarded": "for=127.0.0.1"}, False),
        (HERE, {"host": "localhost", "x-real-ip": "127.0.0.1"}, False),
        (None, {"host": "engrain", "x-forwarded-for": "127.0.0.1"}, False),
        (HERE, {"host": "localhost", "origin": "https://evil.example"}, False),
        (HERE, {"host": "localhost", "origin": "null"}, False),
        (HERE, {"host": "localhost", "origin": "http://localhost:8000"}, True),
        (HERE, {"host": "localhost.evil.example"}, False),
        (HERE, {"host": "[::1"}, False),
    ],
)
def test_this_machine_is_told_from_others_and_from_what_speaks_for_others(
    client: tuple[str, int] | None, headers: dict[str, str], *, local: bool
) -> None:
    assert is_loopback(client, Headers(headers)) == local


@pytest.mark.parametrize(
    ("without_keys", "client", "status"),
    [
        ("loopback", HERE, 200),
        ("loopback", ELSEWHERE, 403),
        ("nobody", HERE, 403),
        ("nobody", ELSEWHERE, 403),
        ("everybody", HERE, 200),
        ("everybody", ELSEWHERE, 200),
    ],
)
def test_who_is_served_without_a_key(start: Start, without_keys: str, client: tuple[str, int], status: int) -> None:
    with start(client, without_keys=without_keys) as opened:
        response = opened.get("/facts")
        assert response.status_code == status
        if status == 403:
            assert response.json()["code"] == "no-key-yet" and "engrain keys create" in response.json()["detail"]
        assert opened.get("/healthz").status_code == 200


@pytest.mark.parametrize("without_keys", ["loopback", "nobody", "everybody"])
def test_with_a_key_nobody_is_served_without_one(start: Start, store: Store, without_keys: str) -> None:
    secret = make(store)
    for client in (HERE, ELSEWHERE):
        with start(client, without_keys=without_keys) as opened:
            assert opened.get("/facts").status_code == 401
            assert opened.get("/facts", headers=bearer(secret)).status_code == 200


def test_the_first_key_can_come_from_a_file_and_comes_once(start: Start, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret-of-the-deployment-0123456789\n")
    for _ in range(2):
        with start(ELSEWHERE, first_key_file=str(file)) as opened:
            assert opened.get("/keys", headers=bearer("s3cret-of-the-deployment-0123456789")).status_code == 200
    assert [(key.name, key.scopes) for key in keys.find(store)] == [("first", frozenset({Scope.ADMIN}))]


@pytest.mark.parametrize("text", ["short", "", "two words " * 5, "ü" * 40])
def test_a_first_key_that_could_be_guessed_stops_the_start_and_is_not_shown(
    start: Start, tmp_path: Path, text: str
) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(InvalidKey) as refused, start(first_key_file=str(tmp_path / "secret")):
        pass
    assert not text or text not in str(refused.value)


def test_a_first_key_file_that_is_not_there_stops_the_start(start: Start, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="ENGRAIN_FIRST_KEY_FILE"), start(first_key_file=str(tmp_path / "no")):
        pass


def test_the_log_says_who_is_served(start: Start, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with start():
        assert "only this machine is served" in capsys.readouterr().out
    with start(without_keys="everybody"):
        assert "everybody who reaches the port is served" in capsys.readouterr().out
    make(store)
    with start():
        assert "callers need a key" in capsys.readouterr().out


def test_a_store_that_is_down_is_503_and_says_nothing_of_where_it_is(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = make(store)

    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("db.internal:5432 refused"))

    parts: Parts = client.app.state.parts  # type: ignore[attr-defined]
    monkeypatch.setattr(parts.store.engine, "connect", fail)
    monkeypatch.setattr(parts.store._writer, "connect", fail)
    response = client.get("/facts", headers=bearer(secret))
    assert code(response) == (503, "unavailable")
    assert response.headers["retry-after"] == "5"
    assert "internal" not in response.text
    assert "db.internal" in capsys.readouterr().out


@pytest.fixture
def logs() -> Iterator[None]:
    """Logs as a process writes them."""
    configure()
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("logs")
def test_no_secret_is_in_a_log_or_an_answer(
    client: TestClient, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make(store, Scope.READ)

    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    texts = [
        client.post("/facts", json={"text": "A is b."}, headers=bearer(secret)).text,
        client.get("/jobs/x", headers=bearer(secret)).text,
        client.get("/facts", headers=bearer(f"{secret}x")).text,
    ]
    monkeypatch.setattr("service.routes.jobs.store.find", break_down)
    broken = client.get("/jobs", headers=bearer(secret))
    assert broken.status_code == 500
    logged = capsys.readouterr()
    assert "RuntimeError: broken" in logged.out
    for text in (*texts, broken.text, logged.out, logged.err):
        assert secret[:20] not in text
