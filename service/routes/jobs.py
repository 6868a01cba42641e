"""`/jobs`: what is being learnt, live."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from knowledge.jobs import ENDED, JobStatus
from knowledge.store import Store
from knowledge.store import jobs as store
from knowledge.store.versions import check_namespace
from service.parts import Needs
from service.problems import Problem
from service.schemas import JobOut, JobsOut, NamespaceName

router = APIRouter(prefix="/jobs", tags=["jobs"])

POLL_SECONDS = 0.5


@router.get("", response_model=JobsOut, summary="List jobs", responses={404: {"model": Problem}})
def get_jobs(
    parts: Needs,
    namespace: NamespaceName | None = None,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobsOut:
    """Jobs, newest first."""
    if namespace is not None:
        check_namespace(parts.store, namespace)
    return JobsOut(jobs=[JobOut.of(job) for job in store.find(parts.store, namespace, status=status, limit=limit)])


@router.get("/{job_id}", response_model=JobOut, summary="One job", responses={404: {"model": Problem}})
def get_job(job_id: str, parts: Needs) -> JobOut:
    """Its status, its progress, and what went wrong."""
    return JobOut.of(store.get(parts.store, job_id))


@router.post(
    "/{job_id}/cancel",
    response_model=JobOut,
    summary="Cancel a job",
    responses={404: {"model": Problem}, 409: {"model": Problem}},
)
def cancel_job(job_id: str, parts: Needs) -> JobOut:
    """Stops it at whatever stage; its facts stay pending and can be retried."""
    return JobOut.of(store.cancel(parts.store, job_id))


@router.post(
    "/{job_id}/retry",
    response_model=JobOut,
    status_code=202,
    summary="Retry a job",
    responses={404: {"model": Problem}, 409: {"model": Problem}},
)
def retry_job(job_id: str, parts: Needs) -> JobOut:
    """Queues a failed, dead or cancelled job again, for a new version."""
    job = store.retry(parts.store, job_id)
    parts.queue.send(job.id)
    return JobOut.of(job)


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}}, 404: {"model": Problem}},
)
async def get_events(
    job_id: str, parts: Needs, last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None
) -> EventSourceResponse:
    """Server-sent events `status`, `progress` and `log`; ends after the final status.

    Reconnect with `Last-Event-ID` to miss nothing and see nothing twice.
    """
    await run_in_threadpool(store.get, parts.store, job_id)
    return EventSourceResponse(_events(parts.store, job_id, last_event_id or 0), ping=15)


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
