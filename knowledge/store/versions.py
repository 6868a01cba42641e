"""Versions: a candidate is written before it is loaded, and becomes live in one transaction with its facts and job.

Whatever makes a version live, a publish or a rollback, makes its facts live and no others (`_follow`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from knowledge import faults
from knowledge.adapters import Version, VersionStatus
from knowledge.audit import Act
from knowledge.errors import Conflict, NotFound, VersionDeleted
from knowledge.facts import FactStatus
from knowledge.jobs import ENDED, RUNNING, Lease
from knowledge.probes import ProbeResult
from knowledge.store import audit, forgetting
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
                parent=version.parent,
                created_at=version.created_at,
                activated_at=None,
            )
        )
        session.flush()
        session.add_all(
            VersionFactRow(
                namespace=version.namespace,
                number=version.number,
                fact_id=fact_id,
                home=version.homes.get(fact_id),
            )
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
    become superseded, and those that the version has not seen and was to forget, forgotten.
    """
    weak = frozenset(weak)
    with store.write() as session:
        succeed(session, lease)
        namespace = session.get_one(NamespaceRow, version.namespace, with_for_update=True)
        row = version_row(session, version.namespace, version.number)
        row.score, row.retention, row.canaries = version.score, version.retention, version.canaries
        _retire_live(session, version.namespace)
        row.status, row.activated_at = VersionStatus.LIVE.value, now()
        namespace.live_version = version.number
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
        _keep_only(session, version, weak)
        forgetting.conclude(session, version.namespace, lease.job_id)
        _follow(session, version.namespace, version.number, lease.job_id)
        faults.point("live.before_commit")


def publish_untrained(store: Store, lease: Lease) -> bool:
    """Ends a job that only forgets, when there is nothing to train for that; False, and nothing done, when there is.

    Either the live version never saw what is to be forgotten, or it holds nothing else: then no version is live any
    more, and the base model answers. The job's own version number stays unused. Raises `LeaseLost`.
    """
    with store.write() as session:
        require(session, lease)
        job = session.get_one(JobRow, lease.job_id)
        namespace = session.get_one(NamespaceRow, job.namespace, with_for_update=True)
        marked = FactRow.forget_requested_at.is_not(None)
        to_go = select(FactRow.id).where(
            FactRow.namespace == job.namespace, marked, FactRow.status != FactStatus.FORGOTTEN.value
        )
        seen = forgetting.seen_by(session, job.namespace, session.scalars(to_go).all())
        if any(namespace.live_version in numbers for numbers in seen.values()):
            held = _held(job.namespace, namespace.live_version or 0)
            others = select(FactRow.id).where(FactRow.id.in_(held), ~marked, FactRow.status == FactStatus.LIVE.value)
            if session.scalars(others.limit(1)).first():
                return False
            _retire_live(session, job.namespace)
            namespace.live_version = None
        succeed(session, lease)
        forgetting.conclude(session, job.namespace, lease.job_id)
        return True


def refuse(store: Store, lease: Lease, version: Version) -> None:
    """Marks the candidate as failed, so that nothing loads it again. Raises `LeaseLost`."""
    with store.write() as session:
        require(session, lease)
        version_row(session, version.namespace, version.number).status = VersionStatus.FAILED.value


def activate(store: Store, namespace: str, number: int) -> Version:
    """Rolls back or forward: makes a retired version live, and its facts, and no others.

    Raises `NotFound`, `VersionDeleted`, `Conflict`.
    """
    with store.write() as session:
        space = session.get(NamespaceRow, namespace, with_for_update=True)
        row = version_row(session, namespace, number, lock=True)
        check_activatable(_version(session, row))
        if space is None or row.status == VersionStatus.LIVE:
            return _version(session, row)
        _retire_live(session, namespace)
        row.status, row.activated_at = VersionStatus.LIVE.value, now()
        space.live_version = number
        session.flush()
        forgetting.conclude(session, namespace)
        _follow(session, namespace, number)
        audit.note(session, Act.ACTIVATED, f"{namespace}@{number}", namespace=namespace)
        session.flush()
        faults.point("activate.before_flip")
        return _version(session, row)


def check_activatable(version: Version) -> None:
    """Raises `VersionDeleted`, and `Conflict` for a version that never was live."""
    _check_kept(version.namespace, version.number, version.status)
    if version.status not in (VersionStatus.LIVE, VersionStatus.RETIRED):
        raise Conflict(f"Version {version.number} is {version.status}: it never was live, so it cannot be activated.")


