"""Browsers that somebody signed in with a key: opened, found by the secret in their cookie, and closed."""

from datetime import timedelta

from sqlalchemy import delete, select

from knowledge.keys import Key, SecretHash, new_secret
from knowledge.store.database import Store, now
from knowledge.store.keys import key_from
from knowledge.store.tables import KeyRow, SessionRow

SESSION_HOURS = 12


def open_session(store: Store, key: Key) -> str:
    """A new session of the key; returns its secret, which is nowhere else."""
    secret = new_secret()
    hashed = SecretHash.of(secret)
    began = now()
    with store.write() as session:
        session.add(
            SessionRow(
                finder=hashed.finder,
                verifier=hashed.verifier,
                key_id=key.id,
                created_at=began,
                expires_at=began + timedelta(hours=SESSION_HOURS),
            )
        )
    return secret


def key_of(store: Store, secret: str) -> Key | None:
    """The key that the browser was signed in with, if session and key hold now."""
    hashed = SecretHash.of(secret)
    query = select(SessionRow, KeyRow).join(KeyRow).where(SessionRow.finder == hashed.finder)
    with store.read() as session:
        found = session.execute(query).one_or_none()
    if found is None:
        return None
    row, key = found[0], key_from(found[1])
    holds = row.expires_at > now() and key.holds(now()) and hashed.matches(SecretHash(row.finder, row.verifier))
    return key if holds else None


def close_session(store: Store, secret: str) -> None:
    """Ends the session for good, if there is one."""
    with store.write() as session:
        session.execute(delete(SessionRow).where(SessionRow.finder == SecretHash.of(secret).finder))


def forget_old(store: Store) -> None:
    """Deletes the sessions that have expired."""
    with store.write() as session:
        session.execute(delete(SessionRow).where(SessionRow.expires_at < now()))
