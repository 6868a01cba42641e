"""Facts: posted, read, and moved from status to status."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knowledge import faults, tracing
from knowledge.audit import Act
from knowledge.errors import Conflict, Contradiction, InvalidFact, NotFound, QueueFull, Unavailable
from knowledge.facts import Document, Fact, FactStatus, OnConflict, check_fact_move, content_hash, passages
from knowledge.ids import new_id
from knowledge.jobs import Job, JobStatus
from knowledge.probes import Direction, Probe, ProbeOrigin, ProbeResult, build_probes
from knowledge.store import audit, idempotency
from knowledge.store.conflicts import KNOWN, Clash, clashes, keep_claims
from knowledge.store.database import Store, now
from knowledge.store.events import note_fact, note_job
from knowledge.store.tables import (
    FactEventRow,
    FactRow,
    JobRow,
    NamespaceRow,
    ProbeResultRow,
    ProbeRow,
    VersionFactRow,
)

DEFAULT_NAMESPACE = "default"
_RACES = 20
MOST_CONFLICTS = 20
"""Told of one request."""
_STRANDED = [JobStatus.FAILED.value, JobStatus.CANCELLED.value, JobStatus.DEAD.value]


@dataclass(frozen=True)
class PostedFact:
    """One passage of a request: the fact that holds it, new or known before."""

    id: str
    status: FactStatus
    duplicate_of: str | None


@dataclass(frozen=True)
class Posted:
    """What a request came to. `job_id` is None when all is live already; `created` says whether work was added.

    `is_repeat` marks the stored answer to an earlier request with the same key, which is otherwise equal to the first.
    """

    namespace: str
    version: int | None
    job_id: str | None
    facts: tuple[PostedFact, ...]
    created: bool
    is_repeat: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class FactEvent:
    """One status change of a fact."""

    status: FactStatus
    job_id: str | None
    at: datetime


def post(
    store: Store,
    namespace: str,
    documents: Sequence[Document],
    *,
    idempotency_key: str | None = None,
    most_waiting: int | None = None,
) -> Posted:
    """Keeps the documents' passages, and the job that will teach them, in one transaction.

    A passage that the namespace knows already is not stored twice; a weak one, one whose job ended without success, or
    one that a rollback took away joins the new job. With an `idempotency_key`, which belongs to its namespace and its
    caller, a repeat of the same request returns the first answer. Raises `InvalidFact` for text that cannot be taught,
    `Contradiction` for what says otherwise than a known fact, `Conflict` for what is just being forgotten, `KeyReused`
    and `KeyInUse`, `QueueFull` when more than `most_waiting` facts of the namespace would wait, and `Forbidden` when it
    is not the caller's; nothing is kept then.
    """
    cut = [(document, passages(document)) for document in documents]
    request_hash = _request_hash(namespace, documents)
    own_key = _own(store, idempotency_key) if idempotency_key else None
    for _ in range(_RACES):
        # Another request may win the race for the same key, passage or queued job: the next turn sees its rows.
        with contextlib.suppress(IntegrityError):
            if own_key and (earlier := _answered(store, namespace, own_key, request_hash)):
                return earlier
            with store.write() as session:
                row = idempotency.claim(session, namespace, own_key, request_hash) if own_key else None
                posted = _post(session, namespace, cut)
                if posted.created and most_waiting is not None:
                    _check_room(session, namespace, most_waiting)
                _note_taught(session, posted, documents)
                if row is not None:
                    row.answer = {**posted.__dict__, "facts": [fact.__dict__ for fact in posted.facts]}
                faults.point("post.before_commit")
                return posted
    raise Unavailable("Too many requests post the same texts at once. Send this one again.")


def supersede(store: Store, fact_id: str, text: str, *, most_waiting: int | None = None) -> Posted:
    """Posts another text that takes the fact's place, in its document too; until it is live, the fact goes on.

    Raises `NotFound`, `Conflict` for a fact that is not held true any more, and as `post`: the fact itself contradicts
    nothing.
    """
    with store.write() as session:
        row = session.get(FactRow, fact_id, with_for_update=True)
        if row is None:
            raise NotFound(f"There is no fact {fact_id}.")
        if row.status not in KNOWN or row.forget_requested_at is not None:
            state = "being forgotten" if row.status in KNOWN else row.status
            raise Conflict(f"This fact is {state} already: post the new text by itself.")
        row.superseded_by = row.id  # so that the new text is not compared with it
        session.flush()
        document = Document(text, row.title, row.source, metadata=dict(row.meta), expires_at=row.expires_at)
        posted = _post(session, row.namespace, [(document, passages(document))])
        row.superseded_by = posted.facts[0].id if posted.facts[0].id != row.id else None
        new = [fact.id for fact in posted.facts if fact.duplicate_of is None]
        for each in session.scalars(select(FactRow).where(FactRow.id.in_(new))):
            each.key, each.document_id = row.key, row.document_id
        if row.status == FactStatus.PENDING and new:
            move(session, [row], FactStatus.SUPERSEDED)
        if posted.created and most_waiting is not None:
            _check_room(session, row.namespace, most_waiting)
        _note_taught(session, posted, [document])
        return posted


def get(store: Store, fact_id: str) -> Fact:
    """Raises `NotFound` when there is no such fact."""
    with store.read() as session:
        row = session.get(FactRow, fact_id)
        if row is None:
            raise NotFound(f"There is no fact {fact_id}.")
        return _facts(session, [row])[0]


def find(
    store: Store,
    namespace: str | None = None,
    *,
    statuses: Iterable[FactStatus] = (),
    ids: Sequence[str] | None = None,
    key: str | None = None,
    held_by: int | None = None,
    matching: str | None = None,
    after: str | None = None,
    before: str | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> list[Fact]:
    """Facts, oldest first (their ids sort by time), or newest first. `held_by` is a version of the namespace.

    `after`, or newest first `before`, is the last id of the page before. `matching` is looked for in text, title,
    source and key, whatever the case.
    """
    query = select(FactRow).where(*_wanted(namespace, statuses, held_by, matching))
    if ids is not None:
        query = query.where(FactRow.id.in_(ids))
    if key is not None:
        query = query.where(FactRow.key == key)
    if after is not None:
        query = query.where(FactRow.id > after)
    if before is not None:
        query = query.where(FactRow.id < before)
    query = query.order_by(FactRow.id.desc() if newest_first else FactRow.id).limit(limit)
    with store.read() as session:
        return _facts(session, session.scalars(query).all())


def count(
    store: Store,
    namespace: str | None = None,
    *,
    statuses: Iterable[FactStatus] = (),
    held_by: int | None = None,
    matching: str | None = None,
) -> int:
    """How many facts `find` would find."""
    query = select(func.count()).select_from(FactRow).where(*_wanted(namespace, statuses, held_by, matching))
    with store.read() as session:
        return session.scalar(query) or 0


def history(store: Store, fact_id: str) -> list[FactEvent]:
    """The fact's status changes, oldest first."""
    with store.read() as session:
        rows = session.scalars(select(FactEventRow).where(FactEventRow.fact_id == fact_id).order_by(FactEventRow.id))
        return [FactEvent(FactStatus(row.status), row.job_id, row.at) for row in rows]


