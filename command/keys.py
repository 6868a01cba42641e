"""`engrain keys`: makes, lists and revokes API keys, in the store itself or, with a URL, through a running service."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from rich.console import Console

from command.api import Api
from command.lists import show_list
from knowledge.keys import COMMAND, Key, Scope
from knowledge.settings import Settings
from knowledge.store import Store
from knowledge.store import keys as store
from knowledge.store.schema import upgrade

Shown = dict[str, Any]


class Keys(Protocol):
    """Where the keys are. Each is told as `/keys` tells it."""

    def create(
        self, name: str, scopes: Sequence[Scope], namespaces: Sequence[str] | None, expires_at: datetime | None
    ) -> Shown:
        """A new key with its `secret`."""

    def find(self) -> list[Shown]:
        """All keys."""

    def revoke(self, key_id: str) -> Shown:
        """Ends a key."""


class InStore:
    """Whoever can open the store needs no key: so the first one is made."""

    def __init__(self, opened: Store) -> None:
        self._store = opened.seen_by(COMMAND)

    def create(
        self, name: str, scopes: Sequence[Scope], namespaces: Sequence[str] | None, expires_at: datetime | None
    ) -> Shown:
        """Raises `InvalidKey`."""
        key, secret = store.create(self._store, name, scopes, namespaces=namespaces, expires_at=expires_at)
        return {**_shown(key), "secret": secret}

    def find(self) -> list[Shown]:
        """All keys."""
        return [_shown(key) for key in store.find(self._store)]

    def revoke(self, key_id: str) -> Shown:
        """Raises `NotFound`."""
        return _shown(store.revoke(self._store, key_id))


class OverHttp:
    """Asks the service, with the key of `ENGRAIN_API_KEY`. Each method raises `Refused`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(
        self, name: str, scopes: Sequence[Scope], namespaces: Sequence[str] | None, expires_at: datetime | None
    ) -> Shown:
        """POST /keys."""
        until = expires_at.isoformat() if expires_at else None
        wanted = {"name": name, "scopes": list(scopes), "namespaces": namespaces, "expires_at": until}
        return self._api.post("/keys", wanted)

    def find(self) -> list[Shown]:
        """GET /keys."""
        found: list[Shown] = self._api.get("/keys")["keys"]
        return found

    def revoke(self, key_id: str) -> Shown:
        """DELETE /keys/{key_id}."""
        return self._api.delete(f"/keys/{key_id}")


@contextmanager
def opened(settings: Settings, url: str) -> Iterator[Keys]:
    """The keys of the service at the URL, or else of the settings' store, whose tables are made if need be."""
    if url:
        with Api(url) as api:
            yield OverHttp(api)
        return
    upgrade(settings.store)
    found = Store(settings.store)
    try:
        yield InStore(found)
    finally:
        found.close()


def create(keys: Keys, name: str, scopes: list[Scope], namespaces: list[str], days: float, *, as_json: bool) -> None:
    """Prints the new key's secret alone on standard output; it cannot be shown again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    made = keys.create(name, scopes, namespaces or None, expires_at)
    if as_json:
        print(json.dumps(made))
        return
    print(made["secret"])
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    notes.print(f"This is the secret of {made['id']}, shown this once. Clients send it as `Authorization: Bearer`;")
    notes.print("the engrain command takes it from ENGRAIN_API_KEY.")


def show(keys: Keys, *, as_json: bool) -> None:
    """Prints the keys, without secrets."""
    found = keys.find()
    if as_json:
        print(json.dumps({"keys": found}))
        return
    rows = [
        (
            key["id"],
            key["name"],
            ", ".join(key["scopes"]),
            "all" if key["namespaces"] is None else ", ".join(key["namespaces"]),
            key["last_used_at"] or "never",
            f"revoked {key['revoked_at']}" if key["revoked_at"] else key["expires_at"],
        )
        for key in found
    ]
    show_list(("key", "name", "scopes", "namespaces", "last used", "until"), rows)


def revoke(keys: Keys, key_id: str, *, as_json: bool) -> None:
    """Ends a key for good."""
    key = keys.revoke(key_id)
    print(json.dumps(key) if as_json else f"{key['id']} ({key['name']}) opens nothing any more.")


def _shown(key: Key) -> Shown:
    moments = ("created_at", "expires_at", "last_used_at", "revoked_at")
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "namespaces": None if key.namespaces is None else sorted(key.namespaces),
        **{name: moment.isoformat() if (moment := getattr(key, name)) else None for name in moments},
    }
