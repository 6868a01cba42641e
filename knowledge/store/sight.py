"""Which rows a caller sees: whatever statement a session runs for one with a list of namespaces, others are not there.

The rule stands here and not in the queries, so that no query, and no route, can forget it. A row belongs to a namespace
by its `namespace`, or by the fact or job that it names. A row of another namespace cannot be written either.
"""

from functools import lru_cache

from sqlalchemy import ColumnElement, event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption

from knowledge.errors import Forbidden
from knowledge.keys import SYSTEM, Caller
from knowledge.store.tables import AuditRow, FactRow, JobRow, NamespaceRow, Table


class CallersSession(Session):
    """A session that knows for whom it works."""


def caller_of(session: Session) -> Caller:
    """For whom the session works."""
    caller = session.info.get("caller", SYSTEM)
    assert isinstance(caller, Caller)
    return caller


def owned(table: type[Table], namespaces: frozenset[str]) -> ColumnElement[bool] | None:
    """Which rows of the table belong to these namespaces; None for a table that has nothing to do with any."""
    if table is NamespaceRow:
        return NamespaceRow.name.in_(namespaces)
    columns = table.__mapper__.columns
    if "namespace" in columns:
        return columns["namespace"].in_(namespaces)
    if "fact_id" in columns:
        return columns["fact_id"].in_(select(FactRow.id).where(FactRow.namespace.in_(namespaces)))
    if "job_id" in columns:
        return columns["job_id"].in_(select(JobRow.id).where(JobRow.namespace.in_(namespaces)))
    return None


@lru_cache(maxsize=256)
def _criteria(namespaces: frozenset[str]) -> tuple[ORMOption, ...]:
    tables = [mapper.class_ for mapper in Table.registry.mappers]
    found = {table: owned(table, namespaces) for table in tables}
    return tuple(
        with_loader_criteria(table, rule, include_aliases=True) for table, rule in found.items() if rule is not None
    )


@event.listens_for(CallersSession, "do_orm_execute")
def _show_only_own_rows(state: ORMExecuteState) -> None:
    namespaces = caller_of(state.session).namespaces
    if namespaces is not None:
        state.statement = state.statement.options(*_criteria(namespaces))


@event.listens_for(CallersSession, "before_flush")
def _write_only_own_rows(session: Session, _context: object, _instances: object) -> None:
    """Raises `Forbidden`, in the same words whether the namespace exists or not."""
    caller = caller_of(session)
    if caller.namespaces is None:
        return
    for row in (*session.new, *session.dirty, *session.deleted):
        if isinstance(row, AuditRow) or not (isinstance(row, NamespaceRow) or hasattr(row, "namespace")):
            continue
        namespace = row.name if isinstance(row, NamespaceRow) else row.namespace
        if namespace is None or not caller.sees(namespace):
            raise Forbidden(f"This key is not for {f'the namespace {namespace}' if namespace else 'all namespaces'}.")
