"""`engrain keys` on a store of its own and over HTTP, and the key that the other commands send."""

import json
from pathlib import Path

import httpx
import pytest

from command import keys as command
from command.api import Api
from command.parts import environment_of
from knowledge.keys import Scope, SecretHash
from knowledge.settings import Settings
from knowledge.store import Store, audit, keys
from tests.command.test_cli import engrain


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of the settings; the command makes its tables."""
    monkeypatch.setenv("ENGRAIN_DATA_FOLDER", str(tmp_path))
    return Store(Settings.read().store)


def test_the_first_key_is_made_in_the_store_and_its_secret_alone_is_printed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engrain("keys", "create", "root", "--scope", "admin") == 0
    printed = capsys.readouterr()
    found = keys.with_secret(store, SecretHash.of(printed.out.strip()))
    assert found is not None and found[0].scopes == {Scope.ADMIN}
    assert found[0].id in printed.err and printed.out.strip() not in printed.err
    assert [(entry.caller, entry.act) for entry in audit.find(store)] == [("command", "key-created")]


def test_a_key_is_limited_listed_and_revoked(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert engrain("keys", "create", "shop", "-n", "b", "-n", "a", "--days", "3", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["scopes"], made["namespaces"]) == (["read", "write"], ["a", "b"])
    assert engrain("keys", "list") == 0
    listed = capsys.readouterr().out
    assert made["id"] in listed and made["secret"] not in listed
    assert engrain("keys", "revoke", made["id"]) == 0
    assert "opens nothing" in capsys.readouterr().out
    assert engrain("keys", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["keys"][0]["revoked_at"]
    assert engrain("keys", "revoke", "key_0") == 1
    assert engrain("keys", "create", "shop", "-n", "A b") == 1


def test_with_a_url_the_service_is_asked_with_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.headers["authorization"]))
        key = {"id": "key_1", "name": "x", "secret": "s", "scopes": ["read"], "namespaces": None}
        whole = {**key, "created_at": "", "expires_at": None, "last_used_at": None, "revoked_at": None}
        return httpx.Response(200, json={"keys": [whole]} if request.method == "GET" else whole)

    monkeypatch.setenv("ENGRAIN_API_KEY", " engrain_secret\n")
    monkeypatch.setattr(command, "Api", lambda url: Api(url, transport=httpx.MockTransport(answer)))
    for words in (("create", "x"), ("list",), ("revoke", "key_1")):
        assert engrain("keys", *words, "--url", "http://engrain.test") == 0
    bearer = "Bearer engrain_secret"
    assert asked == [("POST", "/keys", bearer), ("GET", "/keys", bearer), ("DELETE", "/keys/key_1", bearer)]
    assert "engrain_secret" not in capsys.readouterr().out


def test_the_clients_key_is_no_setting_and_does_not_reach_the_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGRAIN_API_KEY", "engrain_secret")
    assert "ENGRAIN_API_KEY" not in environment_of(Settings.read())
    assert engrain("settings") == 0
    assert "engrain_secret" not in capsys.readouterr().out


def test_a_client_without_a_key_sends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGRAIN_API_KEY", raising=False)

    def answer(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return httpx.Response(200, json={})

    Api("http://engrain.test", transport=httpx.MockTransport(answer)).get("/jobs")
