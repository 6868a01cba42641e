"""`/ask`: a question in, an answer with its version out; or many questions at once."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from inference.client import Manner, Message
from knowledge.errors import EngrainError
from knowledge.keys import Scope
from service import answering
from service.answering import Told, Turn
from service.bodies import JsonRoute
from service.gate import needs
from service.leaving import while_connected
from service.parts import Needs, Parts
from service.problems import Problem, ProblemError, from_error
from service.schemas import AnswerOut, AnswersOut, AskIn
from service.speakers import View

router = APIRouter(tags=["ask"], route_class=JsonRoute)

JSON = "application/json"


@router.post(
    "/ask",
    response_model=AnswerOut | AnswersOut,
    summary="Ask a question",
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "An answer; with `stream`, server-sent events."},
        404: {"description": "No such namespace or version."},
        409: {"description": "`min_version` is not live yet, or never will be; or `version` never was."},
        410: {"description": "`version` was deleted."},
    },
)
@needs(Scope.READ)
async def post_ask(body: AskIn, request: Request, parts: Needs) -> Response:
    """Answers from the weights of the live version, of `version`, or of one at least `min_version`.

    A fact that is not live yet is answered from its stored text, with `source: pending`, unless a version was asked
    for. A question that shares next to nothing with what the version was taught is answered by the base model, with
    `source: base`, so that teaching leaves such answers as they were; an explicit `version` always answers itself.
    With `stream`, events `token` (`text`) and one `answer` (the whole answer as without `stream`). With `questions`,
    `answers` in their order, all from one version; a question that fails has a problem in its place.
    """
    # The answer is written out here and not by FastAPI, which would check it against its schema once more.
    return await while_connected(request, _respond(body, parts))


async def _respond(body: AskIn, parts: Parts) -> Response:
    if body.question is not None:
        check_length(parts, body.question)
    elif len(body.questions) > parts.settings.max_questions:
        raise ProblemError(
            413,
            "too-many-questions",
            "Too many questions",
            f"{len(body.questions)} questions in one request; the most is {parts.settings.max_questions}.",
        )
    started = time.monotonic()
    view = await answering.look(parts, body.namespace, body.version, body.min_version, body.wait_seconds)
    waited = time.monotonic() - started
    if body.question is None:
        many = AnswersOut(answers=list(await asyncio.gather(*(_one(parts, body, view, q) for q in body.questions))))
        return Response(many.model_dump_json(), media_type=JSON)
    asked = _turn(parts, body, view, body.question)
    if body.stream:
        return EventSourceResponse(_stream(parts, asked, waited), ping=15)
    return Response(_out(await answering.answer(parts, asked), waited).model_dump_json(), media_type=JSON)


async def _one(parts: Parts, body: AskIn, view: View, question: str) -> AnswerOut | Problem:
    try:
        check_length(parts, question)
        return _out(await answering.answer(parts, _turn(parts, body, view, question)), 0.0)
    except EngrainError as error:
        return from_error(error).problem


async def _stream(parts: Parts, asked: Turn, waited: float) -> AsyncIterator[ServerSentEvent]:
    try:
        async with aclosing(answering.pieces(parts, asked)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Told):
                    yield ServerSentEvent(_out(piece, waited).model_dump_json(), event="answer")
                else:
                    yield ServerSentEvent(json.dumps({"text": piece}), event="token")
    except EngrainError as error:
        yield ServerSentEvent(bytes(from_error(error).body).decode(), event="problem")


def _turn(parts: Parts, body: AskIn, view: View, question: str) -> Turn:
    messages: list[Message] = [{"role": "user", "content": question}]
    manner = Manner(body.max_tokens)
    return answering.turn(parts, view, messages, question, manner=manner, namespace=body.namespace, with_lift=body.lift)


def check_length(parts: Parts, question: str) -> None:
    """Raises the problem `question-too-long`."""
    if len(question) > parts.settings.max_question_characters:
        raise ProblemError(
            413,
            "question-too-long",
            "The question is too long",
            f"It has {len(question)} characters; the most is {parts.settings.max_question_characters}.",
        )


def _out(told: Told, waited: float) -> AnswerOut:
    return AnswerOut.of(told.answer, told.facts, waited)
