"""The line of a namespace's versions, as lists show it: how much each holds, and not all that it holds."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.orm import Session

from knowledge.adapters import VersionStatus
from knowledge.store.database import Store
from knowledge.store.tables import (
    FactRow,
    NamespaceRow,
    ProbeResultRow,
    ProbeRow,
    VersionFactRow,
    VersionRow,
)
from knowledge.store.versions import namespace_row, version_row


@dataclass(frozen=True)
class Step:
    """A version as one of its line: `facts` is how many it holds; the shares are as in `knowledge.adapters.Version`."""

    namespace: str
    number: int
    status: VersionStatus
    adapter: str
    job_id: str
    recipe_hash: str
    score: float
    facts: int
    created_at: datetime
    activated_at: datetime | None
    retention: float | None
    canaries: float | None


@dataclass(frozen=True)
class Changes:
    """What a newer version holds beyond an older one, and lacks: numbers, and the first ids of each."""

    added: int
    removed: int
    added_ids: tuple[str, ...]
    removed_ids: tuple[str, ...]


@dataclass(frozen=True)
class Retention:
    """Shares of what a version answered rightly, 0..1. None: nothing of the kind was asked.

    `kept` are probes of facts taught before it, `new` of those taught by it, `canaries` general questions that the base
    model answers.
    """

    number: int
    kept: float | None
    new: float | None
    canaries: float | None


def names(store: Store) -> list[str]:
    """The names of all namespaces."""
    with store.read() as session:
        return list(session.scalars(select(NamespaceRow.name).order_by(NamespaceRow.name)))


def line(store: Store, namespace: str, *, before: int | None = None, limit: int) -> list[Step]:
    """The namespace's versions, newest first, without the lists of their facts. Raises `NotFound`.

    `before` is the last number of the page before.
    """
    query = select(VersionRow).where(VersionRow.namespace == namespace).order_by(VersionRow.number.desc()).limit(limit)
    if before is not None:
        query = query.where(VersionRow.number < before)
    with store.read() as session:
        namespace_row(session, namespace)
        return _steps(session, query)


def askable(store: Store, namespace: str, *, limit: int) -> list[tuple[int, bool]]:
    """Numbers of the versions that can be asked, newest first, each with whether it is live. Raises `NotFound`."""
    kept = [VersionStatus.LIVE.value, VersionStatus.RETIRED.value]
    query = (
        select(VersionRow.number, VersionRow.status)
        .where(VersionRow.namespace == namespace, VersionRow.status.in_(kept))
        .order_by(VersionRow.number.desc())
    )
    with store.read() as session:
        namespace_row(session, namespace)
        found = session.execute(query.limit(limit)).all()
    return [(row.number, row.status == VersionStatus.LIVE) for row in found]


def step(store: Store, namespace: str, number: int) -> Step:
    """One version, without the list of its facts. Raises `NotFound`."""
    with store.read() as session:
        version_row(session, namespace, number)
        return _steps(session, _one(namespace, number))[0]


def homes(store: Store, namespace: str, number: int) -> dict[int, int]:
    """How many of a version's facts are answered by the adapter of which version. Raises `NotFound`."""
    home = func.coalesce(VersionFactRow.home, VersionFactRow.number)
    query = (
        select(home, func.count())
        .where(VersionFactRow.namespace == namespace, VersionFactRow.number == number)
        .group_by(home)
    )
    with store.read() as session:
        version_row(session, namespace, number)
        return {row[0]: row[1] for row in session.execute(query)}


def live_step(store: Store, namespace: str) -> Step | None:
    """The live version, without the list of its facts; None before the first. Raises `NotFound`."""
    with store.read() as session:
        row = namespace_row(session, namespace)
        if row is None or row.live_version is None:
            return None
        return _steps(session, _one(namespace, row.live_version))[0]


def live_steps(store: Store, *, limit: int) -> dict[str, Step]:
    """The live versions of namespaces, by their names."""
    query = select(VersionRow).where(VersionRow.status == VersionStatus.LIVE.value).order_by(VersionRow.namespace)
    with store.read() as session:
        return {step.namespace: step for step in _steps(session, query.limit(limit))}


def changes(store: Store, namespace: str, old: int, new: int, *, most: int) -> Changes:
    """What one version holds and another does not: up to `most` facts each way, and all their numbers."""

    def beyond(number: int, other: int) -> Select[str]:
        there = select(VersionFactRow.fact_id).where(
            VersionFactRow.namespace == namespace, VersionFactRow.number == other
        )
        return (
            select(VersionFactRow.fact_id)
            .where(VersionFactRow.namespace == namespace, VersionFactRow.number == number)
            .where(VersionFactRow.fact_id.not_in(there))
            .order_by(VersionFactRow.fact_id)
        )

    with store.read() as session:
        for number in (old, new):
            version_row(session, namespace, number)
        added = session.scalars(beyond(new, old)).all()
        removed = session.scalars(beyond(old, new)).all()
    return Changes(len(added), len(removed), tuple(added[:most]), tuple(removed[:most]))


def retention(store: Store, namespace: str, *, limit: int) -> list[Retention]:
    """How the newest versions answered what they were asked, oldest first."""
    recent = (
        select(VersionRow.number, VersionRow.job_id, VersionRow.canaries)
        .where(VersionRow.namespace == namespace)
        .order_by(VersionRow.number.desc())
        .limit(limit)
        .subquery()
    )
    earlier = FactRow.version < recent.c.number
    passed = case((ProbeResultRow.passed, 1), else_=0)
    query = (
        select(
            recent.c.number,
            recent.c.canaries,
            func.sum(case((earlier, passed), else_=0)).label("kept"),
            func.sum(case((earlier, 1), else_=0)).label("kept_of"),
            func.sum(case((earlier, 0), else_=passed)).label("new"),
            func.sum(case((earlier, 0), else_=1)).label("new_of"),
        )
        .join(
            ProbeResultRow,
            and_(ProbeResultRow.job_id == recent.c.job_id, ProbeResultRow.version == recent.c.number),
        )
        .join(ProbeRow, ProbeRow.id == ProbeResultRow.probe_id)
        .join(FactRow, FactRow.id == ProbeRow.fact_id)
        .group_by(recent.c.number, recent.c.canaries)
        .order_by(recent.c.number)
    )
    with store.read() as session:
        return [
            Retention(
                row.number,
                row.kept / row.kept_of if row.kept_of else None,
                row.new / row.new_of if row.new_of else None,
                row.canaries,
            )
            for row in session.execute(query)
        ]


def _steps(session: Session, query: Select[VersionRow]) -> list[Step]:
    """The versions of the query, each with the number of its facts, in one statement."""
    held = (
        select(func.count())
        .where(VersionFactRow.namespace == VersionRow.namespace, VersionFactRow.number == VersionRow.number)
        .correlate(VersionRow)
        .scalar_subquery()
    )
    return [
        Step(
            row.namespace,
            row.number,
            VersionStatus(row.status),
            row.adapter,
            row.job_id,
            row.recipe_hash,
            row.score,
            facts,
            row.created_at,
            row.activated_at,
            row.retention,
            row.canaries,
        )
        for row, facts in session.execute(query.add_columns(held))
    ]


def _one(namespace: str, number: int) -> Select[VersionRow]:
    return select(VersionRow).where(VersionRow.namespace == namespace, VersionRow.number == number)
