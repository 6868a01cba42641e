"""What a page works with: who visits, with which parts of the service, and how an answer is made."""

import re
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Depends, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from knowledge.errors import InvalidFact
from knowledge.facts import NAMESPACE_PATTERN
from knowledge.keys import Caller, Scope
from knowledge.store import line
from knowledge.store.facts import DEFAULT_NAMESPACE
from service.dashboard import cookies
from service.dashboard.paths import ROOT
from service.dashboard.rendering import html, render
from service.gate import SAFE
from service.parts import Needs, Parts
from service.problems import ProblemError

BROWSER_SECONDS = 365 * 86400
NOTICE_SECONDS = 60

AnyNamespace = Annotated[str, Query(pattern=f"^$|{NAMESPACE_PATTERN}")]
"""A namespace in a page's address; empty for all."""


@dataclass(frozen=True)
class Visit:
    """One request for a page. `parts.store` shows what the caller may see."""

    request: Request
    parts: Parts

    @property
    def caller(self) -> Caller:
        """Who visits."""
        return self.parts.caller

    @property
    def is_everywhere(self) -> bool:
        """Whether the caller sees all namespaces."""
        return self.caller.namespaces is None

    def may(self, scope: str) -> bool:
        """Whether the caller has the scope."""
        return self.caller.may(Scope(scope))

    @property
    def wants_part(self) -> bool:
        """Whether a page asks for a part of itself, and not the browser for the whole."""
        headers = self.request.headers
        return "hx-request" in headers and "hx-history-restore-request" not in headers

    def namespace(self, name: str) -> str:
        """A namespace's name as somebody typed it. Raises `InvalidFact` for one that none can have."""
        if not re.fullmatch(NAMESPACE_PATTERN, name):
            raise InvalidFact(
                f"“{name}” cannot be the name of a namespace: it has small letters, digits, “-” and “_”, at most 63."
            )
        return name

    def namespace_names(self) -> list[str]:
        """The namespaces that there are, to choose from, as far as the caller sees; the default one always is."""
        found = line.names(self.parts.store)
        here = [DEFAULT_NAMESPACE] if self.caller.sees(DEFAULT_NAMESPACE) else []
        return sorted({*found, *here})

    def page(self, name: str, code: int = 200, **context: Any) -> HTMLResponse:
        """A whole page, with the notice that an act before it left, which is told once."""
        notice = unquote(self.request.cookies.get(cookies.NOTICE, ""))
        response = html(name, code, **self._context(), notice=notice, **context)
        if notice:
            cookies.drop(response, cookies.NOTICE)
        if cookies.BROWSER not in self.request.cookies:
            browser = cookies.browser_of(self.request)
            cookies.keep(response, self.request, cookies.BROWSER, browser, BROWSER_SECONDS)
        return response

    def part(self, name: str, **context: Any) -> HTMLResponse:
        """A part of a page, which a page loads again and again."""
        return html(name, **self._context(), **context)

    def text(self, name: str, **context: Any) -> str:
        """A part of a page, as text."""
        return render(name, **self._context(), **context)

    def go(self, path: str, notice: str = "") -> RedirectResponse:
        """Leads to another page after an act, which that page then tells of."""
        response = RedirectResponse(f"{ROOT}{path}", 303)
        if notice:
            cookies.keep(response, self.request, cookies.NOTICE, quote(notice), NOTICE_SECONDS)
        return response

    def _context(self) -> dict[str, Any]:
        return {"visit": self, "caller": self.caller, "may": self.may, "form_token": cookies.form_token(self.request)}


async def get_visit(request: Request, parts: Needs) -> Visit:
    """For a route's signature."""
    return Visit(request, parts)


async def check_form(request: Request) -> None:
    """Refuses what changes something and did not come from a page of ours. Stands before every route of the dashboard.

    Raises the problem `form-expired`.
    """
    if request.method in SAFE:
        return
    sent = request.headers.get("x-form-token") or (await request.form()).get("form_token")
    if not isinstance(sent, str) or not cookies.is_form_token(request, sent):
        raise ProblemError(
            403, "form-expired", "This form does not hold any more", "Open the page again and send it once more."
        )


Visits = Annotated[Visit, Depends(get_visit)]