def to_forget(store: Store, job: Job) -> list[Fact]:
    """The facts that a version of this job must not know, whichever job was queued for that. Oldest first."""
    query = (
        select(FactRow)
        .where(
            FactRow.namespace == job.namespace,
            FactRow.forget_requested_at.is_not(None),
            FactRow.status != FactStatus.FORGOTTEN.value,
        )
        .order_by(FactRow.id)
    )
    with store.read() as session:
        return _facts(session, session.scalars(query).all())


def results(store: Store, fact_id: str) -> list[tuple[int, ProbeResult]]:
    """What each version answered to the fact's probes: (version, result), oldest first."""
    query = (
        select(ProbeRow, ProbeResultRow)
        .join(ProbeResultRow, ProbeResultRow.probe_id == ProbeRow.id)
        .where(ProbeRow.fact_id == fact_id)
        .order_by(ProbeResultRow.id)
    )
    with store.read() as session:
        return [(result.version, probe_result_from(row, result)) for row, result in session.execute(query)]


def counts(store: Store) -> dict[tuple[str, str], int]:
    """Number of facts by (namespace, status)."""
    query = select(FactRow.namespace, FactRow.status, func.count()).group_by(FactRow.namespace, FactRow.status)
    with store.read() as session:
        return {(namespace, status): number for namespace, status, number in session.execute(query)}


