"""Versions: a candidate is written before it is loaded, and becomes live in one transaction with its facts and job."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from knowledge import faults
from knowledge.adapters import Version, VersionStatus
from knowledge.audit import Act
from knowledge.errors import Conflict, NotFound
from knowledge.facts import FactStatus
from knowledge.jobs import ENDED, Lease
from knowledge.probes import ProbeResult
from knowledge.store import audit
from knowledge.store.database import Store, now
from knowledge.store.facts import DEFAULT_NAMESPACE
from knowledge.store.facts import move as move_facts
from knowledge.store.jobs import require, succeed
from knowledge.store.sight import caller_of
from knowledge.store.standing import no_namespace
from knowledge.store.tables import FactRow, JobRow, NamespaceRow, ProbeResultRow, ProbeRow, VersionFactRow, VersionRow


@dataclass(frozen=True)
class Namespace:
    """A body of facts with its own line of versions."""

    name: str
    live_version: int | None
    facts: Mapping[FactStatus, int]


def add_candidate(store: Store, lease: Lease, version: Version) -> None:
    """Writes a version that may be loaded for its probes. Raises `LeaseLost`."""
    with store.write() as session:
        require(session, lease)
        _remove(session, version.namespace, version.number)
        session.add(
            VersionRow(
                namespace=version.namespace,
                number=version.number,
                adapter=version.adapter,
                path=version.path,
                status=VersionStatus.CANDIDATE.value,
                recipe_hash=version.recipe_hash,
                job_id=lease.job_id,
                score=version.score,
                created_at=version.created_at,
                activated_at=None,
            )
        )
        session.flush()
        session.add_all(
            VersionFactRow(namespace=version.namespace, number=version.number, fact_id=fact_id)
            for fact_id in version.fact_ids
        )
        faults.point("candidate.before_commit")


def record_results(store: Store, lease: Lease, version: int, results: Mapping[str, Sequence[ProbeResult]]) -> None:
    """Keeps what the candidate answered, by fact id. Raises `LeaseLost`."""
    with store.write() as session:
        require(session, lease)
        rows = session.scalars(select(ProbeRow).where(ProbeRow.fact_id.in_(list(results)))).all()
        ids = {(row.fact_id, row.question, row.answer): row.id for row in rows}
        session.add_all(
            ProbeResultRow(
                probe_id=ids[fact_id, result.probe.question, result.probe.answer],
                job_id=lease.job_id,
                version=version,
                answered=result.answered,
                score=result.score,
                passed=result.passed,
                at=now(),
            )
            for fact_id, of_fact in results.items()
            for result in of_fact
        )


def publish(store: Store, lease: Lease, version: Version, *, weak: Iterable[str] = ()) -> None:
    """Makes the candidate live, its facts live or weak, and the job succeeded: all or nothing. Raises `LeaseLost`.

    `weak` are the ids of facts, new or held before, that did not pass. Facts whose key a newly live document carries
    become superseded.
    """
    weak = frozenset(weak)
    with store.write() as session:
        succeed(session, lease)
        row = _row(session, version.namespace, version.number)
        row.score = version.score
        _retire_live(session, version.namespace)
        row.status, row.activated_at = VersionStatus.LIVE.value, now()
        session.get_one(NamespaceRow, version.namespace).live_version = version.number
        facts = session.scalars(select(FactRow).where(FactRow.job_id == lease.job_id)).all()
        taught = [fact for fact in facts if fact.status == FactStatus.TRAINING]
        failed = session.scalars(
            select(FactRow).where(
                FactRow.id.in_(weak), FactRow.status.in_([FactStatus.TRAINING.value, FactStatus.LIVE.value])
            )
        ).all()
        move_facts(session, failed, FactStatus.WEAK, lease.job_id)
        held = [fact for fact in taught if fact.id not in weak]
        for fact in held:
            fact.version = version.number
        move_facts(session, held, FactStatus.LIVE, lease.job_id)
        _supersede(session, version.namespace, held, lease.job_id)
        _keep_only(session, version, weak)
        faults.point("live.before_commit")


def refuse(store: Store, lease: Lease, version: Version) -> None:
    """Marks the candidate as failed, so that nothing loads it again. Raises `LeaseLost`."""
    with store.write() as session:
        require(session, lease)
        _row(session, version.namespace, version.number).status = VersionStatus.FAILED.value


def activate(store: Store, namespace: str, number: int) -> Version:
    """Rolls back or forward: makes a retired version live. Raises `NotFound`, `Conflict`."""
    with store.write() as session:
        row = _row(session, namespace, number)
        if row.status == VersionStatus.LIVE:
            return _version(session, row)
        if row.status != VersionStatus.RETIRED:
            raise Conflict(f"Version {number} is {row.status}: it never was live, so it cannot be activated.")
        _retire_live(session, namespace)
        row.status, row.activated_at = VersionStatus.LIVE.value, now()
        session.get_one(NamespaceRow, namespace).live_version = number
        audit.note(session, Act.ACTIVATED, f"{namespace}@{number}", namespace=namespace)
        session.flush()
        faults.point("activate.before_flip")
        return _version(session, row)


def get(store: Store, namespace: str, number: int) -> Version:
    """Raises `NotFound` when the namespace has no such version."""
    with store.read() as session:
        return _version(session, _row(session, namespace, number))


def live(store: Store, namespace: str) -> Version | None:
    """The live version; None before the first. Raises `NotFound` for a namespace that nobody has posted to."""
    with store.read() as session:
        row = _namespace(session, namespace)
        if row is None or row.live_version is None:
            return None
        return _version(session, _row(session, namespace, row.live_version))


def find(store: Store, namespace: str | None = None, *, statuses: Iterable[VersionStatus] = ()) -> list[Version]:
    """Versions, newest first. Raises `NotFound` for an unknown namespace."""
    query = select(VersionRow).order_by(VersionRow.namespace, VersionRow.number.desc())
    if wanted := [status.value for status in statuses]:
        query = query.where(VersionRow.status.in_(wanted))
    with store.read() as session:
        if namespace is not None:
            _namespace(session, namespace)
            query = query.where(VersionRow.namespace == namespace)
        return [_version(session, row) for row in session.scalars(query).all()]


def check_namespace(store: Store, name: str) -> None:
    """Raises `NotFound` for a namespace that nobody has posted to, the default one aside, and for another's."""
    with store.read() as session:
        _namespace(session, name)


