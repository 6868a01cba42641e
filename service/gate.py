"""The gate in front of every route: who calls, what the route asks for, and whether the two fit.

A route says what it asks for with `needs` or `open_to_all`; one that says nothing asks for the scope `read` to look and
`write` for the rest, so that a new route is never open by mistake. Which namespaces the caller sees is not decided
here but by the store that the route gets (`knowledge/store/sight.py`).

Programs bring their key with each request. Browsers that open a page of the dashboard bring the cookie of a session
that was signed in with one; the cookie opens pages alone, so that no other page can use it on the API.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from knowledge import keys
from knowledge.errors import EngrainError
from knowledge.keys import Caller
from service.dashboard.cookies import session_of
from service.dashboard.paths import ROOT, is_page
from service.loopback import is_loopback
from service.parts import Parts
from service.problems import Problem, ProblemError, from_error

log = structlog.get_logger()

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

SAFE = frozenset({"GET", "HEAD"})
OPEN_PATHS = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json"})


@dataclass(frozen=True)
class Access:
    """What a route asks for. `scope` is None for one that is open; `everywhere` keeps keys with namespaces out."""

    scope: keys.Scope | None
    everywhere: bool = False


_DECLARED: dict[Callable[..., Any], Access] = {}


def needs(scope: keys.Scope, *, everywhere: bool = False) -> Callable[[Endpoint], Endpoint]:
    """Declares what a route asks for. `everywhere`: what it tells cannot be split by namespaces."""
    return _declare(Access(scope, everywhere))


def open_to_all(endpoint: Endpoint) -> Endpoint:
    """Declares a route that asks for nothing: its caller is `NOBODY`, who sees nothing in the store."""
    return _declare(Access(None))(endpoint)


def access_of(route: BaseRoute, method: str) -> Access:
    """What the route asks of a request with this method."""
    if getattr(route, "path", None) in OPEN_PATHS:
        return Access(None)
    default = Access(keys.Scope.READ if method in SAFE else keys.Scope.WRITE)
    return _DECLARED.get(getattr(route, "endpoint", None), default)  # type: ignore[arg-type]


class Gate:
    """Lets a request through to its route with `state["caller"]`, or refuses it before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or (route := _route(scope)) is None:  # nothing is there: the router says so
            return await self.app(scope, receive, send)
        access = access_of(route, scope["method"])
        try:
            caller = keys.NOBODY if access.scope is None else await _admit(scope, access, access.scope)
        except EngrainError as error:
            scope["route"] = route  # for the metrics
            reason = error.code if isinstance(error, ProblemError) else type(error).__name__
            log.warning(
                "refused", reason=reason, route=getattr(route, "path", ""), client=(scope["client"] or ("",))[0]
            )
            # A form cannot be sent again after signing in: that leads to the first page.
            is_form = is_page(scope["path"]) and scope["method"] not in SAFE
            path = ROOT if is_form else scope["path"]
            return await from_error(error).shaped_for(path)(scope, receive, send)
        scope.setdefault("state", {})["caller"] = caller
        return await self.app(scope, receive, send)


def describe(app: FastAPI) -> None:
    """Puts into the OpenAPI document which scope each route asks for, and how it refuses."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            for route in app.routes:
                if isinstance(route, APIRoute) and route.include_in_schema:
                    for method in route.methods:
                        operation = document["paths"][route.path_format][method.lower()]
                        _describe(operation, access_of(route, method), openai=route.path.startswith("/v1/"))
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]


def _describe(operation: dict[str, Any], access: Access, *, openai: bool) -> None:
    if access.scope is None:
        operation["security"] = []
        return
    operation["security"] = [{"key": [access.scope.value]}]
    problem = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    shape = {} if openai else {"content": problem}
    for status, meaning in (
        ("401", "No key, or one that does not hold."),
        ("403", "The key does not reach that far."),
        ("429", "Too many requests. `Retry-After` says when to come back."),
    ):
        operation["responses"].setdefault(status, {"description": meaning, **shape})


def _declare(access: Access) -> Callable[[Endpoint], Endpoint]:
    def declared(endpoint: Endpoint) -> Endpoint:
        _DECLARED[endpoint] = access
        return endpoint

    return declared


def _route(scope: Scope) -> BaseRoute | None:
    """The route that the router will choose."""
    return next((route for route in scope["app"].routes if route.matches(scope)[0] == Match.FULL), None)


async def _admit(scope: Scope, access: Access, wanted: keys.Scope) -> Caller:
    parts, headers = scope["app"].state.parts, Headers(scope=scope)
    assert isinstance(parts, Parts)
    if not await parts.keyring.any_key():
        caller = _without_key(parts, scope, headers)
    else:
        caller = await (_signed_in if is_page(scope["path"]) else _with_key)(parts, headers)
    if caller.key_id is not None:
        await parts.rates.count(caller.key_id)
    if not caller.may(wanted):
        raise ProblemError(403, "scope-missing", "Not with this key", f"This key lacks the scope `{wanted}`.")
    if access.everywhere and caller.namespaces is not None:
        raise ProblemError(403, "all-namespaces", "Not with this key", "Only a key for all namespaces sees this.")
    return caller


async def _with_key(parts: Parts, headers: Headers) -> Caller:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise ProblemError(401, "key-missing", "A key is needed", "Send `Authorization: Bearer` and your key.")
    key = await parts.keyring.find(secret.strip())
    if key is None:
        raise ProblemError(
            401, "key-invalid", "This key does not hold", "There is no such key, or it was revoked, or it has expired."
        )
    return key.caller


async def _signed_in(parts: Parts, headers: Headers) -> Caller:
    secret = session_of(headers)
    key = await parts.keyring.of_session(secret) if secret else None
    if key is None:
        raise ProblemError(401, "not-signed-in", "Sign in", "Sign in with an API key to see this page.")
    return key.caller


def _without_key(parts: Parts, scope: Scope, headers: Headers) -> Caller:
    local = is_loopback(scope.get("client"), headers)
    match parts.settings.without_keys:
        case "loopback" | "everybody" if local:
            return keys.LOOPBACK
        case "everybody":
            return keys.ANYBODY
    raise ProblemError(
        403,
        "no-key-yet",
        "There is no key yet",
        "As long as there is no key, only programs on the service's own machine are answered, if at all. Its operator"
        " makes the first key with `engrain keys create`.",
    )
