"""What every answer says to browsers: guess no type, show it in no frame, keep no copy, tell nobody where one was."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_FRAMES = "frame-ancestors 'none'"
NOTHING = f"default-src 'none'; {NO_FRAMES}"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Adds them where a route has not set its own. HTTPS and its header are the proxy's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                add(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, guarded)


def add(headers: MutableHeaders) -> None:
    """Adds those that are missing. A page (HTML) may load what it needs; everything else loads nothing."""
    is_page = headers.get("content-type", "").startswith("text/html")
    for name, value in {**HEADERS, "Content-Security-Policy": NO_FRAMES if is_page else NOTHING}.items():
        headers.setdefault(name, value)
