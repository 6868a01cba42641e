"""What happened to a fact or a job, written down for its history and for the webhooks that want to know."""

from sqlalchemy.orm import Session

from knowledge.store.database import now
from knowledge.store.tables import FactEventRow, FactRow, JobEventRow, JobRow
from knowledge.store.webhooks import announce

LONGEST_ERROR_CHARACTERS = 500
"""Of a job's error in a webhook's body; the job itself has all of it."""


def note_fact(session: Session, row: FactRow, job_id: str | None) -> None:
    """The fact has reached its status, inside the caller's transaction."""
    session.add(FactEventRow(fact_id=row.id, status=row.status, job_id=job_id, at=now()))
    data = {"id": row.id, "namespace": row.namespace, "status": row.status, "key": row.key, "job_id": job_id}
    announce(session, f"fact.{row.status}", row.namespace, {**data, "version": row.version})


def note_job(session: Session, row: JobRow) -> None:
    """The job has reached its status, inside the caller's transaction."""
    session.add(JobEventRow(job_id=row.id, kind="status", at=now(), data={"status": row.status, "error": row.error}))
    error = row.error[:LONGEST_ERROR_CHARACTERS] if row.error else None
    data = {"id": row.id, "namespace": row.namespace, "status": row.status, "version": row.version, "error": error}
    announce(session, f"job.{row.status}", row.namespace, data)
