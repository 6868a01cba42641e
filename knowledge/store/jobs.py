"""Jobs: claimed under a lease, renewed, moved and ended. Every write of a worker names its lease's token.

The job row is its own outbox: `sent_at` says when its id last crossed the broker, and a queued row that was never
sent, or was sent long ago, is sent again (`to_send`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import Select, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from knowledge.audit import Act
from knowledge.errors import Conflict, LeaseLost, NotFound
from knowledge.facts import FactStatus
from knowledge.jobs import ENDED, RUNNING, Job, JobEvent, JobStatus, Lease, Piece, Progress, check_job_move
from knowledge.recipes import Recipe
from knowledge.store import audit
from knowledge.store.database import Store, now
from knowledge.store.events import note_job
from knowledge.store.facts import move as move_facts
from knowledge.store.facts import next_version
from knowledge.store.tables import FactRow, ForgettingRow, JobEventRow, JobRow, WorkerRow

_RUNNING = [status.value for status in RUNNING]
LONGEST_PAUSE_SECONDS = 1800.0
_UNTAUGHT = [FactStatus.PENDING.value, FactStatus.TRAINING.value, FactStatus.WEAK.value]


def get(store: Store, job_id: str) -> Job:
    """Raises `NotFound` when there is no such job."""
    with store.read() as session:
        return _job(session, _row(session, job_id))


def find(
    store: Store,
    namespace: str | None = None,
    *,
    statuses: Iterable[JobStatus] = (),
    ids: Sequence[str] | None = None,
    before: str | None = None,
    limit: int | None = None,
) -> list[Job]:
    """Jobs, newest first (their ids sort by time). `before` is the last id of the page before."""
    query = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
    if namespace is not None:
        query = query.where(JobRow.namespace == namespace)
    if wanted := [status.value for status in statuses]:
        query = query.where(JobRow.status.in_(wanted))
    if ids is not None:
        query = query.where(JobRow.id.in_(ids))
    if before is not None:
        query = query.where(JobRow.id < before)
    with store.read() as session:
        return _jobs(session, session.scalars(query).all())


def stranded(store: Store, *, limit: int) -> list[Job]:
    """Jobs that ended without success and whose facts still wait for a retry or another post, newest first."""
    waiting = exists().where(FactRow.job_id == JobRow.id, FactRow.status == FactStatus.PENDING.value)
    unsuccessful = [status.value for status in ENDED - {JobStatus.SUCCEEDED}]
    query = select(JobRow).where(JobRow.status.in_(unsuccessful), waiting).order_by(JobRow.id.desc()).limit(limit)
    with store.read() as session:
        return _jobs(session, session.scalars(query).all())


def of_version(store: Store, namespace: str, version: int) -> Job | None:
    """The job that makes, or made, a version; None for a number that was never given out."""
    with store.read() as session:
        row = session.scalars(select(JobRow).where(JobRow.namespace == namespace, JobRow.version == version)).first()
        return _job(session, row) if row else None


def to_send(store: Store, *, stale_seconds: float) -> list[str]:
    """Ids to hand to the broker: queued and never sent, sent `stale_seconds` ago, or left by a worker that died.

    A job that was given back for later waits for its time.
    """
    stale = now() - timedelta(seconds=stale_seconds)
    quiet = or_(JobRow.sent_at.is_(None), JobRow.sent_at < stale)
    due = and_(JobRow.status == JobStatus.QUEUED.value, or_(JobRow.retry_at.is_(None), JobRow.retry_at <= now()))
    orphaned = and_(JobRow.status.in_(_RUNNING), JobRow.lease_expires_at < now())
    query = select(JobRow.id).where(quiet, or_(due, orphaned)).order_by(JobRow.id)
    with store.read() as session:
        return list(session.scalars(query))


def mark_sent(store: Store, job_id: str) -> None:
    """Notes that the broker took the id."""
    with store.write() as session:
        session.execute(update(JobRow).where(JobRow.id == job_id).values(sent_at=now()))


def claim(store: Store, job_id: str, worker: str, *, lease_seconds: float, max_attempts: int) -> Lease | None:
    """Takes a queued job, or a running one whose lease ran out. None when there is nothing to do.

    Nothing to do: the job ended, waits for its time, another worker holds it, or its namespace is busy with another job
    (whose end sends this one again). A job that was tried `max_attempts` times becomes `dead` instead, its facts kept.
    """
    with store.write() as session:
        row = session.get(JobRow, job_id, with_for_update=True)
        if row is None or JobStatus(row.status) in ENDED:
            return None
        if row.status != JobStatus.QUEUED and row.lease_expires_at is not None and row.lease_expires_at > now():
            return None
        if row.status == JobStatus.QUEUED and row.retry_at is not None and row.retry_at > now():
            return None
        if _is_busy(session, row):
            return None
        if row.attempts >= max_attempts:
            _end(session, row, JobStatus.DEAD, row.error or f"Given up after {row.attempts} attempts.")
            return None
        row.attempts += 1
        row.lease_token += 1
        row.lease_expires_at = now() + timedelta(seconds=lease_seconds)
        row.worker, row.started_at = worker, now()
        row.error, row.progress, row.retry_at = None, None, None
        _set_status(session, row, JobStatus.CLAIMED)
        move_facts(session, _untaught(session, job_id), FactStatus.TRAINING, job_id)
        return Lease(job_id, row.lease_token, row.lease_expires_at)


def renew(store: Store, lease: Lease, *, lease_seconds: float) -> None:
    """Prolongs the lease. Raises `LeaseLost` when the job was cancelled or given to another worker."""
    with store.write() as session:
        _held(session, lease).lease_expires_at = now() + timedelta(seconds=lease_seconds)


def advance(store: Store, lease: Lease, status: JobStatus) -> None:
    """Moves the job to its next step. Raises `LeaseLost`, `IllegalMove`."""
    with store.write() as session:
        _set_status(session, _held(session, lease), status)


def report(store: Store, lease: Lease, progress: Progress) -> None:
    """Keeps the newest progress on the job and adds it to the events. Raises `LeaseLost`."""
    with store.write() as session:
        row = _held(session, lease)
        row.progress = asdict(progress)
        session.add(JobEventRow(job_id=row.id, kind="progress", at=now(), data=row.progress))


def log(store: Store, lease: Lease, text: str) -> None:
    """Adds a line to the job's log. Raises `LeaseLost`."""
    with store.write() as session:
        session.add(JobEventRow(job_id=_held(session, lease).id, kind="log", at=now(), data={"text": text}))


