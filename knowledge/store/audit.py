"""The audit trail: added to inside the transaction of each act, and read in pages."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from knowledge.audit import Act, Entry
from knowledge.store.database import Store, now
from knowledge.store.sight import caller_of
from knowledge.store.tables import AuditRow


def note(session: Session, act: Act, of: str | None, *, namespace: str | None = None, **details: object) -> None:
    """Writes down that the session's caller did this to the object `of`."""
    caller = caller_of(session)
    session.add(
        AuditRow(
            at=now(),
            caller=caller.name,
            key_id=caller.key_id,
            act=act.value,
            namespace=namespace,
            object=of,
            details=details,
        )
    )


def find(
    store: Store, namespace: str | None = None, *, before: int | None = None, limit: int | None = None
) -> list[Entry]:
    """Acts, newest first. `before` is the last id of the page before."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if namespace is not None:
        query = query.where(AuditRow.namespace == namespace)
    if before is not None:
        query = query.where(AuditRow.id < before)
    with store.read() as session:
        return [
            Entry(row.id, row.at, row.caller, row.key_id, Act(row.act), row.namespace, row.object, dict(row.details))
            for row in session.scalars(query)
        ]
