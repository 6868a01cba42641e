"""The answers that repeats of a request get: a row for each Idempotency-Key, written by the request's own transaction.

The row is the transaction's first write. Whoever comes with the same key meanwhile waits for the unique constraint,
and then reads the answer; a request that was rolled back leaves no row.
"""

from datetime import timedelta

from sqlalchemy import CursorResult, delete, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from knowledge.errors import KeyInUse, KeyReused
from knowledge.store.database import Store, now
from knowledge.store.tables import IdempotencyRow, Json

KEPT_HOURS = 24
WAIT_SECONDS = 10
_LOCK_NOT_AVAILABLE = "55P03"


def answer_of(session: Session, namespace: str, key: str, request_hash: str) -> Json | None:
    """The stored answer, None when there is none. Raises `KeyReused` when the key belongs to another request."""
    row = session.get(IdempotencyRow, (namespace, key))
    if row is None or row.created_at < now() - timedelta(hours=KEPT_HOURS):
        return None
    if row.request_hash != request_hash:
        raise KeyReused("This Idempotency-Key was used for another request. Use a new key for a new request.")
    return row.answer


def claim(session: Session, namespace: str, key: str, request_hash: str) -> IdempotencyRow:
    """Takes the key; the caller puts the answer into the row.

    Raises `IntegrityError` when another transaction took it and has ended, and `KeyInUse` when it has not ended after
    `WAIT_SECONDS`. (SQLite lets one transaction write at a time, so there nobody ever waits here.)
    """
    row = IdempotencyRow(namespace=namespace, key=key, request_hash=request_hash, answer={}, created_at=now())
    is_postgres = session.get_bind().dialect.name == "postgresql"
    try:
        if is_postgres:
            session.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        expired = IdempotencyRow.created_at < now() - timedelta(hours=KEPT_HOURS)
        session.execute(
            delete(IdempotencyRow).where(IdempotencyRow.namespace == namespace, IdempotencyRow.key == key, expired)
        )
        session.add(row)
        session.flush()
        if is_postgres:
            session.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise KeyInUse("A request with this Idempotency-Key is still running. Send it again later.") from error
        raise
    return row


def forget_old(store: Store) -> int:
    """Deletes the answers that are older than `KEPT_HOURS`; returns their number."""
    with store.write() as session:
        old = delete(IdempotencyRow).where(IdempotencyRow.created_at < now() - timedelta(hours=KEPT_HOURS))
        found = session.execute(old)
        assert isinstance(found, CursorResult)
        return found.rowcount