def show(store: Store, lease: Lease, pieces: Sequence[Piece]) -> None:
    """Adds an exercise to the job's events, as the model sees it. Raises `LeaseLost`."""
    data = {"pieces": [asdict(piece) for piece in pieces]}
    with store.write() as session:
        session.add(JobEventRow(job_id=_held(session, lease).id, kind="example", at=now(), data=data))


def note_recipe(store: Store, lease: Lease, recipe: Recipe) -> None:
    """Adds what the attempt trains with to the job's events. Raises `LeaseLost`."""
    with store.write() as session:
        session.add(JobEventRow(job_id=_held(session, lease).id, kind="recipe", at=now(), data=asdict(recipe)))


def fail(store: Store, lease: Lease, error: str) -> None:
    """Ends the job as `failed`: its facts wait, pending, for a retry or for the next post. Raises `LeaseLost`."""
    with store.write() as session:
        _end(session, _held(session, lease), JobStatus.FAILED, error)


def release(
    store: Store, lease: Lease, reason: str, *, retry_seconds: float | None = None, counts: bool = True
) -> None:
    """Gives the job back to the queue, to be sent at once, or in `retry_seconds`, doubled each time it was given back.

    An attempt that does not count (the worker was asked to stop, the disk was full) brings the job no nearer to `dead`.
    Raises `LeaseLost`.
    """
    with store.write() as session:
        row = _held(session, lease)
        row.error, row.sent_at, row.retry_at = reason, None, None
        if not counts:
            row.attempts -= 1
        if retry_seconds is not None:
            pause = min(LONGEST_PAUSE_SECONDS, retry_seconds * 2 ** min(row.deferrals, 20))
            row.retry_at, row.deferrals = now() + timedelta(seconds=pause), row.deferrals + 1
        move_facts(session, _facts_in(session, row.id, FactStatus.TRAINING), FactStatus.PENDING, row.id)
        if _other_queued(session, row):
            # Only one job of a namespace may wait: the later one takes the facts over, and what they went through.
            _hand_over(session, row, reason)
        else:
            row.lease_expires_at = None
            _set_status(session, row, JobStatus.QUEUED)


