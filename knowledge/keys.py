"""API keys, and callers: who may do what, in which namespaces.

A key's secret is shown once and kept as a SHA-256 hash: secrets are long and random, so no slow hash is needed. Half of
the hash finds the key, the other half is compared in constant time.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from knowledge.errors import Conflict, InvalidKey
from knowledge.facts import NAMESPACE_PATTERN

SECRET_PREFIX = "engrain_"  # noqa: S105 - what secrets begin with, for scanners that look for leaked ones
MOST_NAME_CHARACTERS = 100
LEAST_SECRET_CHARACTERS = 32
_HALF = 32


class Scope(StrEnum):
    """What a key may do. An admin also reads and writes: it could make itself such a key."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Who acts. `key_id` is None for one without a key; `namespaces` is None for one who sees them all."""

    name: str
    scopes: frozenset[Scope]
    namespaces: frozenset[str] | None = None
    key_id: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether it has the scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, namespace: str) -> bool:
        """Whether the namespace is there for it."""
        return self.namespaces is None or namespace in self.namespaces


SYSTEM = Caller("engrain", frozenset(Scope))
"""A process of ours."""

COMMAND = Caller("command", frozenset(Scope))
"""Someone who can open the store itself, by `engrain keys`."""

LOOPBACK = Caller("loopback", frozenset(Scope))
"""Someone on this machine, while there is no key."""

ANYBODY = Caller("anybody", frozenset(Scope))
"""Someone elsewhere, while there is no key and `ENGRAIN_WITHOUT_KEYS` is `everybody`."""

NOBODY = Caller("nobody", frozenset(), frozenset())
"""Whoever asks a route that is open to all."""


@dataclass(frozen=True)
class Key:
    """A key as it is listed. `namespaces` is None for all; `last_used_at` is up to a minute old."""

    id: str
    name: str
    scopes: frozenset[Scope]
    namespaces: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def holds(self, moment: datetime) -> bool:
        """Whether it opens anything then."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)

    @property
    def caller(self) -> Caller:
        """Who acts with it."""
        return Caller(self.name, self.scopes, self.namespaces, self.id)


def check_key(key: Key) -> None:
    """Raises `InvalidKey` for a new key that nobody could be meant by, or that would open nothing."""
    if not 1 <= len(key.name.strip()) <= MOST_NAME_CHARACTERS or not key.name.isprintable():
        raise InvalidKey(f"A key's name has 1 to {MOST_NAME_CHARACTERS} printable characters.")
    if not key.scopes:
        raise InvalidKey("A key without a scope opens nothing.")
    if key.namespaces is not None and not key.namespaces:
        raise InvalidKey("A key for no namespace opens nothing.")
    for namespace in key.namespaces or ():
        if not re.fullmatch(NAMESPACE_PATTERN, namespace):
            raise InvalidKey(f"{namespace!r} cannot be the name of a namespace.")
    if not key.holds(key.created_at):
        raise Conflict("A key that has expired already opens nothing.")


@dataclass(frozen=True)
class SecretHash:
    """What is kept of a secret: `finder` is looked up, `verifier` compared."""

    finder: str
    verifier: str

    @classmethod
    def of(cls, secret: str) -> "SecretHash":
        """The hash of a secret."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(digest[:_HALF], digest[_HALF:])

    def matches(self, other: "SecretHash") -> bool:
        """Compares in a time that tells nothing of the difference."""
        return hmac.compare_digest(self.verifier, other.verifier)


def new_secret() -> str:
    """256 random bits, with a prefix that tells what they open."""
    return f"{SECRET_PREFIX}{secrets.token_urlsafe(32)}"


def checked_secret(text: str) -> str:
    """A secret that a deployment brings itself. Raises `InvalidKey` for one that could be guessed."""
    if not re.fullmatch(rf"[!-~]{{{LEAST_SECRET_CHARACTERS},255}}", text):
        raise InvalidKey(
            f"A key's secret is one word of {LEAST_SECRET_CHARACTERS} to 255 ASCII characters: `openssl rand -hex 32`."
        )
    return text