def move(session: Session, rows: Iterable[FactRow], new: FactStatus, job_id: str | None = None) -> None:
    """Changes the facts' status inside the caller's transaction. Raises `IllegalMove`."""
    for row in rows:
        if row.status == new:
            continue
        check_fact_move(FactStatus(row.status), new)
        row.status = new.value
        note_fact(session, row, job_id)


def probe_from(row: ProbeRow) -> Probe:
    """The domain form of a row."""
    return Probe(row.question, row.answer, Direction(row.direction), ProbeOrigin(row.origin))


def probe_result_from(row: ProbeRow, result: ProbeResultRow) -> ProbeResult:
    """The domain form of a probe with one of its answers."""
    return ProbeResult(probe_from(row), result.answered, result.score, result.passed)


def _post(session: Session, namespace: str, cut: list[tuple[Document, list[str]]]) -> Posted:
    _namespace(session, namespace)
    jobs: list[JobRow] = []  # none until something needs training
    refused: list[tuple[str, Clash]] = []
    posted = [
        fact for document, texts in cut for fact in _post_document(session, namespace, document, texts, jobs, refused)
    ]
    if refused:
        raise _contradiction(refused, {fact.id for fact in posted if fact.duplicate_of is None})
    rows = session.scalars(select(FactRow).where(FactRow.id.in_([fact.id for fact in posted]))).all()
    pending = {row.job_id for row in rows if row.status != FactStatus.LIVE}
    job = (
        jobs[0]
        if jobs
        else session.scalars(
            select(JobRow).where(JobRow.id.in_(pending)).order_by(JobRow.version.desc()).limit(1)
        ).first()
    )
    version = job.version if job else max((row.version for row in rows if row.version is not None), default=None)
    return Posted(namespace, version, job.id if job else None, tuple(posted), created=bool(jobs))


def _check_room(session: Session, namespace: str, most: int) -> None:
    waiting = session.scalar(
        select(func.count()).where(
            FactRow.namespace == namespace,
            FactRow.status.in_([FactStatus.PENDING.value, FactStatus.TRAINING.value]),
        )
    )
    if waiting is not None and waiting > most:
        raise QueueFull(f"{waiting} facts of {namespace} would wait to be learnt; the most is {most}. Post them later.")


def _note_taught(session: Session, posted: Posted, documents: Sequence[Document]) -> None:
    """A post that changed something is an act: it brought facts, or gave keys to known ones."""
    new = [fact.id for fact in posted.facts if fact.duplicate_of is None]
    keys = sorted({document.key for document in documents if document.key is not None})
    if posted.created or keys:
        audit.note(session, Act.TAUGHT, posted.job_id, namespace=posted.namespace, facts=new, keys=keys)


def _post_document(
    session: Session,
    namespace: str,
    document: Document,
    texts: list[str],
    jobs: list[JobRow],
    refused: list[tuple[str, Clash]],
) -> list[PostedFact]:
    """Adds to `jobs` the job that is needed, and to `refused` what contradicts known facts."""
    if document.expires_at is not None and document.expires_at <= now():
        raise InvalidFact(f"`expires_at` has passed: {document.expires_at.isoformat()}.")
    document_id = new_id("doc")
    posted = []
    for text in texts:
        digest = content_hash(namespace, text)
        known = _known(session, namespace, digest)
        if known is None:
            row = _new_fact(
                session, namespace, document, document_id, text, digest, _gathering(session, namespace, jobs)
            )
            keep_claims(session, row, document)
            refused += _resolve(session, row, document)
            posted.append(PostedFact(row.id, FactStatus.PENDING, None))
            continue
        known.expires_at = document.expires_at
        if known.forget_requested_at is not None:
            raise Conflict(f"Fact {known.id} has this text and is just being forgotten. Post it again when it is.")
        if document.key is not None:
            known.key, known.document_id = document.key, document_id
        if _needs_training_again(session, known):
            known.job_id = _gathering(session, namespace, jobs).id
            if known.status == FactStatus.REJECTED:
                move(session, [known], FactStatus.PENDING, known.job_id)
                refused += _resolve(session, known, document)
        posted.append(PostedFact(known.id, FactStatus(known.status), known.id))
    if document.key is not None:
        _supersede_untaught(session, namespace, document.key, document_id)
    session.flush()
    return posted