def cancel(store: Store, job_id: str) -> Job:
    """Ends a job at whatever stage; its worker loses the lease. Raises `Conflict` when it has ended already."""
    with store.write() as session:
        row = _row(session, job_id, lock=True)
        if JobStatus(row.status) in ENDED:
            raise Conflict(f"The job has ended already: it {row.status}.")
        row.lease_token += 1
        _end(session, row, JobStatus.CANCELLED, "Cancelled by request.")
        audit.note(session, Act.CANCELLED, row.id, namespace=row.namespace)
        return _job(session, row)


def retry(store: Store, job_id: str) -> Job:
    """Queues a failed, dead or cancelled job again, for a new version. Raises `Conflict` in any other state."""
    with store.write() as session:
        row = _row(session, job_id, lock=True)
        if JobStatus(row.status) not in ENDED or row.status == JobStatus.SUCCEEDED:
            raise Conflict(f"Only a failed, dead or cancelled job can be retried; this one is {row.status}.")
        if (other := _other_queued(session, row)) is not None:
            raise Conflict(
                f"Job {other.id} of this namespace is waiting already. Post the texts again to add them to it."
            )
        row.attempts, row.error, row.sent_at, row.ended_at, row.lease_expires_at = 0, None, None, None, None
        row.retry_at, row.deferrals = None, 0
        row.version = next_version(session, row.namespace)
        _set_status(session, row, JobStatus.QUEUED)
        audit.note(session, Act.RETRIED, row.id, namespace=row.namespace)
        return _job(session, row)


def ended(store: Store, job_ids: Collection[str]) -> set[str]:
    """Those of the ids whose jobs this store knows and that have ended."""
    query = select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.status.in_([status.value for status in ENDED]))
    with store.read() as session:
        return set(session.scalars(query))


def queued_in(store: Store, namespace: str) -> str | None:
    """The id of the namespace's queued job, unless it waits for its time."""
    with store.read() as session:
        query = select(JobRow.id).where(
            JobRow.namespace == namespace, JobRow.status == JobStatus.QUEUED.value, JobRow.retry_at.is_(None)
        )
        return session.scalars(query).first()


def events(
    store: Store, job_id: str, *, kinds: Collection[str] = (), after: int = 0, limit: int = 500
) -> list[JobEvent]:
    """The job's events with an id above `after`, oldest first; those of some `kinds`, or all."""
    query = select(JobEventRow).where(JobEventRow.job_id == job_id, JobEventRow.id > after).limit(limit)
    if kinds:
        query = query.where(JobEventRow.kind.in_(kinds))
    return _events(store, query.order_by(JobEventRow.id))


def curve(store: Store, job_id: str, *, most: int = 300) -> list[JobEvent]:
    """Progress events of the job's newest attempt, oldest first: all, or about `most` of them evenly spread.

    The last one is always there.
    """
    claims = select(func.max(JobEventRow.id)).where(
        JobEventRow.job_id == job_id,
        JobEventRow.kind == "status",
        JobEventRow.data["status"].as_string() == JobStatus.CLAIMED.value,
    )
    began = func.coalesce(claims.scalar_subquery(), 0)
    reports = (
        select(
            JobEventRow.id,
            func.row_number().over(order_by=JobEventRow.id.desc()).label("place"),
            func.count().over().label("number"),
        )
        .where(JobEventRow.job_id == job_id, JobEventRow.kind == "progress", JobEventRow.id > began)
        .subquery()
    )
    step = (reports.c.number + (most - 1)) // most
    kept = select(reports.c.id).where((reports.c.place - 1) % step == 0)
    return _events(store, select(JobEventRow).where(JobEventRow.id.in_(kept)).order_by(JobEventRow.id))


