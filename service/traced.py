"""A trace for each request that may change or ask something; one that comes with a trace's context joins it."""

from opentelemetry.trace import SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from knowledge import tracing


class Traced:
    """Looks and health checks are not traced: they are many, and tell nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self.app(scope, receive, send)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                tracing.note(status=message["status"])
            await send(message)

        method, parent = scope["method"], Headers(scope=scope).get(tracing.HEADER)
        with tracing.span(method, parent=parent, kind=SpanKind.SERVER):
            try:
                await self.app(scope, receive, noted)
            finally:
                tracing.rename(f"{method} {getattr(scope.get('route'), 'path', 'other')}")
