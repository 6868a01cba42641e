"""Errors as RFC 9457 problem JSON. The only place that knows which HTTP status an error class becomes."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from knowledge.errors import (
    Conflict,
    Contradiction,
    CorruptAdapter,
    EngrainError,
    Forbidden,
    IllegalMove,
    InvalidFact,
    InvalidKey,
    InvalidRecipe,
    KeyInUse,
    KeyReused,
    NotFound,
    QueueFull,
    Unavailable,
    VersionDeleted,
)
from service.dashboard.paths import is_page
from service.dashboard.rendering import refusal
from service.headers import add as add_security_headers

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"

# First match wins, so a subclass stands before its parent.
_STATUSES: tuple[tuple[type[EngrainError], int, str, str], ...] = (
    (InvalidFact, 422, "invalid-fact", "This document cannot be taught"),
    (KeyReused, 422, "idempotency-key-reused", "The Idempotency-Key belongs to another request"),
    (KeyInUse, 409, "idempotency-key-in-use", "The request is still running"),
    (InvalidRecipe, 422, "invalid-recipe", "This recipe cannot work"),
    (InvalidKey, 422, "invalid-key", "This key cannot be made"),
    (Forbidden, 403, "forbidden", "Not with this key"),
    (VersionDeleted, 410, "version-deleted", "This version was deleted"),
    (NotFound, 404, "not-found", "Not found"),
    (Contradiction, 409, "contradiction", "This contradicts what is known"),
    (IllegalMove, 409, "illegal-move", "Not possible in this state"),
    (Conflict, 409, "conflict", "Not possible in this state"),
    (CorruptAdapter, 503, "corrupt-adapter", "The adapter's files are damaged"),
    (QueueFull, 429, "queue-full", "Too many facts wait to be learnt"),
    (Unavailable, 503, "unavailable", "A part of the service is not available"),
)


_RETRY_AFTER = {503: "5", 429: "60"}  # seconds; a queue is shorter after a training run


class FieldProblem(BaseModel):
    """One wrong field of the request."""

    field: str = Field(description="Where in the request, with dots: `documents.0.text`.")
    message: str


class ConflictProblem(BaseModel):
    """A posted text and the known one that it contradicts."""

    text: str
    answer: str
    question: str = Field(description="What both answer, in lower case and without articles.")
    known_id: str | None = Field(None, description="The known fact; left out when it is in the same request.")
    known_text: str
    known_answer: str


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable and meant for programs."""

    type: str = Field(description="`urn:engrain:problem:` and the code.")
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | None = Field(None, exclude_if=lambda value: value is None)
    conflicts: list[ConflictProblem] | None = Field(None, exclude_if=lambda value: value is None)


class QuotingResponse(JSONResponse):
    """Messages quote what the client sent, so even an unpaired surrogate has to go back: as its escape."""

    def render(self, content: Any) -> bytes:
        """JSON."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


class ProblemResponse(QuotingResponse):
    """A problem on its way out."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.model_dump(exclude_none=True), problem.status, headers, MEDIA_TYPE)
        self.problem = problem
        self.extra_headers = headers

    def shaped_for(self, path: str) -> Response:
        """As it is, in the OpenAI API's shape for its routes, or as a page for the dashboard's."""
        if is_page(path):
            return refusal(self.problem, path, self.extra_headers)
        return _openai(self) if path.startswith("/v1/") else self


class ProblemError(EngrainError):
    """A problem that only HTTP has: a body too large, a version not live yet."""

    def __init__(
        self, status: int, code: str, title: str, detail: str, *, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(status, code, title, detail)
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> ProblemResponse:
        """The HTTP form."""
        headers = {"Retry-After": str(self.retry_after_seconds)} if self.retry_after_seconds else {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return problem(self.status, self.code, self.title, self.detail, headers=headers)


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    errors: Sequence[FieldProblem] | None = None,
    conflicts: Sequence[ConflictProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> ProblemResponse:
    """A problem response."""
    body = Problem(
        type=f"urn:engrain:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors) if errors else None,
        conflicts=list(conflicts) if conflicts else None,
    )
    return ProblemResponse(body, headers)


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these statuses too. `service.openapi` adds the problem's schema."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def from_error(error: EngrainError) -> ProblemResponse:
    """The problem of an error of ours; 500 for a class that is not meant for clients."""
    if isinstance(error, ProblemError):
        return error.response()
    for kind, status, code, title in _STATUSES:
        if isinstance(error, kind):
            seconds = "5" if kind is KeyInUse else _RETRY_AFTER.get(status)
            conflicts = error.conflicts if isinstance(error, Contradiction) else ()
            return problem(
                status,
                code,
                title,
                str(error),
                conflicts=[ConflictProblem.model_validate(each) for each in conflicts],
                headers={"Retry-After": seconds} if seconds is not None else None,
            )
    return _internal(error)


def install(app: FastAPI) -> None:
    """Makes every error that leaves a route a problem."""

    @app.exception_handler(EngrainError)
    async def _ours(request: Request, error: EngrainError) -> Response:
        return from_error(error).shaped_for(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return from_validation(error.errors()).shaped_for(request.url.path)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "-")
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods(request)))  # Starlette names those of one route only
        response = problem(error.status_code, code, phrase, str(error.detail), headers=headers)
        return response.shaped_for(request.url.path)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        response = _internal(error).shaped_for(request.url.path)
        add_security_headers(response.headers)  # this one leaves outside of all middleware
        return response


def from_validation(errors: Sequence[object]) -> ProblemResponse:
    """The problem of a request that does not fit its schema, with each wrong field; 400 when it is not JSON at all."""
    found = [error for error in errors if isinstance(error, dict)]
    if any(error["type"] == "json_invalid" for error in found):
        detail = "; ".join(str(error.get("ctx", {}).get("error", error["msg"])) for error in found)
        return problem(400, "invalid-json", "The body is not valid JSON", detail)
    fields = [
        FieldProblem(
            field=".".join(str(part) for part in error["loc"] if part != "body") or "body",
            message=str(error["msg"]).removeprefix("Value error, "),
        )
        for error in found
    ]
    detail = "; ".join(f"{field.field}: {field.message}" for field in fields)
    return problem(422, "invalid-request", "The request does not fit its schema", detail, errors=fields)


def _methods(request: Request) -> set[str]:
    """Every method that some route takes at this path."""
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE
        for method in route.methods or ()
    }


def _internal(error: Exception) -> ProblemResponse:
    log.error("unexpected error", exc_info=error)
    return problem(500, "internal", "Internal error", "Something went wrong here; it was logged.")


def _openai(response: ProblemResponse) -> JSONResponse:
    """`{"error": {"message", "type", "param", "code"}}`.

    What the request is to blame for becomes 400: OpenAI's clients send again by themselves after 409.
    """
    found = response.problem
    status = 400 if found.status in (409, 422) else found.status
    kind = "server_error" if status >= 500 else "invalid_request_error"
    param = found.errors[0].field if found.errors else None
    error = {"message": found.detail, "type": kind, "param": param, "code": found.code.replace("-", "_")}
    return QuotingResponse({"error": error}, status, response.extra_headers)