def count(store: Store, namespace: str | None = None, *, statuses: Iterable[JobStatus] = ()) -> int:
    """How many jobs `find` would find."""
    query = select(func.count()).select_from(JobRow)
    if namespace is not None:
        query = query.where(JobRow.namespace == namespace)
    if wanted := [status.value for status in statuses]:
        query = query.where(JobRow.status.in_(wanted))
    with store.read() as session:
        return session.scalar(query) or 0


def counts(store: Store) -> dict[str, int]:
    """Number of jobs by status."""
    with store.read() as session:
        query = select(JobRow.status, func.count().label("number")).group_by(JobRow.status)
        return {row.status: row.number for row in session.execute(query)}


def see_worker(store: Store, name: str) -> None:
    """Notes that a worker is alive."""
    with store.write() as session:
        session.merge(WorkerRow(name=name, seen_at=now()))


def workers_seen(store: Store, *, within_seconds: float) -> Sequence[str]:
    """Names of the workers that were alive lately."""
    with store.read() as session:
        since = now() - timedelta(seconds=within_seconds)
        return session.scalars(select(WorkerRow.name).where(WorkerRow.seen_at > since)).all()


def succeed(session: Session, lease: Lease) -> None:
    """Ends the job inside the transaction that makes its version live. Raises `LeaseLost`."""
    row = _held(session, lease)
    _set_status(session, row, JobStatus.SUCCEEDED)
    row.ended_at, row.lease_expires_at = now(), None


def is_running(session: Session, namespace: str) -> bool:
    """Whether a worker has a job of the namespace."""
    query = select(JobRow.id).where(JobRow.namespace == namespace, JobRow.status.in_(_RUNNING))
    return session.scalars(query).first() is not None


def is_waiting(session: Session, job_id: str | None) -> bool:
    """Whether the job is there and has not ended."""
    row = session.get(JobRow, job_id) if job_id else None
    return row is not None and JobStatus(row.status) not in ENDED


