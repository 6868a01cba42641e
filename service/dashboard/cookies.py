"""The dashboard's cookies, and the token that proves that a form came from a page of ours.

`engrain_session` holds the secret of a session that was signed in; `engrain_browser` random bits that every browser
gets. A form carries a token made of both: another site can send a form here, but cannot read these cookies.
"""

import hashlib
import hmac
import secrets

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import Response

from knowledge.store.sessions import SESSION_HOURS
from service.dashboard.paths import ROOT

SESSION = "engrain_session"
BROWSER = "engrain_browser"
NOTICE = "engrain_notice"
_TOKEN_BYTES = 32


def session_of(headers: Headers) -> str | None:
    """The secret of the browser's session, if it sent one."""
    return cookie_parser(headers.get("cookie", "")).get(SESSION) or None


def browser_of(request: Request) -> str:
    """The browser's random bits: those that it sent, or new ones, the same throughout a request."""
    if not hasattr(request.state, "browser"):
        request.state.browser = request.cookies.get(BROWSER) or secrets.token_urlsafe(_TOKEN_BYTES)
    return str(request.state.browser)


def form_token(request: Request) -> str:
    """What a form of this browser's session has to carry."""
    session = session_of(request.headers) or ""
    return hmac.digest(browser_of(request).encode(), f"form {session}".encode(), hashlib.sha256).hex()


def is_form_token(request: Request, sent: str) -> bool:
    """Whether it is the token of this browser's session; never for a browser that has not seen a page of ours."""
    return BROWSER in request.cookies and hmac.compare_digest(sent.encode(), form_token(request).encode())


def keep(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    """Sets a cookie that only this site's own requests for pages carry, and no script reads."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=ROOT,
        httponly=True,
        samesite="strict",
        secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
    )


def keep_session(response: Response, request: Request, secret: str) -> None:
    """Signs the browser in. It also gets new random bits, so that no token from before holds."""
    keep(response, request, SESSION, secret, SESSION_HOURS * 3600)
    keep(response, request, BROWSER, secrets.token_urlsafe(_TOKEN_BYTES), 365 * 86400)


def drop(response: Response, name: str) -> None:
    """Takes a cookie away."""
    response.delete_cookie(name, path=ROOT)