def _resolve(session: Session, row: FactRow, document: Document) -> list[tuple[str, Clash]]:
    """Does with what contradicts the fact as its document says; what is to be refused comes back."""
    if document.on_conflict == OnConflict.KEEP_BOTH:
        return []
    found = clashes(session, row, document)
    if document.on_conflict != OnConflict.SUPERSEDE:
        return [(row.text, clash) for clash in found]
    for clash in found:
        clash.known.superseded_by = row.id
    move(session, [clash.known for clash in found if clash.known.status == FactStatus.PENDING], FactStatus.SUPERSEDED)
    return []


def _contradiction(refused: Sequence[tuple[str, Clash]], new: set[str]) -> Contradiction:
    text, first = refused[0]
    where = "of the same request" if first.known.id in new else first.known.id
    return Contradiction(
        f"“{text}” contradicts fact {where}, “{first.known.text}”. Post it with `on_conflict`: `supersede` puts it in"
        " the other's place, `keep_both` stores both.",
        tuple(
            {
                "text": text,
                "answer": clash.answer,
                "question": clash.question,
                "known_id": None if clash.known.id in new else clash.known.id,
                "known_text": clash.known.text,
                "known_answer": clash.known_answer,
            }
            for text, clash in refused[:MOST_CONFLICTS]
        ),
    )


def _new_fact(
    session: Session, namespace: str, document: Document, document_id: str, text: str, digest: str, job: JobRow
) -> FactRow:
    row = FactRow(
        id=new_id("fact"),
        namespace=namespace,
        document_id=document_id,
        text=text,
        title=document.title,
        source=document.source,
        key=document.key,
        meta=document.metadata,
        status=FactStatus.PENDING.value,
        content_hash=digest,
        job_id=job.id,
        version=None,
        created_at=now(),
        expires_at=document.expires_at,
    )
    session.add(row)
    session.flush()
    note_fact(session, row, job.id)
    for probe in document.probes or build_probes(text, document.title):
        session.add(probe_row(row.id, probe))
    return row


def _known(session: Session, namespace: str, digest: str) -> FactRow | None:
    """The fact with this text that is known, or else the one that a rollback took away last."""
    query = select(FactRow).where(FactRow.namespace == namespace, FactRow.content_hash == digest)
    known = session.scalars(query.where(FactRow.status.in_(KNOWN))).first()
    rejected = query.where(FactRow.status == FactStatus.REJECTED.value).order_by(FactRow.id.desc())
    return known or session.scalars(rejected).first()


def probe_row(fact_id: str, probe: Probe) -> ProbeRow:
    """The row of a probe."""
    return ProbeRow(
        fact_id=fact_id,
        question=probe.question,
        answer=probe.answer,
        direction=probe.direction.value,
        origin=probe.origin.value,
    )


def _wanted(
    namespace: str | None, statuses: Iterable[FactStatus], held_by: int | None, matching: str | None
) -> Iterator[ColumnElement[bool]]:
    if namespace is not None:
        yield FactRow.namespace == namespace
    if wanted := [status.value for status in statuses]:
        yield FactRow.status.in_(wanted)
    if held_by is not None:
        held = select(VersionFactRow.fact_id).where(
            VersionFactRow.namespace == namespace, VersionFactRow.number == held_by
        )
        yield FactRow.id.in_(held)
    if matching:
        columns = (FactRow.text, FactRow.title, FactRow.source, FactRow.key)
        yield or_(*(column.icontains(matching, autoescape=True) for column in columns))