def cancel_if_idle(session: Session, namespace: str) -> None:
    """Ends the namespace's queued job when nothing is left for it to do, inside the transaction that took it away.

    One that somebody else is just changing is left alone: to wait for it could be to wait for each other.
    """
    row = session.scalars(
        select(JobRow)
        .where(JobRow.namespace == namespace, JobRow.status == JobStatus.QUEUED.value)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None or _untaught(session, row.id):
        return
    asked = select(FactRow.id).where(
        FactRow.namespace == namespace,
        FactRow.forget_requested_at.is_not(None),
        FactRow.status != FactStatus.FORGOTTEN.value,
    )
    if session.scalars(asked.limit(1)).first() is None:
        _end(session, row, JobStatus.CANCELLED, "Nothing was left for it to do: its facts were forgotten.")


def require(session: Session, lease: Lease) -> None:
    """Raises `LeaseLost` unless the lease is the job's newest: the guard of any other write of a worker."""
    _held(session, lease)


def _row(session: Session, job_id: str, *, lock: bool = False) -> JobRow:
    row = session.get(JobRow, job_id, with_for_update=lock)
    if row is None:
        raise NotFound(f"There is no job {job_id}.")
    return row


def _held(session: Session, lease: Lease) -> JobRow:
    row = session.get(JobRow, lease.job_id, with_for_update=True)
    if row is None or row.lease_token != lease.token or row.status not in _RUNNING:
        raise LeaseLost(f"Job {lease.job_id} was cancelled or given to another worker.")
    return row


def _is_busy(session: Session, row: JobRow) -> bool:
    """Whether another job of the namespace runs, or an earlier one waits for its dead worker's place to be taken.

    Versions go live in their order: overtaken, the earlier one would take the place of a later version.
    """
    query = select(JobRow.id).where(
        JobRow.namespace == row.namespace,
        JobRow.id != row.id,
        JobRow.status.in_(_RUNNING),
        or_(JobRow.lease_expires_at > now(), JobRow.version < row.version),
    )
    return session.scalars(query).first() is not None


def _other_queued(session: Session, row: JobRow) -> JobRow | None:
    return session.scalars(
        select(JobRow).where(
            JobRow.namespace == row.namespace, JobRow.id != row.id, JobRow.status == JobStatus.QUEUED.value
        )
    ).first()


def _hand_over(session: Session, row: JobRow, reason: str) -> None:
    other = _other_queued(session, row)
    assert other is not None
    other.error, other.retry_at, other.sent_at = reason, row.retry_at, None
    other.attempts, other.deferrals = max(other.attempts, row.attempts), max(other.deferrals, row.deferrals)
    session.execute(
        update(FactRow).where(FactRow.job_id == row.id, FactRow.status.in_(_UNTAUGHT)).values(job_id=other.id)
    )
    session.execute(
        update(ForgettingRow)
        .where(ForgettingRow.job_id == row.id, ForgettingRow.done_at.is_(None))
        .values(job_id=other.id)
    )
    handed = f"{reason} Its facts were handed to job {other.id}, which waited behind it."
    _end(session, row, JobStatus.CANCELLED, handed)


def _facts_in(session: Session, job_id: str, status: FactStatus) -> Sequence[FactRow]:
    return session.scalars(select(FactRow).where(FactRow.job_id == job_id, FactRow.status == status.value)).all()


def _untaught(session: Session, job_id: str) -> Sequence[FactRow]:
    """What the job still has to teach; nobody is taught what is to be forgotten."""
    query = select(FactRow).where(FactRow.job_id == job_id, FactRow.status.in_(_UNTAUGHT))
    return session.scalars(query.where(FactRow.forget_requested_at.is_(None))).all()


def _set_status(session: Session, row: JobRow, new: JobStatus) -> None:
    check_job_move(JobStatus(row.status), new)
    row.status = new.value
    session.flush()
    note_job(session, row)


def _end(session: Session, row: JobRow, status: JobStatus, error: str) -> None:
    row.error, row.ended_at, row.lease_expires_at = error, now(), None
    move_facts(session, _facts_in(session, row.id, FactStatus.TRAINING), FactStatus.PENDING, row.id)
    _set_status(session, row, status)


def _events(store: Store, query: Select[JobEventRow]) -> list[JobEvent]:
    with store.read() as session:
        return [JobEvent(row.id, row.job_id, row.kind, row.at, dict(row.data)) for row in session.scalars(query)]


def _job(session: Session, row: JobRow) -> Job:
    return _jobs(session, [row])[0]


def _jobs(session: Session, rows: Sequence[JobRow]) -> list[Job]:
    facts: dict[str | None, list[str]] = defaultdict(list)
    forgets: dict[str | None, list[str]] = defaultdict(list)
    for start in range(0, len(rows), 500):
        ids = [row.id for row in rows[start : start + 500]]
        query = select(FactRow.job_id, FactRow.id).where(FactRow.job_id.in_(ids)).order_by(FactRow.id)
        for job_id, fact_id in session.execute(query):
            facts[job_id].append(fact_id)
        asked = select(ForgettingRow.job_id, ForgettingRow.fact_id).where(ForgettingRow.job_id.in_(ids))
        for job_id, fact_id in session.execute(asked.order_by(ForgettingRow.fact_id)):
            forgets[job_id].append(fact_id)
    return [
        Job(
            id=row.id,
            namespace=row.namespace,
            version=row.version,
            status=JobStatus(row.status),
            attempts=row.attempts,
            fact_ids=tuple(facts[row.id]),
            progress=Progress(**row.progress) if row.progress else None,
            error=row.error,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            forget_ids=tuple(forgets[row.id]),
        )
        for row in rows
    ]