def check_askable(store: Store, namespace: str, number: int) -> None:
    """Raises `NotFound`, `VersionDeleted`, and `Conflict` for a version that never was live."""
    with store.read() as session:
        status = VersionStatus(version_row(session, namespace, number).status)
    _check_kept(namespace, number, status)
    if status not in (VersionStatus.LIVE, VersionStatus.RETIRED):
        raise Conflict(f"Version {number} is {status}: it cannot be asked.")


def get(store: Store, namespace: str, number: int) -> Version:
    """Raises `NotFound` when the namespace has no such version."""
    with store.read() as session:
        return _version(session, version_row(session, namespace, number))


def live(store: Store, namespace: str) -> Version | None:
    """The live version; None before the first. Raises `NotFound` for a namespace that nobody has posted to."""
    with store.read() as session:
        row = namespace_row(session, namespace)
        if row is None or row.live_version is None:
            return None
        return _version(session, version_row(session, namespace, row.live_version))


def ancestry(store: Store, namespace: str) -> list[Version]:
    """The live version and those that its weights continue, newest first; empty before the first."""
    with store.read() as session:
        name = namespace_row(session, namespace)
        number = name.live_version if name else None
        found: list[Version] = []
        while number is not None and (row := session.get(VersionRow, (namespace, number))):
            found.append(_version(session, row))
            number = row.parent
        return found


def was_made(store: Store, namespace: str, number: int) -> bool:
    """Whether some job got as far as a candidate of this number, whatever became of it."""
    with store.read() as session:
        return session.get(VersionRow, (namespace, number)) is not None


def find(store: Store, namespace: str | None = None, *, statuses: Iterable[VersionStatus] = ()) -> list[Version]:
    """Versions, newest first. Raises `NotFound` for an unknown namespace."""
    query = select(VersionRow).order_by(VersionRow.namespace, VersionRow.number.desc())
    if wanted := [status.value for status in statuses]:
        query = query.where(VersionRow.status.in_(wanted))
    with store.read() as session:
        if namespace is not None:
            namespace_row(session, namespace)
            query = query.where(VersionRow.namespace == namespace)
        return [_version(session, row) for row in session.scalars(query).all()]


def speaking(store: Store) -> list[Version]:
    """What the model servers should hold: live versions, candidates, and the homes of the facts of either."""
    speak = [VersionStatus.LIVE.value, VersionStatus.CANDIDATE.value]
    query = select(VersionRow).where(VersionRow.status.in_(speak) | is_home(lambda version: version.status.in_(speak)))
    with store.read() as session:
        return [_version(session, row) for row in session.scalars(query).all()]


def speaking_as(store: Store, version: Version) -> list[Version]:
    """The version, and those whose adapters it speaks with."""
    return [version, *(get(store, version.namespace, number) for number in sorted(set(version.homes.values())))]


def check_namespace(store: Store, name: str) -> None:
    """Raises `NotFound` for a namespace that nobody has posted to, the default one aside, and for another's."""
    with store.read() as session:
        namespace_row(session, name)


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
    by_status = select(FactRow.namespace, FactRow.status, func.count()).group_by(FactRow.namespace, FactRow.status)
    with store.read() as session:
        rows = session.scalars(select(NamespaceRow).order_by(NamespaceRow.name)).all()
        found = {row.name: Namespace(row.name, row.live_version, {}) for row in rows}
        counted = {(name, status): number for name, status, number in session.execute(by_status)}
    for name, namespace in found.items():
        numbers = {status: counted.get((name, status.value), 0) for status in FactStatus}
        found[name] = replace(namespace, facts={status: number for status, number in numbers.items() if number})
    return list(found.values())


def delete_old(store: Store, *, keep: int) -> list[Version]:
    """Of each namespace's retired versions all but the `keep` newest become `deleted`; returns those.

    A namespace is left alone while a job of it runs: the job may have begun with one of them.
    """
    busy = select(JobRow.namespace).where(JobRow.status.in_([status.value for status in RUNNING]))
    query = (
        select(VersionRow)
        .where(VersionRow.status == VersionStatus.RETIRED.value, VersionRow.namespace.not_in(busy))
        .order_by(VersionRow.namespace, VersionRow.number.desc())
        .with_for_update()
    )
    with store.write() as session:
        of_namespace = groupby(session.scalars(query).all(), key=lambda row: row.namespace)
        old = [row for _, rows in of_namespace for row in list(rows)[keep:]]
        for row in old:
            row.status, row.deleted_at = VersionStatus.DELETED.value, now()
        session.flush()
        return [_version(session, row) for row in old]


