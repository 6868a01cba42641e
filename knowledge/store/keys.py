"""API keys: made, listed, revoked, and found by their secret."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knowledge.audit import Act
from knowledge.errors import Conflict, Forbidden, NotFound
from knowledge.ids import new_id
from knowledge.keys import Caller, Key, Scope, SecretHash, check_key, new_secret
from knowledge.store import audit
from knowledge.store.database import Store, now
from knowledge.store.sight import caller_of
from knowledge.store.tables import KeyRow


def create(
    store: Store,
    name: str,
    scopes: Iterable[Scope],
    *,
    namespaces: Iterable[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[Key, str]:
    """A new key and its secret, which is nowhere else. `namespaces` of None are all.

    Raises `InvalidKey`, and `Forbidden` when the key would reach further than the caller's own.
    """
    secret = new_secret()
    with store.write() as session:
        return _add(session, name, secret, scopes, namespaces, expires_at), secret


def create_first(store: Store, name: str, secret: str) -> Key:
    """An admin's key with a given secret. Raises `Conflict` when there is, or ever was, a key."""
    try:
        with store.write() as session:
            if session.scalars(select(KeyRow.id).limit(1)).first() is None:
                return _add(session, name, secret, [Scope.ADMIN], None, None)
    except IntegrityError:
        pass  # another process was faster with the same secret
    raise Conflict("There is a key already.")


def find(store: Store) -> list[Key]:
    """The keys that the caller may know of, revoked ones too, oldest first."""
    with store.read() as session:
        keys = [key_from(row) for row in session.scalars(select(KeyRow).order_by(KeyRow.id))]
        return [key for key in keys if _reaches(caller_of(session), key.namespaces)]


def revoke(store: Store, key_id: str) -> Key:
    """Ends a key for good; one that has ended stays as it is. Raises `NotFound`."""
    with store.write() as session:
        row = session.get(KeyRow, key_id, with_for_update=True)
        if row is None or not _reaches(caller_of(session), key_from(row).namespaces):
            raise NotFound(f"There is no key {key_id}.")
        if row.revoked_at is None:
            row.revoked_at = now()
            audit.note(session, Act.KEY_REVOKED, row.id, name=row.name)
        return key_from(row)


def with_secret(store: Store, hashed: SecretHash) -> tuple[Key, SecretHash] | None:
    """The key that the finder leads to, and its whole hash, which is for the caller to compare."""
    with store.read() as session:
        row = session.scalars(select(KeyRow).where(KeyRow.finder == hashed.finder)).first()
        return (key_from(row), SecretHash(row.finder, row.verifier)) if row else None


def exist(store: Store) -> bool:
    """Whether there is, or ever was, a key: who has revoked the last one does not want the door open."""
    with store.read() as session:
        return session.scalars(select(KeyRow.id).limit(1)).first() is not None


def note_use(store: Store, key_ids: Iterable[str], moment: datetime) -> None:
    """Writes down that the keys were used. One statement for many, called now and then."""
    newer = func.coalesce(KeyRow.last_used_at, KeyRow.created_at) < moment
    with store.write() as session:
        session.execute(update(KeyRow).where(KeyRow.id.in_(list(key_ids)), newer).values(last_used_at=moment))


def _add(
    session: Session,
    name: str,
    secret: str,
    scopes: Iterable[Scope],
    namespaces: Iterable[str] | None,
    expires_at: datetime | None,
) -> Key:
    hashed = SecretHash.of(secret)
    row = KeyRow(
        id=new_id("key"),
        name=name,
        finder=hashed.finder,
        verifier=hashed.verifier,
        scopes=sorted(scope.value for scope in set(scopes)),
        namespaces=None if namespaces is None else sorted(set(namespaces)),
        created_at=now(),
        expires_at=expires_at,
        last_used_at=None,
        revoked_at=None,
    )
    key = key_from(row)
    check_key(key)
    if not _reaches(caller_of(session), key.namespaces):
        raise Forbidden("A key cannot make one that reaches more namespaces than itself: name some of your own.")
    session.add(row)
    session.flush()
    audit.note(session, Act.KEY_CREATED, row.id, **_described(key))
    return key


def _described(key: Key) -> dict[str, Any]:
    namespaces = None if key.namespaces is None else sorted(key.namespaces)
    return {"name": key.name, "scopes": sorted(key.scopes), "namespaces": namespaces}


def _reaches(caller: Caller, namespaces: frozenset[str] | None) -> bool:
    """Whether all that a key reaches is within the caller's own reach."""
    return caller.namespaces is None or (namespaces is not None and namespaces <= caller.namespaces)


def key_from(row: KeyRow) -> Key:
    """The domain form of a row."""
    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes)),
        namespaces=None if row.namespaces is None else frozenset(row.namespaces),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
