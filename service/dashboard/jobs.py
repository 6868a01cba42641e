"""Jobs: listed, followed while they train, cancelled, tried again, and two of them compared."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from knowledge.facts import FactStatus
from knowledge.jobs import ENDED, Job, JobEvent, JobStatus
from knowledge.recipes import Recipe
from knowledge.store import facts
from knowledge.store import jobs as store
from service.dashboard.charts import Series, line_chart
from service.dashboard.visit import AnyNamespace, Visit, Visits
from service.routes import jobs as routes
from service.schemas import ID_PATTERN

router = APIRouter(prefix="/jobs")

PAGE = 50
MOST_FACTS = 100
MOST_LINES = 500
MOST_EXAMPLES = 12
LOOK_SECONDS = 1.0
NOTED = ("status", "log", "recipe")
"""Kinds of events that are lines of a job's log."""

JobId = Annotated[str, Path(pattern=ID_PATTERN)]
EventId = Annotated[int, Query(ge=0, le=2**31 - 1)]


@dataclass(frozen=True)
class Attempt:
    """One try at a job, and how it ended; `ended` is None for the one that runs."""

    number: int
    began: JobEvent
    ended: JobEvent | None


@router.get("")
def get_jobs(
    visit: Visits,
    status: Annotated[str, Query(max_length=20)] = "",
    namespace: AnyNamespace = "",
    before: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
) -> HTMLResponse:
    """Jobs, newest first."""
    statuses = [JobStatus(status)] if status in list(JobStatus) else []
    found = store.find(visit.parts.store, namespace or None, statuses=statuses, before=before, limit=PAGE + 1)
    page = found[:PAGE]
    context: dict[str, Any] = {
        "jobs": page,
        "number": store.count(visit.parts.store, namespace or None, statuses=statuses),
        "status": statuses[0] if statuses else "",
        "namespace": namespace,
        "before": before,
        "next": page[-1].id if len(found) > PAGE else None,
    }
    if visit.wants_part:
        return visit.part("jobs/list.html", **context)
    return visit.page("jobs.html", statuses=list(JobStatus), names=visit.namespace_names(), **context)


@router.get("/compare")
def compare_jobs(visit: Visits, job: Annotated[list[str] | None, Query(max_length=10)] = None) -> Response:
    """Two jobs side by side: what they trained with, and how it went."""
    if len(set(job or ())) != 2:
        return visit.go("/jobs", "Choose two jobs to compare.")
    pair = [store.get(visit.parts.store, each) for each in dict.fromkeys(job or ())]
    recipes = [_recipe(store.events(visit.parts.store, each.id, kinds=["recipe"])) for each in pair]
    differing = _differing(*recipes)
    curves = [store.curve(visit.parts.store, each.id) for each in pair]
    return visit.page(
        "jobs_compare.html",
        pair=pair,
        recipes=recipes,
        differing=differing,
        same=[name for name in (recipes[0] or recipes[1]) if name not in differing],
        loss=line_chart([_losses(each.id, curve) for each, curve in zip(pair, curves, strict=True)], x_name="step"),
        probes=line_chart(
            [_probes(each.id, curve) for each, curve in zip(pair, curves, strict=True)],
            x_name="step",
            top=1.0,
            as_percent=True,
        ),
    )


@router.get("/{job_id}")
def get_job(job_id: JobId, visit: Visits) -> HTMLResponse:
    """One job; while it has not ended, its page follows it."""
    noted = store.events(visit.parts.store, job_id, kinds=NOTED, limit=MOST_LINES)
    examples = store.events(visit.parts.store, job_id, kinds=["example"], limit=MOST_EXAMPLES)
    job = store.get(visit.parts.store, job_id)
    return visit.page(
        "job.html",
        **(_standing(visit, job) | _progress(visit, job)),
        noted=noted,
        examples=examples,
        recipe=_recipe(noted),
        after=max((event.id for event in (*noted, *examples)), default=0),
        follows=job.status not in ENDED,
    )


@router.get("/{job_id}/stream")
async def follow_job(
    job_id: JobId, visit: Visits, after: EventId = 0, last_event_id: Annotated[int, Header(ge=0, le=2**31 - 1)] = 0
) -> EventSourceResponse:
    """Parts of the job's page as they change, by server-sent events, until it has ended."""
    await run_in_threadpool(store.get, visit.parts.store, job_id)
    return EventSourceResponse(_stream(visit, job_id, max(after, last_event_id)), ping=15)


@router.post("/{job_id}/cancel")
def cancel_job(job_id: JobId, visit: Visits) -> RedirectResponse:
    """Stops it; its facts stay."""
    routes.cancel_job(job_id, visit.parts)
    return visit.go(f"/jobs/{job_id}", "The job is cancelled. Its facts are kept and wait.")


