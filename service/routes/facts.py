"""`/facts`: documents in, facts out."""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from knowledge import faults, tracing
from knowledge.errors import InvalidFact
from knowledge.facts import Document, FactStatus, OnConflict
from knowledge.store import facts as store
from knowledge.store import forgetting, scores
from knowledge.store.facts import DEFAULT_NAMESPACE, Posted
from knowledge.store.versions import check_namespace
from service.bodies import parse_json
from service.parts import Needs, Parts
from service.problems import ProblemError, problems_of
from service.schemas import (
    ID_PATTERN,
    TEXT_PATTERN,
    DocumentIn,
    FactDetailOut,
    FactOut,
    FactsIn,
    FactsOut,
    ForgottenOut,
    Key,
    NamespaceName,
    OneFactIn,
    PostedOut,
    ShortText,
    schema_of,
)

router = APIRouter(tags=["facts"])

_NAMESPACE: TypeAdapter[str] = TypeAdapter(NamespaceName)
# On the wire these are text whatever they look like, so their schemas name no type.
_ANY_TEXT = {"pattern": TEXT_PATTERN, "not": {"type": "null"}}
_FILES = {
    **_ANY_TEXT,
    "items": _ANY_TEXT,
    "minItems": 1,
    "description": "Files of UTF-8 text, one or more, or the text.",
}
_BODIES: dict[str, Any] = {
    "application/json": {"schema": {"anyOf": [schema_of(OneFactIn), schema_of(FactsIn)]}},
    "text/plain": {"schema": {"type": "string", "pattern": TEXT_PATTERN}},
    "text/markdown": {"schema": {"pattern": TEXT_PATTERN}},
    "application/jsonl": {"schema": {"type": "string", "description": "One document as JSON a line."}},
    "multipart/form-data": {"schema": {"type": "object", "properties": {"file": _FILES}, "required": ["file"]}},
}
_JSON_LINES = ("application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/jsonlines")


_LINKS = {
    name: {"operationId": name, "parameters": {parameter: f"$response.body#/{place}"}}
    for name, parameter, place in (
        ("get_job", "job_id", "job_id"),
        ("cancel_job", "job_id", "job_id"),
        ("retry_job", "job_id", "job_id"),
        ("get_fact", "fact_id", "facts/0/id"),
        ("forget_fact", "fact_id", "facts/0/id"),
        ("get_versions", "namespace", "namespace"),
    )
}