def newest_live(store: Store, most: int) -> list[Version]:
    """The live versions of the namespaces where one was activated last, newest first."""
    query = (
        select(VersionRow)
        .where(VersionRow.status == VersionStatus.LIVE.value)
        .order_by(VersionRow.activated_at.desc())
        .limit(most)
    )
    with store.read() as session:
        return [_version(session, row) for row in session.scalars(query).all()]


def counts(store: Store) -> dict[str, int]:
    """Number of versions by status."""
    with store.read() as session:
        query = select(VersionRow.status, func.count().label("number")).group_by(VersionRow.status)
        return {row.status: row.number for row in session.execute(query)}


def namespaces(store: Store) -> list[Namespace]:
    """All namespaces with their numbers of facts by status."""
    with store.read() as session:
        found = []
        for row in session.scalars(select(NamespaceRow).order_by(NamespaceRow.name)):
            statuses = session.scalars(select(FactRow.status).where(FactRow.namespace == row.name)).all()
            counts = {status: statuses.count(status.value) for status in FactStatus if status.value in statuses}
            found.append(Namespace(row.name, row.live_version, counts))
        return found


def refuse_abandoned(store: Store) -> list[Version]:
    """Marks candidates whose job has ended as failed: left by a crash, and loaded for nothing. Returns them."""
    query = (
        select(VersionRow)
        .join(JobRow, JobRow.id == VersionRow.job_id)
        .where(VersionRow.status == VersionStatus.CANDIDATE.value)
        .where(JobRow.status.in_([status.value for status in ENDED]))
    )
    with store.write() as session:
        rows = session.scalars(query).all()
        for row in rows:
            row.status = VersionStatus.FAILED.value
        session.flush()
        return [_version(session, row) for row in rows]


def _namespace(session: Session, name: str) -> NamespaceRow | None:
    row = session.get(NamespaceRow, name)
    if row is None and (name != DEFAULT_NAMESPACE or not caller_of(session).sees(name)):
        raise NotFound(no_namespace(name))
    return row


def _row(session: Session, namespace: str, number: int) -> VersionRow:
    row = session.get(VersionRow, (namespace, number))
    if row is None:
        raise NotFound(f"Namespace {namespace} has no version {number}.")
    return row


def _retire_live(session: Session, namespace: str) -> None:
    session.execute(
        update(VersionRow)
        .where(VersionRow.namespace == namespace, VersionRow.status == VersionStatus.LIVE.value)
        .values(status=VersionStatus.RETIRED.value)
    )


def _supersede(session: Session, namespace: str, held: Sequence[FactRow], job_id: str) -> None:
    for key, document_id in {(fact.key, fact.document_id) for fact in held if fact.key is not None}:
        older = session.scalars(
            select(FactRow).where(
                FactRow.namespace == namespace,
                FactRow.key == key,
                FactRow.document_id < document_id,
                FactRow.status.in_([FactStatus.LIVE.value, FactStatus.WEAK.value]),
            )
        ).all()
        move_facts(session, older, FactStatus.SUPERSEDED, job_id)


def _keep_only(session: Session, version: Version, weak: frozenset[str]) -> None:
    """A weak fact is not counted among those that the version holds."""
    session.execute(
        delete(VersionFactRow).where(
            VersionFactRow.namespace == version.namespace,
            VersionFactRow.number == version.number,
            VersionFactRow.fact_id.in_(weak),
        )
    )


def _remove(session: Session, namespace: str, number: int) -> None:
    """An earlier attempt's candidate of the same number makes way."""
    for table in (VersionFactRow, VersionRow):
        session.execute(delete(table).where(table.namespace == namespace, table.number == number))


def _version(session: Session, row: VersionRow) -> Version:
    fact_ids = session.scalars(
        select(VersionFactRow.fact_id)
        .where(VersionFactRow.namespace == row.namespace, VersionFactRow.number == row.number)
        .order_by(VersionFactRow.fact_id)
    ).all()
    return Version(
        namespace=row.namespace,
        number=row.number,
        adapter=row.adapter,
        path=row.path,
        status=VersionStatus(row.status),
        fact_ids=tuple(fact_ids),
        recipe_hash=row.recipe_hash,
        score=row.score,
        created_at=row.created_at,
        activated_at=row.activated_at,
    )