@router.post("/{job_id}/retry")
def retry_job(job_id: JobId, visit: Visits) -> RedirectResponse:
    """Queues it again."""
    job = routes.retry_job(job_id, visit.parts)
    return visit.go(f"/jobs/{job_id}", f"The job is queued again. Version {job.version} will hold its facts.")


async def _stream(visit: Visit, job_id: str, after: int) -> AsyncIterator[ServerSentEvent]:
    """Every second at most: what stands otherwise than a second ago, and what was noted since."""
    shown: tuple[object, object] = (None, None)
    while True:
        job, noted = await run_in_threadpool(_look, visit, job_id, after)
        if job.status != shown[0]:
            standing = await run_in_threadpool(_standing, visit, job)
            yield ServerSentEvent(visit.text("jobs/standing.html", **standing), event="standing")
            yield ServerSentEvent(visit.text("jobs/said.html", job=job), event="said")
        if (job.status, job.progress) != shown:
            progress = await run_in_threadpool(_progress, visit, job)
            yield ServerSentEvent(visit.text("jobs/progress.html", **progress), event="progress")
        shown = job.status, job.progress
        for event in noted:
            after, name = event.id, "example" if event.kind == "example" else "line"
            part = "jobs/example.html" if name == "example" else "jobs/line.html"
            yield ServerSentEvent(visit.text(part, event=event), event=name, id=str(event.id))
        if job.status in ENDED and not noted:
            yield ServerSentEvent("", event="end")
            return
        await asyncio.sleep(0 if noted else LOOK_SECONDS)


def _look(visit: Visit, job_id: str, after: int) -> tuple[Job, list[JobEvent]]:
    """The job is read before its events: when it has ended, its last event is among them."""
    job = store.get(visit.parts.store, job_id)
    return job, store.events(visit.parts.store, job_id, kinds=(*NOTED, "example"), after=after)


def _standing(visit: Visit, job: Job) -> dict[str, Any]:
    """What changes with the job's status."""
    noted = store.events(visit.parts.store, job.id, kinds=["status"], limit=MOST_LINES)
    held = facts.find(visit.parts.store, ids=job.fact_ids[:MOST_FACTS])
    return {
        "job": job,
        "facts": held,
        "forgets": facts.find(visit.parts.store, ids=job.forget_ids[:MOST_FACTS]) if job.forget_ids else [],
        "attempts": _attempts(noted),
        "can_cancel": job.status not in ENDED,
        "can_retry": job.status in ENDED - {JobStatus.SUCCEEDED},
        "waiting": sum(fact.status == FactStatus.PENDING for fact in held),
    }


def _progress(visit: Visit, job: Job) -> dict[str, Any]:
    """What changes with each step."""
    curve = store.curve(visit.parts.store, job.id)
    loss = line_chart([_losses("Loss", curve)], x_name="step")
    probes = line_chart([_probes("Probes passed", curve)], x_name="step", top=1.0, as_percent=True)
    return {"job": job, "last": curve[-1].data if curve else None, "loss": loss, "probes": probes}


def _losses(name: str, curve: Sequence[JobEvent]) -> Series:
    points = [(float(str(each.data["step"])), float(str(each.data["loss"]))) for each in curve]
    return Series(name, [point for point in points if math.isfinite(point[1])])


def _probes(name: str, curve: Sequence[JobEvent]) -> Series:
    read = [[float(str(each.data[field])) for field in ("step", "probes_passed", "probes")] for each in curve]
    return Series(name, [(step, passed / probes) for step, passed, probes in read if probes])


def _attempts(statuses: Sequence[JobEvent]) -> list[Attempt]:
    """Each claim begins one; it ends with the next event that says so."""
    found: list[Attempt] = []
    over = {*(status.value for status in ENDED), JobStatus.QUEUED.value, JobStatus.CLAIMED.value}
    for event in statuses:
        if found and found[-1].ended is None and event.data["status"] in over:
            found[-1] = Attempt(found[-1].number, found[-1].began, event)
        if event.data["status"] == JobStatus.CLAIMED:
            found.append(Attempt(len(found) + 1, event, None))
    return found


def _recipe(noted: Sequence[JobEvent]) -> dict[str, Any]:
    """What the newest attempt trained with; nothing for a job that no attempt has begun."""
    return next((event.data for event in reversed(noted) if event.kind == "recipe"), {})


def _differing(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    names = [field.name for field in fields(Recipe)]
    return [name for name in names if first.get(name) != second.get(name)] if first and second else []
