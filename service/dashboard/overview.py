"""The first page: what is known, what is being learnt, what went wrong and what to press."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from knowledge.facts import FactStatus
from knowledge.jobs import RUNNING, JobStatus
from knowledge.keys import Scope
from knowledge.settings import without_password
from knowledge.store import facts, jobs, line, versions, webhooks
from knowledge.store.facts import DEFAULT_NAMESPACE
from knowledge.webhooks import DeliveryStatus
from service.capacity import capacity_of
from service.dashboard.charts import Series, line_chart
from service.dashboard.visit import Visit, Visits
from service.parts import get_all_parts
from service.routes.health import look
from service.schemas import NamespaceName

router = APIRouter()

MOST_NAMESPACES = 25
MOST_JOBS = 5
SCORED_VERSIONS = 12


@router.get("")
def get_overview(visit: Visits) -> HTMLResponse:
    """The whole page; its parts load themselves again while it is looked at."""
    return visit.page("overview.html", **_now(visit), **_answers(visit), **_namespaces(visit))


@router.get("/overview/now")
def get_now(visit: Visits) -> HTMLResponse:
    """Facts, queue, training and troubles."""
    return visit.part("overview/now.html", **_now(visit))


@router.get("/overview/namespaces")
def get_namespaces(visit: Visits) -> HTMLResponse:
    """Live versions and facts by namespace."""
    return visit.part("overview/namespaces.html", **_namespaces(visit))


@router.get("/overview/answers")
def get_answers(visit: Visits) -> HTMLResponse:
    """What this process answered lately."""
    return visit.part("overview/answers.html", **_answers(visit))


@router.get("/overview/health")
async def get_health(visit: Visits, request: Request) -> HTMLResponse:
    """What each part says; it costs a token of the model, so one look serves all who ask within a second."""
    everything = await get_all_parts(request)
    checks = await everything.readiness.checks(lambda: look(everything))
    loaded = await everything.replicas.loaded() if visit.is_everywhere else {}
    replicas = [(without_password(url), names) for url, names in loaded.items()]
    most = everything.settings.max_cached_adapters
    return visit.part("overview/health.html", checks=checks, replicas=replicas, most=most)


@router.get("/overview/capacity")
def get_capacity(visit: Visits) -> HTMLResponse:
    """How full each namespace is."""
    names = line.names(visit.parts.store)[:MOST_NAMESPACES]
    return visit.part("overview/capacity.html", capacities=[capacity_of(visit.parts, name) for name in names])


@router.get("/overview/scores")
def get_scores(visit: Visits, namespace: Annotated[NamespaceName, Query()] = DEFAULT_NAMESPACE) -> HTMLResponse:
    """How each of the last versions answered for what it was to keep, for what was new, and in general."""
    found = line.retention(visit.parts.store, namespace, limit=SCORED_VERSIONS)
    chart = line_chart(
        [
            Series("Kept facts", [(each.number, each.kept) for each in found if each.kept is not None]),
            Series("New facts", [(each.number, each.new) for each in found if each.new is not None]),
            Series("General questions", [(each.number, each.canaries) for each in found if each.canaries is not None]),
        ],
        x_name="version",
        top=1.0,
        as_percent=True,
    )
    return visit.part("overview/scores.html", namespace=namespace, scores=found, chart=chart)


def _now(visit: Visit) -> dict[str, Any]:
    store = visit.parts.store
    by_status = dict.fromkeys(FactStatus, 0)
    for (_, status), number in facts.counts(store).items():
        by_status[FactStatus(status)] += number
    job_counts = jobs.counts(store)
    given_up = webhooks.counts(store) if visit.is_everywhere and visit.may(Scope.ADMIN) else {}
    return {
        "facts": by_status,
        "running": jobs.find(store, statuses=RUNNING, limit=MOST_JOBS),
        "queued": jobs.find(store, statuses=[JobStatus.QUEUED], limit=MOST_JOBS),
        "running_count": sum(job_counts.get(status.value, 0) for status in RUNNING),
        "queued_count": job_counts.get(JobStatus.QUEUED.value, 0),
        "stranded": jobs.stranded(store, limit=MOST_JOBS),
        "given_up": given_up.get(DeliveryStatus.GIVEN_UP.value, 0),
    }


def _answers(visit: Visit) -> dict[str, Any]:
    return {"lately": visit.parts.recent.look(visit.caller)}


def _namespaces(visit: Visit) -> dict[str, Any]:
    found = versions.namespaces(visit.parts.store)
    return {
        "namespaces": found[:MOST_NAMESPACES],
        "more_namespaces": len(found) - MOST_NAMESPACES,
        "live": line.live_steps(visit.parts.store, limit=1000),
        "most_waiting": visit.parts.settings.max_waiting_facts,
    }
