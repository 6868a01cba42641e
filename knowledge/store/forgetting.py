"""Forgetting a fact: it is done when no version that may speak, and no job that may publish one, has seen it.

A request marks the fact, and `conclude` is the one place that decides whether a mark can be honoured yet: at once, when
a version without the fact goes live, or after a rollback. Until then the fact keeps its status. What is done cannot be
undone: the text and everything that tells it is erased, and versions whose weights have seen it are deleted.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from knowledge.adapters import VersionStatus
from knowledge.audit import Act
from knowledge.errors import NotFound
from knowledge.facts import FactStatus
from knowledge.probes import Direction
from knowledge.store import audit
from knowledge.store.database import Store, now
from knowledge.store.facts import gathering_job, move
from knowledge.store.jobs import cancel_if_idle, is_running, is_waiting
from knowledge.store.sight import caller_of
from knowledge.store.tables import (
    ClaimRow,
    FactEventRow,
    FactRow,
    ForgettingRow,
    JobRow,
    NamespaceRow,
    ProbeResultRow,
    ProbeRow,
    VersionFactRow,
    VersionRow,
)

MOST_AT_ONCE = 500
"""Expired facts in one round, so that a process that is asked to end need not wait for thousands of transactions."""


@dataclass(frozen=True)
class Mark:
    """What a version reached at one probe of the fact: `score` 0..1. The question and the answers are erased."""

    direction: Direction
    score: float
    passed: bool


@dataclass(frozen=True)
class Forgetting:
    """The record of forgetting a fact, asked for by `caller`.

    `version_before` is the live version that had seen it when it was asked for, `version_after` the live one when it
    was done (None: the base model); `before` and `after` are how the probes went at the last version that was asked
    them, and at `version_after`. `job_id` makes the version without it; None when nothing had to be trained.
    """

    fact_id: str
    namespace: str
    status: FactStatus
    content_hash: str
    caller: str
    key_id: str | None
    job_id: str | None
    requested_at: datetime
    done_at: datetime | None
    version_before: int | None
    version_after: int | None
    before: tuple[Mark, ...]
    after: tuple[Mark, ...]


def forget(store: Store, fact_id: str) -> Forgetting:
    """Asks for it; `done_at` says whether it was done at once. Asking again changes nothing but a job that ended.

    Raises `NotFound`.
    """
    with store.write() as session:
        row = _locked(session, fact_id)
        asked = session.get(ForgettingRow, fact_id)
        if asked is None:
            asked = _ask(session, row)
        if asked.done_at is None:
            conclude(session, row.namespace)
        if asked.done_at is None and not is_waiting(session, asked.job_id):
            asked.job_id = gathering_job(session, row.namespace).id
            session.flush()
        return _forgetting(session, row, asked)


def forget_expired(store: Store) -> int:
    """Asks to forget the facts whose `expires_at` has passed, at most `MOST_AT_ONCE` of them; returns their number."""
    query = (
        select(FactRow.id)
        .where(
            FactRow.expires_at <= now(),
            FactRow.forget_requested_at.is_(None),
            FactRow.status != FactStatus.FORGOTTEN.value,
        )
        .order_by(FactRow.expires_at)
        .limit(MOST_AT_ONCE)
    )
    with store.read() as session:
        expired = session.scalars(query).all()
    for fact_id in expired:
        forget(store, fact_id)
    return len(expired)


def get(store: Store, fact_id: str) -> Forgetting | None:
    """The record; None when nobody asked to forget the fact. Raises `NotFound` when there is no such fact."""
    with store.read() as session:
        row, asked = session.get(FactRow, fact_id), session.get(ForgettingRow, fact_id)
        if row is None:
            raise NotFound(f"There is no fact {fact_id}.")
        return _forgetting(session, row, asked) if asked else None


def saw_any(store: Store, namespace: str, fact_ids: Sequence[str]) -> set[int]:
    """The versions whose own adapter has seen at least one of the facts."""
    with store.read() as session:
        return set().union(*_taught_by(session, namespace, fact_ids).values())


def conclude(session: Session, namespace: str, job_id: str | None = None) -> None:
    """Forgets what is marked and may go, inside the transaction that changed what is live, or marked.

    A fact that a running job teaches, or that the live version's weights have seen, waits. So does any that some
    version has seen while a job runs, because that job may have begun with this version.
    """
    live = session.get_one(NamespaceRow, namespace, with_for_update=True).live_version
    marked = session.scalars(
        select(FactRow).where(
            FactRow.namespace == namespace,
            FactRow.forget_requested_at.is_not(None),
            FactRow.status.not_in([FactStatus.FORGOTTEN.value, FactStatus.TRAINING.value]),
        )
    ).all()
    if not marked:
        return
    seen = seen_by(session, namespace, [row.id for row in marked])
    busy = is_running(session, namespace)
    gone = [row for row in marked if not seen[row.id] or not (busy or live in seen[row.id])]
    _erase(session, gone, job_id)
    _delete_versions(session, namespace, set().union(*(seen[row.id] for row in gone)))
    _write_down(session, gone, live)
    cancel_if_idle(session, namespace)


def seen_by(session: Session, namespace: str, fact_ids: Sequence[str]) -> dict[str, set[int]]:
    """By fact, the versions that may speak with weights that have seen it: their own adapter's, or a home's."""
    taught = _taught_by(session, namespace, fact_ids)
    homes = (
        select(VersionFactRow.number, VersionFactRow.home)
        .where(VersionFactRow.namespace == namespace, VersionFactRow.home.in_(set().union(*taught.values())))
        .distinct()
    )
    speaks_with: defaultdict[int | None, set[int]] = defaultdict(set)
    for number, home in session.execute(homes):
        speaks_with[home].add(number)
    return {fact_id: numbers.union(*(speaks_with[each] for each in numbers)) for fact_id, numbers in taught.items()}


def _taught_by(session: Session, namespace: str, fact_ids: Sequence[str]) -> dict[str, set[int]]:
    """By fact, the versions whose own adapter has seen it: is its home, was taught it, or began with one that has."""
    held = select(VersionFactRow.fact_id, VersionFactRow.number).where(
        VersionFactRow.namespace == namespace, VersionFactRow.fact_id.in_(fact_ids), VersionFactRow.home.is_(None)
    )
    taught = (
        select(FactEventRow.fact_id, VersionRow.number)
        .join(VersionRow, VersionRow.job_id == FactEventRow.job_id)
        .where(FactEventRow.fact_id.in_(fact_ids), FactEventRow.status == FactStatus.TRAINING.value)
    )
    children: defaultdict[int, list[int]] = defaultdict(list)
    line = select(VersionRow.number, VersionRow.parent).where(VersionRow.namespace == namespace)
    for number, parent in session.execute(line):
        if parent is not None:
            children[parent].append(number)
    seen: dict[str, set[int]] = {fact_id: set() for fact_id in fact_ids}
    for fact_id, number in [*session.execute(held), *session.execute(taught)]:
        later = [number]
        while later:
            each = later.pop()
            if each not in seen[fact_id]:
                seen[fact_id].add(each)
                later += children[each]
    return seen


def _locked(session: Session, fact_id: str) -> FactRow:
    """The fact, while nobody claims, ends or publishes its job. Locked in the order in which workers do."""
    row = session.get(FactRow, fact_id)
    if row is None:
        raise NotFound(f"There is no fact {fact_id}.")
    if row.job_id is not None:
        session.get(JobRow, row.job_id, with_for_update=True)
    session.refresh(row, with_for_update=True)
    return row


def _ask(session: Session, row: FactRow) -> ForgettingRow:
    caller = caller_of(session)
    live = session.get_one(NamespaceRow, row.namespace).live_version
    asked = ForgettingRow(
        fact_id=row.id,
        namespace=row.namespace,
        caller=caller.name,
        key_id=caller.key_id,
        version_before=live if live in seen_by(session, row.namespace, [row.id])[row.id] else None,
    )
    row.forget_requested_at = now()
    session.add(asked)
    audit.note(session, Act.FORGOTTEN, row.id, namespace=row.namespace)
    session.flush()
    return asked


def _erase(session: Session, rows: Sequence[FactRow], job_id: str | None) -> None:
    """Takes away whatever tells the text. Its hash, its history, scores and marks stay: they are the record."""
    ids = [row.id for row in rows]
    for row in rows:
        row.text, row.title, row.source, row.meta = "", None, None, {}
    move(session, rows, FactStatus.FORGOTTEN, job_id)
    probes = select(ProbeRow.id).where(ProbeRow.fact_id.in_(ids))
    for statement in (
        update(ProbeResultRow).where(ProbeResultRow.probe_id.in_(probes)).values(answered=""),
        update(ProbeRow).where(ProbeRow.fact_id.in_(ids)).values(question="", answer=""),
        delete(ClaimRow).where(ClaimRow.fact_id.in_(ids)),
        update(FactRow).where(FactRow.superseded_by.in_(ids)).values(superseded_by=None),
    ):
        session.execute(statement, execution_options={"synchronize_session": False})


def _delete_versions(session: Session, namespace: str, numbers: set[int]) -> None:
    session.execute(
        update(VersionRow)
        .where(
            VersionRow.namespace == namespace,
            VersionRow.number.in_(numbers),
            VersionRow.status == VersionStatus.RETIRED.value,
        )
        .values(status=VersionStatus.DELETED.value, deleted_at=now())
    )


def _write_down(session: Session, rows: Sequence[FactRow], live: int | None) -> None:
    for row in rows:
        asked = session.get_one(ForgettingRow, row.id)
        asked.done_at, asked.version_after = now(), live
    session.flush()


def _forgetting(session: Session, row: FactRow, asked: ForgettingRow) -> Forgetting:
    query = (
        select(ProbeRow.direction, ProbeResultRow)
        .join(ProbeResultRow, ProbeResultRow.probe_id == ProbeRow.id)
        .where(ProbeRow.fact_id == row.id)
        .order_by(ProbeResultRow.id)
    )
    marks: defaultdict[int, dict[int, Mark]] = defaultdict(dict)
    for direction, result in session.execute(query):
        marks[result.version][result.probe_id] = Mark(Direction(direction), result.score, result.passed)
    after = marks.pop(asked.version_after, {}) if asked.version_after is not None else {}
    before = marks[max(marks)] if marks else {}
    assert row.forget_requested_at is not None
    return Forgetting(
        fact_id=row.id,
        namespace=row.namespace,
        status=FactStatus(row.status),
        content_hash=row.content_hash,
        caller=asked.caller,
        key_id=asked.key_id,
        job_id=asked.job_id,
        requested_at=row.forget_requested_at,
        done_at=asked.done_at,
        version_before=asked.version_before,
        version_after=asked.version_after,
        before=tuple(before.values()),
        after=tuple(after.values()),
    )
