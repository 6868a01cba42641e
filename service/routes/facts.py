"""`/facts`: documents in, facts out."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from knowledge.errors import InvalidFact
from knowledge.facts import Document, FactStatus
from knowledge.store import facts as store
from knowledge.store.facts import DEFAULT_NAMESPACE, Posted
from knowledge.store.versions import check_namespace
from service.parts import Needs, Parts
from service.problems import Problem, ProblemError
from service.schemas import (
    DocumentIn,
    FactDetailOut,
    FactOut,
    FactsIn,
    FactsOut,
    Key,
    NamespaceName,
    OneFactIn,
    PostedOut,
    ShortText,
)

router = APIRouter(tags=["facts"])

_NAMESPACE: TypeAdapter[str] = TypeAdapter(NamespaceName)
_BODIES: dict[str, Any] = {
    "application/json": {"schema": {"anyOf": [OneFactIn.model_json_schema(), FactsIn.model_json_schema()]}},
    "text/plain": {"schema": {"type": "string"}},
    "text/markdown": {"schema": {"type": "string"}},
    "application/jsonl": {"schema": {"type": "string", "description": "One document as JSON a line."}},
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            "required": ["file"],
        }
    },
}
_JSON_LINES = ("application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/jsonlines")


@router.post(
    "/facts",
    response_model=PostedOut,
    status_code=202,
    summary="Teach documents",
    openapi_extra={"requestBody": {"required": True, "content": _BODIES}},
    responses={200: {"model": PostedOut, "description": "Everything is known already."}, 422: {"model": Problem}},
)
async def post_facts(
    request: Request,
    response: Response,
    parts: Needs,
    namespace: Annotated[NamespaceName, Query(description="For bodies that are not JSON.")] = DEFAULT_NAMESPACE,
    title: Annotated[ShortText | None, Query(description="For bodies that are not JSON.")] = None,
    source: Annotated[ShortText | None, Query(description="For bodies that are not JSON.")] = None,
    key: Annotated[Key | None, Query(description="For bodies that are not JSON.")] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> PostedOut:
    """Keeps the documents and queues the job that teaches them: once this answers 202 they are not lost.

    The answer's `version` is the version that will hold them; `Location` is the job.
    """

    def plain(text: str, name: str | None = None) -> Document:
        return Document(text=text, title=title, source=source or name, key=key)

    name, documents = await _read(request, plain, namespace)
    if len(documents) > parts.settings.max_documents:
        raise ProblemError(
            413,
            "too-many-documents",
            "Too many documents",
            f"{len(documents)} documents in one request; the most is {parts.settings.max_documents}.",
        )
    posted = await run_in_threadpool(_keep_and_send, parts, name, documents, idempotency_key)
    response.status_code = 202 if posted.created else 200
    if posted.job_id is not None:
        response.headers["Location"] = f"/jobs/{posted.job_id}"
    return PostedOut.of(posted)


@router.get("/facts", response_model=FactsOut, summary="List facts", responses={404: {"model": Problem}})
def get_facts(
    parts: Needs,
    namespace: NamespaceName | None = None,
    status: FactStatus | None = None,
    after: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> FactsOut:
    """Facts, oldest first."""
    if namespace is not None:
        check_namespace(parts.store, namespace)
    found = store.find(parts.store, namespace, statuses=[status] if status else [], after=after, limit=limit + 1)
    page = found[:limit]
    return FactsOut(facts=[FactOut.of(fact) for fact in page], next=page[-1].id if len(found) > limit else None)


@router.get("/facts/{fact_id}", response_model=FactDetailOut, summary="One fact", responses={404: {"model": Problem}})
def get_fact(fact_id: str, parts: Needs) -> FactDetailOut:
    """Its text, its status and history, and what each version answered to its probes."""
    fact = store.get(parts.store, fact_id)
    return FactDetailOut.detailed(fact, store.results(parts.store, fact_id), store.history(parts.store, fact_id))


def _keep_and_send(parts: Parts, namespace: str, documents: list[Document], idempotency_key: str | None) -> Posted:
    posted = store.post(parts.store, namespace, documents, idempotency_key=idempotency_key)
    if posted.created and posted.job_id is not None:
        parts.queue.send(posted.job_id)
    return posted


async def _read(
    request: Request, plain: Callable[[str, str | None], Document], namespace: str
) -> tuple[str, list[Document]]:
    """The namespace and the documents of a body in any of the accepted forms."""
    media_type = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return namespace, await _read_files(request, plain)
    body = await request.body()
    if media_type in ("text/plain", "text/markdown"):
        return namespace, [plain(_decode(body), None)]
    if media_type in _JSON_LINES:
        return namespace, _read_lines(_decode(body))
    if media_type == "application/json" or media_type.endswith("+json"):
        return _read_json(_decode(body))
    raise ProblemError(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        f"{media_type} is not understood. Send {', '.join(_BODIES)}.",
    )


def _read_json(text: str) -> tuple[str, list[Document]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "invalid-json", "The body is not valid JSON", str(error)) from error
    try:
        if isinstance(data, dict) and "documents" in data:
            many = FactsIn.model_validate(data)
            return many.namespace, [document.to_domain() for document in many.documents]
        one = OneFactIn.model_validate(data)
        return one.namespace, [one.to_domain()]
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from error


def _read_lines(text: str) -> list[Document]:
    documents = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            documents.append(DocumentIn.model_validate(json.loads(line)).to_domain())
        except ValidationError as error:
            wrong = [{**each, "loc": (f"line {number}", *each["loc"])} for each in error.errors(include_context=False)]
            raise RequestValidationError(wrong) from error
        except (ValueError, RecursionError) as error:
            raise ProblemError(400, "invalid-json", "The body is not valid JSON", f"line {number}: {error}") from error
    if not documents:
        raise InvalidFact("The body holds no document.")
    return documents


async def _read_files(request: Request, plain: Callable[[str, str | None], Document]) -> list[Document]:
    async with request.form() as form:
        files = [value for value in form.getlist("file") if isinstance(value, UploadFile)]
        if not files:
            raise InvalidFact("The form holds no file named `file`.")
        return [plain(_decode(await file.read()), file.filename or None) for file in files]


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemError(
            400, "invalid-encoding", "The body is not UTF-8", f"Byte {error.start} is not valid UTF-8."
        ) from error
