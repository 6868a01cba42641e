"""Templates: how moments, numbers and problems look on a page. Whatever is put into one is escaped."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.dashboard.paths import ROOT

if TYPE_CHECKING:
    from service.problems import Problem

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # Not `no-referrer`: browsers would then send forms with `Origin: null`, and a loopback caller could not be told.
    "Referrer-Policy": "same-origin",
}


def files() -> dict[str, bytes]:
    """What browsers load beside the pages, by its path below `static/`."""
    return {str(path.relative_to(STATIC)): path.read_bytes() for path in sorted(STATIC.rglob("*")) if path.is_file()}


def render(name: str, **context: object) -> str:
    """A template's text."""
    return TEMPLATES.get_template(name).render(**context)


def html(name: str, code: int = 200, **context: object) -> HTMLResponse:
    """A template as an answer, with the headers of a page."""
    return HTMLResponse(render(name, **context), code, headers=PAGE_HEADERS)


def refusal(problem: "Problem", path: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a page; who has to sign in is led to where that is done."""
    if problem.code == "not-signed-in":
        there = quote(path, safe="/") if path != ROOT else ""
        return RedirectResponse(f"{ROOT}/sign-in" + (f"?next={there}" if there else ""), 303)
    response = html("refusal.html", problem.status, problem=problem)
    response.headers.update(headers or {})
    return response


def moment(at: datetime | None) -> Markup:
    """A moment in UTC, to be read by people and by programs."""
    if at is None:
        return Markup("–")
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), f"{at:%-d %b %Y, %H:%M:%S} UTC"
    )


def ago(at: datetime | None) -> Markup:
    """How long ago, at the moment of the page; the exact moment when pointed at."""
    if at is None:
        return Markup("never")
    words = f"{duration((datetime.now(UTC) - at).total_seconds())} ago"
    exact = f"{at.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(timespec="seconds"), exact, words)


def duration(seconds: float) -> str:
    """In the largest unit, or the two largest."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def number(value: float) -> str:
    """With thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u202f")


def percent(share: float | None) -> str:
    """A share, 0..1, in per cent."""
    return "–" if share is None else f"{100 * share:.0f}\u202f%"


def static(name: str) -> str:
    """The address of a file; it changes with the file, so that browsers may keep it for ever."""
    return f"{ROOT}/static/{name}?v={_DIGESTS[name]}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for filter_ in (moment, ago, duration, number, percent):
        made.filters[filter_.__name__] = filter_
    made.globals |= {"static": static, "root": ROOT}
    return made


_DIGESTS = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in files().items()}
TEMPLATES = _environment()
