"""Signing in with an API key, and out again; and the files that pages load, which anybody may have."""

import mimetypes
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from knowledge.errors import NotFound
from knowledge.store import sessions
from service.dashboard import cookies
from service.dashboard.paths import ROOT, is_page
from service.dashboard.rendering import files
from service.dashboard.visit import Visits
from service.gate import open_to_all
from service.parts import NeedsAll

router = APIRouter()

_FILES = files()
_KEPT = "public, max-age=31536000, immutable"


@router.get("/sign-in")
@open_to_all
async def get_sign_in(visit: Visits, parts: NeedsAll, next: str = ROOT) -> HTMLResponse:  # noqa: A002 - its name in URLs
    """The form that asks for a key. A part of a page whose session has ended leads the whole page here."""
    response = visit.page("sign_in.html", next=_there(next), has_key=await parts.keyring.any_key(), refused=False)
    if "hx-request" in visit.request.headers:
        response.headers["HX-Redirect"] = f"{ROOT}/sign-in"
    return response


@router.post("/sign-in")
@open_to_all
async def sign_in(
    visit: Visits,
    parts: NeedsAll,
    secret: Annotated[str, Form(max_length=1000)],
    next: Annotated[str, Form()] = ROOT,  # noqa: A002
) -> Response:
    """Opens a session for the key's holder."""
    key = await parts.keyring.find(secret.strip())
    if key is None:
        return visit.page("sign_in.html", 401, next=_there(next), has_key=True, refused=True)
    await _end_session(visit.request, parts)
    response = RedirectResponse(_there(next), 303)
    session = await run_in_threadpool(sessions.open_session, parts.store, key)
    cookies.keep_session(response, visit.request, session)
    return response


@router.post("/sign-out")
@open_to_all
async def sign_out(visit: Visits, parts: NeedsAll) -> RedirectResponse:
    """Ends the browser's session for good."""
    await _end_session(visit.request, parts)
    response = visit.go("/sign-in")
    cookies.drop(response, cookies.SESSION)
    return response


@router.get("/static/{name:path}")
@open_to_all
async def get_file(name: str) -> Response:
    """A style sheet, a script or a picture. Its address changes with it, so it may be kept."""
    if name not in _FILES:
        raise NotFound("There is no such file.")
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    return Response(_FILES[name], media_type=kind, headers={"Cache-Control": _KEPT})


async def _end_session(request: Request, parts: NeedsAll) -> None:
    if secret := cookies.session_of(request.headers):
        await run_in_threadpool(sessions.close_session, parts.store, secret)


def _there(next_: str) -> str:
    """A page of ours to go on to, whatever the link says."""
    path = unquote(next_).partition("?")[0]
    return path if is_page(path) and "\\" not in path and "//" not in path else ROOT
