"""`/healthz`, `/readyz` and `/metrics`: what a platform asks."""

import asyncio
from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from inference.answer import ask
from knowledge.errors import EngrainError, NotFound, Unavailable
from knowledge.keys import Scope
from knowledge.store import jobs, versions
from knowledge.store.facts import DEFAULT_NAMESPACE
from service.gate import needs, open_to_all
from service.metrics import WORKER_SEEN_SECONDS, registry
from service.parts import Needs, NeedsAll, Parts

router = APIRouter(tags=["health"])


class HealthOut(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class ReadyOut(BaseModel):
    """`ok` when every part is; each check is `ok` or the reason why not."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]


@router.get("/healthz", response_model=HealthOut, summary="Is the process alive?")
@open_to_all
async def healthz() -> HealthOut:
    """Answers as long as the process can; asks nothing of any other part."""
    return HealthOut(status="ok")


@router.get(
    "/readyz", response_model=ReadyOut, summary="Can it teach and answer?", responses={503: {"model": ReadyOut}}
)
@open_to_all
async def readyz(response: Response, parts: NeedsAll) -> ReadyOut:
    """Asks the store, the broker, for a worker seen lately, and for one real token from the live version."""
    checks = await parts.readiness.checks(lambda: look(parts))
    ready = all(check == "ok" for check in checks.values())
    response.status_code = 200 if ready else 503
    return ReadyOut(status="ok" if ready else "unavailable", checks=checks)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
@needs(Scope.READ, everywhere=True)
def metrics(parts: Needs) -> Response:
    """What the store holds, this process's requests and its model servers. Seconds and bytes; bounded labels."""
    return Response(generate_latest(registry(parts.store, parts.replicas)), media_type=CONTENT_TYPE_LATEST)


async def look(parts: Parts) -> dict[str, str]:
    """What each part says now: `ok`, or the reason why not."""
    store, broker, worker, inference = await asyncio.gather(
        _check(lambda: versions.namespaces(parts.store)),
        _check(parts.queue.check),
        _check(lambda: _worker(parts)),
        _token(parts),
    )
    return {"store": store, "broker": broker, "worker": worker, "inference": inference}


async def _check(check: Callable[[], object]) -> str:
    try:
        await run_in_threadpool(check)
    except EngrainError as error:
        return str(error)
    return "ok"


def _worker(parts: Parts) -> None:
    if not jobs.workers_seen(parts.store, within_seconds=WORKER_SEEN_SECONDS):
        raise Unavailable(f"No worker was seen in the last {WORKER_SEEN_SECONDS:.0f} s.")


async def _token(parts: Parts) -> str:
    try:
        version = await run_in_threadpool(versions.live, parts.store, DEFAULT_NAMESPACE)
        await ask(parts.replicas, "Hello?", version, max_tokens=1)
    except (EngrainError, NotFound) as error:
        return str(error)
    return "ok"