@router.post(
    "/facts",
    response_model=PostedOut,
    status_code=202,
    summary="Teach documents",
    openapi_extra={"requestBody": {"required": True, "content": _BODIES}},
    responses={
        200: {"model": PostedOut, "description": "Everything is known already."},
        202: {"links": _LINKS},
        **problems_of(400, 409, 415, 422),
    },
)
async def post_facts(
    request: Request,
    response: Response,
    parts: Needs,
    namespace: Annotated[NamespaceName, Query(description="For bodies that are not JSON.")] = DEFAULT_NAMESPACE,
    title: Annotated[ShortText | None, Query(description="For bodies that are not JSON.")] = None,
    source: Annotated[ShortText | None, Query(description="For bodies that are not JSON.")] = None,
    key: Annotated[Key | None, Query(description="For bodies that are not JSON.")] = None,
    on_conflict: Annotated[OnConflict | None, Query(description="For bodies that are not JSON.")] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> PostedOut:
    """Keeps the documents and queues the job that teaches them: once this answers 202 they are not lost.

    The answer's `version` is the version that will hold them; `Location` is the job. When a text says otherwise than a
    known one, nothing is kept, and the problem `contradiction` has both; `on_conflict` says what to do instead.
    """

    def plain(text: str, name: str | None = None) -> Document:
        return Document(text=text, title=title, source=source or name, key=key, on_conflict=on_conflict)

    name, documents = await _read(request, plain, namespace)
    posted = await teach(parts, name, documents, idempotency_key)
    response.status_code = 202 if posted.created else 200
    if posted.job_id is not None:
        response.headers["Location"] = f"/jobs/{posted.job_id}"
    return PostedOut.of(posted)


@router.get("/facts", response_model=FactsOut, summary="List facts", responses=problems_of(404))
def get_facts(
    parts: Needs,
    namespace: NamespaceName | None = None,
    status: FactStatus | None = None,
    after: Annotated[str | None, Query(pattern=ID_PATTERN, description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> FactsOut:
    """Facts, oldest first."""
    if namespace is not None:
        check_namespace(parts.store, namespace)
    found = store.find(parts.store, namespace, statuses=[status] if status else [], after=after, limit=limit + 1)
    page = found[:limit]
    return FactsOut(facts=[FactOut.of(fact) for fact in page], next=page[-1].id if len(found) > limit else None)


@router.get(
    "/facts/{fact_id}",
    response_model=FactDetailOut,
    operation_id="get_fact",
    summary="One fact",
    responses=problems_of(404),
)
def get_fact(fact_id: Annotated[str, Path(pattern=ID_PATTERN)], parts: Needs) -> FactDetailOut:
    """Its text, its status and history, what each version answered to its probes, and which version lost it."""
    fact, record = store.get(parts.store, fact_id), forgetting.get(parts.store, fact_id)
    results, history = store.results(parts.store, fact_id), store.history(parts.store, fact_id)
    return FactDetailOut.detailed(fact, results, history, scores.harms(parts.store, fact_id), record)


@router.delete(
    "/facts/{fact_id}",
    response_model=ForgottenOut,
    status_code=202,
    operation_id="forget_fact",
    summary="Forget a fact",
    responses={
        200: {"model": ForgottenOut, "description": "It is forgotten: no weights had seen it, or it was asked before."},
        **problems_of(404),
    },
)
def forget_fact(fact_id: Annotated[str, Path(pattern=ID_PATTERN)], response: Response, parts: Needs) -> ForgottenOut:
    """Forgets it at once, or, when the live version has seen it, as soon as a version built without it is live.

    Meanwhile no stored text answers for it, and it keeps its status; `Location` is the job. In the end its text, title,
    source, metadata and probes are erased, and older versions that have seen it are deleted: this cannot be undone.
    Asked again, it answers the same, and queues a job that had failed anew.
    """
    record = forgetting.forget(parts.store, fact_id)
    if record.done_at is not None:
        response.status_code = 200
    elif record.job_id is not None:
        parts.queue.send(record.job_id)
        response.headers["Location"] = f"/jobs/{record.job_id}"
    return ForgottenOut.of(record)


async def teach(parts: Parts, namespace: str, documents: list[Document], idempotency_key: str | None = None) -> Posted:
    """Keeps the documents and hands their job to the broker. Raises as `store.post`, and for too many documents."""
    if len(documents) > parts.settings.max_documents:
        raise ProblemError(
            413,
            "too-many-documents",
            "Too many documents",
            f"{len(documents)} documents in one request; the most is {parts.settings.max_documents}.",
        )
    repeat = f"{parts.caller.key_id} {namespace} {idempotency_key}" if idempotency_key else None
    async with parts.repeats.alone(repeat):
        posted = await run_in_threadpool(_keep, parts, namespace, documents, idempotency_key)
    tracing.note(job_id=posted.job_id, namespace=posted.namespace, version=posted.version, facts=len(posted.facts))
    if posted.created and posted.job_id is not None and not posted.is_repeat:
        await run_in_threadpool(parts.queue.send, posted.job_id)
    return posted


def _keep(parts: Parts, namespace: str, documents: list[Document], idempotency_key: str | None) -> Posted:
    with tracing.span("keep facts and job"):
        most = parts.settings.max_waiting_facts
        posted = store.post(parts.store, namespace, documents, idempotency_key=idempotency_key, most_waiting=most)
    faults.point("post.after_commit")
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
        return namespace, [plain(decode(body), None)]
    if media_type in _JSON_LINES:
        return namespace, read_lines(decode(body))
    if media_type == "application/json" or media_type.endswith("+json"):
        return _read_json(decode(body))
    raise ProblemError(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        f"{media_type} is not understood. Send {', '.join(_BODIES)}.",
    )


def _read_json(text: str) -> tuple[str, list[Document]]:
    try:
        data = parse_json(text)
    except json.JSONDecodeError as error:
        raise ProblemError(400, "invalid-json", "The body is not valid JSON", str(error)) from error
    try:
        if isinstance(data, dict) and "documents" in data:
            many = FactsIn.model_validate(data)
            return many.namespace, many.to_domain()
        one = OneFactIn.model_validate(data)
        return one.namespace, [one.to_domain()]
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_context=False)) from error


def read_lines(text: str) -> list[Document]:
    """Documents of JSON Lines. Raises `RequestValidationError` and the problem `invalid-json`, naming the line."""
    documents = []
    for number, line in enumerate(text.split("\n"), start=1):  # other line ends may stand inside a JSON string
        if not line.strip():
            continue
        try:
            documents.append(DocumentIn.model_validate(parse_json(line)).to_domain())
        except ValidationError as error:
            wrong = [{**each, "loc": (f"line {number}", *each["loc"])} for each in error.errors(include_context=False)]
            raise RequestValidationError(wrong) from error
        except json.JSONDecodeError as error:
            raise ProblemError(400, "invalid-json", "The body is not valid JSON", f"line {number}: {error}") from error
    if not documents:
        raise InvalidFact("The body holds no document.")
    return documents


async def _read_files(request: Request, plain: Callable[[str, str | None], Document]) -> list[Document]:
    async with request.form() as form:
        files = form.getlist("file")
        if not files:
            raise InvalidFact("The form holds no file named `file`.")
        return [
            plain(file, None) if isinstance(file, str) else plain(decode(await file.read()), file.filename or None)
            for file in files
        ]


def decode(body: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises the problem `invalid-encoding`."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemError(
            400, "invalid-encoding", "The body is not UTF-8", f"Byte {error.start} is not valid UTF-8."
        ) from error