def deleted_adapters(store: Store, *, before: datetime) -> set[str]:
    """Adapters of the versions that were deleted before that moment, and that no other one speaks with since."""
    query = select(VersionRow.adapter).where(
        VersionRow.status == VersionStatus.DELETED.value,
        VersionRow.deleted_at < before,
        ~is_home(lambda version: version.deleted_at.is_(None) | (version.deleted_at >= before)),
    )
    with store.read() as session:
        return set(session.scalars(query))


def is_home(of: Callable[[type[VersionRow]], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether a `VersionRow`'s adapter answers for a fact of another version for which `of` holds."""
    speaker = aliased(VersionRow)
    return exists().where(
        VersionFactRow.namespace == VersionRow.namespace,
        VersionFactRow.home == VersionRow.number,
        speaker.namespace == VersionFactRow.namespace,
        speaker.number == VersionFactRow.number,
        of(speaker),
    )


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


def namespace_row(session: Session, name: str) -> NamespaceRow | None:
    """None for the default one before the first post. Raises `NotFound` for any other that is not there."""
    row = session.get(NamespaceRow, name)
    if row is None and (name != DEFAULT_NAMESPACE or not caller_of(session).sees(name)):
        raise NotFound(no_namespace(name))
    return row


def version_row(session: Session, namespace: str, number: int, *, lock: bool = False) -> VersionRow:
    """Raises `NotFound`."""
    row = session.get(VersionRow, (namespace, number), with_for_update=lock)
    if row is None:
        raise NotFound(f"Namespace {namespace} has no version {number}.")
    return row


def _retire_live(session: Session, namespace: str) -> None:
    session.execute(
        update(VersionRow)
        .where(VersionRow.namespace == namespace, VersionRow.status == VersionStatus.LIVE.value)
        .values(status=VersionStatus.RETIRED.value)
    )


def _check_kept(namespace: str, number: int, status: VersionStatus) -> None:
    if status == VersionStatus.DELETED:
        raise VersionDeleted(f"Version {number} of {namespace} was deleted; it can be neither asked nor activated.")


def _held(namespace: str, number: int) -> Select[str]:
    """Ids of the facts that a version holds."""
    return select(VersionFactRow.fact_id).where(VersionFactRow.namespace == namespace, VersionFactRow.number == number)


def _follow(session: Session, namespace: str, number: int, job_id: str | None = None) -> None:
    """Facts follow the live version: what it holds is live, and no other fact is.

    A fact is superseded when the version holds a newer document with its key, or the fact that was posted to take its
    place. What else was live, and is held no more, is rejected: a rollback took it away.
    """
    held, newer, twin = _held(namespace, number), aliased(FactRow), aliased(FactRow)
    replaced = or_(
        FactRow.superseded_by.is_not(None) & FactRow.superseded_by.in_(held),
        exists().where(
            newer.namespace == namespace,
            newer.key == FactRow.key,
            newer.document_id > FactRow.document_id,
            newer.id.in_(held),
        ),
    )
    posted_again = exists().where(
        twin.namespace == namespace,
        twin.content_hash == FactRow.content_hash,
        twin.id != FactRow.id,
        twin.status.in_([FactStatus.PENDING.value, FactStatus.TRAINING.value, FactStatus.WEAK.value]),
    )
    of_namespace = select(FactRow).where(FactRow.namespace == namespace)
    is_live, is_held = FactRow.status == FactStatus.LIVE.value, FactRow.id.in_(held)
    taught = or_(is_live, FactRow.status == FactStatus.WEAK.value)
    gone = FactRow.status.in_([FactStatus.WEAK.value, FactStatus.SUPERSEDED.value, FactStatus.REJECTED.value])
    for new, which in (
        (FactStatus.SUPERSEDED, taught & replaced),
        (FactStatus.REJECTED, is_live & ~is_held),
        (FactStatus.LIVE, gone & is_held & ~replaced & ~posted_again),
    ):
        move_facts(session, session.scalars(of_namespace.where(which)).all(), new, job_id)
        session.flush()


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
    held = session.execute(
        select(VersionFactRow.fact_id, VersionFactRow.home)
        .where(VersionFactRow.namespace == row.namespace, VersionFactRow.number == row.number)
        .order_by(VersionFactRow.fact_id)
    ).all()
    return Version(
        namespace=row.namespace,
        number=row.number,
        adapter=row.adapter,
        path=row.path,
        status=VersionStatus(row.status),
        fact_ids=tuple(fact_id for fact_id, _ in held),
        recipe_hash=row.recipe_hash,
        score=row.score,
        created_at=row.created_at,
        activated_at=row.activated_at,
        parent=row.parent,
        retention=row.retention,
        canaries=row.canaries,
        homes={fact_id: home for fact_id, home in held if home is not None},
    )
