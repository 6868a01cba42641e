"""`/jobs`: what is being learnt, live."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from knowledge.jobs import ENDED, JobStatus
from knowledge.store import Store
from knowledge.store import jobs as store
from knowledge.store.versions import check_namespace
from service.parts import Needs
from service.problems import problems_of
from service.schemas import ID_PATTERN, JobOut, JobsOut, NamespaceName

router = APIRouter(prefix="/jobs", tags=["jobs"])

POLL_SECONDS = 0.5

JobId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get("", response_model=JobsOut, summary="List jobs", responses=problems_of(404))
def get_jobs(
    parts: Needs,
    namespace: NamespaceName | None = None,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobsOut:
    """Jobs, newest first."""
    if namespace is not None:
        check_namespace(parts.store, namespace)
    found = store.find(parts.store, namespace, statuses=[status] if status else [], limit=limit)
    return JobsOut(jobs=[JobOut.of(job) for job in found])


@router.get("/{job_id}", response_model=JobOut, operation_id="get_job", summary="One job", responses=problems_of(404))
def get_job(job_id: JobId, parts: Needs) -> JobOut:
    """Its status, its progress, and what went wrong."""
    return JobOut.of(store.get(parts.store, job_id))


@router.post(
    "/{job_id}/cancel",
    response_model=JobOut,
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=problems_of(404, 409),
)
def cancel_job(job_id: JobId, parts: Needs) -> JobOut:
    """Stops it at whatever stage; its facts stay pending and can be retried."""
    return JobOut.of(store.cancel(parts.store, job_id))


@router.post(
    "/{job_id}/retry",
    response_model=JobOut,
    status_code=202,
    operation_id="retry_job",
    summary="Retry a job",
    responses=problems_of(404, 409),
)
def retry_job(job_id: JobId, parts: Needs) -> JobOut:
    """Queues a failed, dead or cancelled job again, for a new version."""
    job = store.retry(parts.store, job_id)
    parts.queue.send(job.id)
    return JobOut.of(job)


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems_of(404)},
)
async def get_events(
    job_id: JobId, parts: Needs, last_event_id: Annotated[int, Header(ge=0, le=2**31 - 1)] = 0
) -> EventSourceResponse:
    """Server-sent events `status`, `progress`, `log`, `recipe` and `example`; ends after the final status.

    Reconnect with `Last-Event-ID` to miss nothing and see nothing twice.
    """
    await run_in_threadpool(store.get, parts.store, job_id)
    return EventSourceResponse(_events(parts.store, job_id, last_event_id), ping=15)


async def _events(job_store: Store, job_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    while True:
        # The job is read before its events: when it has ended, its last event is among them.
        ended = (await run_in_threadpool(store.get, job_store, job_id)).status in ENDED
        found = await run_in_threadpool(store.events, job_store, job_id, after=after)
        for event in found:
            after = event.id
            data = {**event.data, "at": event.at.isoformat()}
            yield ServerSentEvent(json.dumps(data), event=event.kind, id=str(event.id))
        if ended and not found:
            return
        if not found:
            await asyncio.sleep(POLL_SECONDS)
