"""`/v1`: the OpenAI API's chat completions and models, for clients that speak nothing else."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from inference.client import BASE
from inference.plan import Plan
from knowledge.adapters import VersionStatus
from knowledge.errors import Conflict, EngrainError, NotFound
from knowledge.ids import new_id
from knowledge.keys import Scope
from knowledge.store import versions
from knowledge.store.facts import DEFAULT_NAMESPACE
from service import answering
from service.answering import Told
from service.bodies import JsonRoute
from service.gate import needs
from service.leaving import while_connected
from service.openai_schemas import ChatIn, ChatOut, ChatUsageOut, ModelOut, ModelsOut, SourceOut
from service.parts import Needs, Parts
from service.problems import ProblemError, from_error, problems_of
from service.speakers import View

router = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)


@router.post(
    "/chat/completions",
    response_model=ChatOut,
    summary="Answer a conversation, in the OpenAI API's shape",
    responses={200: {"content": {"text/event-stream": {}}}, **problems_of(404)},
)
@needs(Scope.READ)
async def post_chat_completion(body: ChatIn, request: Request, parts: Needs) -> Response:
    """`model` is a namespace or `namespace@version`; in the answer it is who spoke: `namespace@version`, or `base`.

    The last user message decides as a question to /ask does: what was never taught is answered by the base model,
    a fact that is not live yet from its stored text. A named version always answers itself. Errors have the OpenAI
    API's shape. The field `engrain` tells the source, in a stream with the last piece.
    """
    return await while_connected(request, _respond(body, parts))


@router.get("/models", response_model=ModelsOut, summary="List what can be asked")
def get_models(parts: Needs) -> ModelsOut:
    """Every namespace, and each of its versions that is or was live."""
    return ModelsOut(data=_models(parts))


@router.get("/models/{model}", response_model=ModelOut, summary="One of what can be asked", responses=problems_of(404))
def get_model(model: str, parts: Needs) -> ModelOut:
    """A namespace or `namespace@version`."""
    for found in _models(parts):
        if found.id == model:
            return found
    raise _unknown(model)


async def _respond(body: ChatIn, parts: Parts) -> Response:
    view, namespace = await _look(body, parts)
    messages, question = body.conversation(), body.question()
    if messages[-1]["role"] != "user":  # a pending text is quoted in the last message, which must be a question then
        view = replace(view, bridge=None)
    asked = answering.turn(parts, view, messages, question, manner=body.manner(), namespace=namespace)
    completion_id, model = new_id("chatcmpl"), _name(asked.wanted)
    if not body.stream:
        out = ChatOut.of(await answering.answer(parts, asked), completion_id, model)
        return Response(out.model_dump_json(), media_type="application/json")
    pieces = answering.pieces(parts, asked)
    try:
        first = await anext(pieces)  # so that what fails before the first piece is an error with its own status
    except BaseException:
        await pieces.aclose()
        raise
    usage = body.stream_options is not None and body.stream_options.include_usage
    head = {"id": completion_id, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
    return EventSourceResponse(_stream(first, pieces, head, usage=usage), ping=15, sep="\n")


async def _look(body: ChatIn, parts: Parts) -> tuple[View, str]:
    """The namespace as it stands, and its name. Raises the problem `model-not-found`."""
    speaker = body.speaker()
    if speaker is None:
        raise _unknown(body.model)
    namespace, version = speaker
    try:
        return await answering.look(parts, namespace, version), namespace
    except (NotFound, Conflict) as error:
        raise _unknown(body.model, str(error)) from error


async def _stream(
    first: str | Told, pieces: AsyncGenerator[str | Told, None], head: dict[str, Any], *, usage: bool
) -> AsyncIterator[ServerSentEvent]:
    """Chunks as OpenAI's clients read them: the role, the pieces, the end with its source, the usage, `[DONE]`."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> ServerSentEvent:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return ServerSentEvent(json.dumps({**head, "choices": [choice], **more}))

    async with aclosing(pieces):
        yield chunk({"role": "assistant", "content": ""})
        try:
            piece = first
            while isinstance(piece, str):
                yield chunk({"content": piece})
                piece = await anext(pieces)
        except EngrainError as error:
            yield ServerSentEvent(bytes(from_error(error).shaped_for("/v1/").body).decode())
            return
        yield chunk({}, piece.answer.finish_reason, engrain=SourceOut.of(piece).model_dump())
        if usage:
            yield ServerSentEvent(json.dumps({**head, "choices": [], "usage": ChatUsageOut.of(piece).model_dump()}))
        yield ServerSentEvent("[DONE]")


def _name(wanted: Plan) -> str:
    return f"{wanted.namespace}@{wanted.version.number}" if wanted.version else BASE


def _unknown(model: str, reason: str = "") -> ProblemError:
    return ProblemError(
        404, "model-not-found", "Unknown model", f"The model `{model}` does not exist. {reason}".strip()
    )


def _models(parts: Parts) -> list[ModelOut]:
    found = versions.find(parts.store, statuses=[VersionStatus.LIVE, VersionStatus.RETIRED])
    live = {each.namespace: each for each in found if each.status == VersionStatus.LIVE}
    names = {each.name for each in versions.namespaces(parts.store)}
    names |= {DEFAULT_NAMESPACE} if parts.caller.sees(DEFAULT_NAMESPACE) else set()
    made = {name: int((live[name].activated_at or live[name].created_at).timestamp()) for name in live}
    spaces = [ModelOut(id=name, created=made.get(name, 0)) for name in sorted(names)]
    each_version = [
        ModelOut(id=f"{each.namespace}@{each.number}", created=int(each.created_at.timestamp())) for each in found
    ]
    return spaces + each_version