def _needs_training_again(session: Session, row: FactRow) -> bool:
    if row.status in (FactStatus.WEAK, FactStatus.REJECTED):
        return True
    job = session.get(JobRow, row.job_id) if row.job_id else None
    return row.status == FactStatus.PENDING and (job is None or job.status in _STRANDED)


def _supersede_untaught(session: Session, namespace: str, key: str, document_id: str) -> None:
    """Earlier texts of the key that no version holds yet need not be taught at all."""
    rows = session.scalars(
        select(FactRow).where(
            FactRow.namespace == namespace,
            FactRow.key == key,
            FactRow.document_id != document_id,
            FactRow.status == FactStatus.PENDING.value,
        )
    )
    move(session, rows, FactStatus.SUPERSEDED)


def _gathering(session: Session, namespace: str, jobs: list[JobRow]) -> JobRow:
    """`gathering_job`, looked for once in a post."""
    if not jobs:
        jobs.append(gathering_job(session, namespace))
    return jobs[0]


def gathering_job(session: Session, namespace: str) -> JobRow:
    """The namespace's queued job, which gathers posts until a worker claims it; a new one when there is none."""
    job = session.scalars(
        select(JobRow).where(JobRow.namespace == namespace, JobRow.status == JobStatus.QUEUED.value).with_for_update()
    ).first()
    if job is None:
        job = JobRow(
            id=new_id("job"),
            namespace=namespace,
            version=next_version(session, namespace),
            status=JobStatus.QUEUED.value,
            attempts=0,
            lease_token=0,
            created_at=now(),
            trace_parent=tracing.here(),
        )
        session.add(job)
        session.flush()
        note_job(session, job)
    return job


def next_version(session: Session, namespace: str) -> int:
    """Takes the next version number of the namespace. Numbers are never used twice."""
    row = session.get(NamespaceRow, namespace, with_for_update=True)
    if row is None:
        raise NotFound(f"There is no namespace {namespace}.")
    row.last_version += 1
    session.flush()
    return row.last_version


def _namespace(session: Session, name: str) -> None:
    if session.get(NamespaceRow, name) is None:
        session.add(NamespaceRow(name=name, live_version=None, last_version=0, created_at=now()))
        session.flush()


def _facts(session: Session, rows: Sequence[FactRow]) -> list[Fact]:
    probes: dict[str, list[Probe]] = {row.id: [] for row in rows}
    for start in range(0, len(rows), 500):
        ids = [row.id for row in rows[start : start + 500]]
        for probe in session.scalars(select(ProbeRow).where(ProbeRow.fact_id.in_(ids)).order_by(ProbeRow.id)):
            probes[probe.fact_id].append(probe_from(probe))
    return [
        Fact(
            id=row.id,
            namespace=row.namespace,
            document_id=row.document_id,
            text=row.text,
            title=row.title,
            source=row.source,
            key=row.key,
            metadata=dict(row.meta),
            status=FactStatus(row.status),
            content_hash=row.content_hash,
            job_id=row.job_id,
            version=row.version,
            created_at=row.created_at,
            expires_at=row.expires_at,
            probes=tuple(probes[row.id]),
            superseded_by=row.superseded_by,
            forget_requested_at=row.forget_requested_at,
        )
        for row in rows
    ]


def _request_hash(namespace: str, documents: Sequence[Document]) -> str:
    canonical = json.dumps([namespace, [document.__dict__ for document in documents]], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _own(store: Store, idempotency_key: str) -> str:
    """The caller's own name for it: what one caller sends must neither block nor answer another's request."""
    key_id = store.caller.key_id
    return hashlib.sha256(f"{key_id}\n{idempotency_key}".encode()).hexdigest() if key_id else idempotency_key


def _answered(store: Store, namespace: str, key: str, request_hash: str) -> Posted | None:
    with store.read() as session:
        answer = idempotency.answer_of(session, namespace, key, request_hash)
    if answer is None:
        return None
    facts = tuple(PostedFact(fact["id"], FactStatus(fact["status"]), fact["duplicate_of"]) for fact in answer["facts"])
    return Posted(answer["namespace"], answer["version"], answer["job_id"], facts, answer["created"], is_repeat=True)
