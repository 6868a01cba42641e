"""The HTTP service: `create_app(settings)` puts the parts and the routes together."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inference.adapters import reconcile
from inference.metrics import serve
from knowledge import tracing
from knowledge.adapters import Version
from knowledge.errors import EngrainError
from knowledge.settings import Settings
from knowledge.store import Store, versions
from service import doorstep, gate, openapi, problems
from service.dashboard import pages
from service.deliveries import Deliveries
from service.headers import SecurityHeaders
from service.metrics import REQUEST_SECONDS, registry
from service.parts import Parts
from service.routes import ask, audit, facts, health, jobs, keys, webhooks
from service.routes import openai as openai_routes
from service.routes import versions as version_routes
from service.threads import in_thread
from service.traced import Traced
from service.upkeep import keep_fresh, keep_tidy

log = structlog.get_logger()

RECONCILE_SECONDS = 5.0

DESCRIPTION = "Teaches a running language model new facts, in its weights."


def create_app(settings: Settings, open_parts: Callable[[Settings], Parts] = Parts.open) -> FastAPI:
    """The whole service. The store's tables must be up to date (`python -m knowledge.store upgrade`)."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts = app.state.parts = open_parts(settings)
        if settings.api_metrics_address:
            serve(settings.api_metrics_address, registry(parts.store, parts.replicas))
        await run_in_threadpool(doorstep.prepare, settings, parts.store)
        loops = [parts.queue.relay(), _reconcile(parts), parts.keyring.note_uses()]
        loops += [keep_tidy(parts.store), keep_fresh(parts.store)]
        if settings.webhook_attempts:
            loops.append(Deliveries(settings, parts.store).run())
        tasks = [asyncio.create_task(loop) for loop in loops]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.close()

    app = FastAPI(title="Engrain", version="0.1.0", description=DESCRIPTION, lifespan=lifespan, redoc_url=None)
    problems.install(app)
    for module in (facts, ask, openai_routes, jobs, version_routes, webhooks, keys, audit, health):
        app.include_router(module.router)
    app.include_router(pages.router)
    gate.describe(app)
    openapi.install(app)
    # The last one added meets a request first.
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes)
    app.add_middleware(gate.Gate)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Location", "Retry-After"],
        )
    app.add_middleware(SecurityHeaders)
    if tracing.is_on(settings):
        app.add_middleware(Traced)
    app.add_middleware(RequestTimes)
    return app


async def _reconcile(parts: Parts) -> None:
    """Keeps on every replica what the store wants there, until cancelled: heals a vLLM that was restarted."""
    while True:
        try:
            report = await reconcile(parts.replicas, await in_thread(_desired, parts.store))
            if report.changed:
                log.info("replicas reconciled", loaded=report.loaded, unloaded=report.unloaded)
            if report.failed:
                log.warning("replicas not as desired", failed=report.failed)
        except EngrainError as error:
            log.warning("could not reconcile the replicas", error=str(error))
        await asyncio.sleep(RECONCILE_SECONDS)


def _desired(store: Store) -> Sequence[Version]:
    return versions.speaking(store)


class BodyLimit:
    """Answers 413 as soon as a body is known to be too large, without reading the rest into memory."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self.app, self.most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self.most_bytes:
            refusal = problems.problem(*self._reason()).shaped_for(scope["path"])
            return await refusal(scope, receive, send)
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.most_bytes:
                raise problems.ProblemError(*self._reason())
            return message

        return await self.app(scope, counted, send)

    def _reason(self) -> tuple[int, str, str, str]:
        return (
            413,
            "body-too-large",
            "The body is too large",
            f"The most is {self.most_bytes} bytes a request. Send the documents in several requests.",
        )


class RequestTimes:
    """Measures each request under its route's template, so that ids do not become labels."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            REQUEST_SECONDS.labels(scope["method"], route, str(status)).observe(time.monotonic() - started)
