"""`/ask`: a question in, an answer with its version out."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from inference.answer import Answer, ask, stream
from knowledge.adapters import Version, VersionStatus
from knowledge.errors import Conflict, EngrainError
from knowledge.facts import Fact, FactStatus
from knowledge.jobs import ENDED, JobStatus
from knowledge.store import facts, jobs, versions
from service.metrics import ANSWER_TOKENS, ANSWERS
from service.parts import Needs, Parts
from service.problems import Problem, ProblemError, from_error
from service.schemas import AnswerOut, AskIn, LikelyFactOut

router = APIRouter(tags=["ask"])

POLL_SECONDS = 0.25
MAX_PENDING = 1000


@router.post(
    "/ask",
    response_model=AnswerOut,
    summary="Ask a question",
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "An answer; with `stream`, server-sent events."},
        404: {"model": Problem},
        409: {"model": Problem, "description": "`min_version` is not live yet, or never will be."},
        503: {"model": Problem},
    },
)
async def post_ask(body: AskIn, parts: Needs) -> Response | AnswerOut:
    """Answers from the weights of the live version, of `version`, or of one at least `min_version`.

    A fact that is not live yet is answered from its stored text, with `source: pending`, unless a version was asked
    for. A question that shares next to nothing with what the version was taught is answered by the base model, with
    `source: base`, so that teaching leaves such answers as they were; an explicit `version` always answers itself.
    With `stream`, events `token` (`text`) and one `answer` (the whole answer as without `stream`).
    """
    if len(body.question) > parts.settings.max_question_characters:
        raise ProblemError(
            413,
            "question-too-long",
            "The question is too long",
            f"It has {len(body.question)} characters; the most is {parts.settings.max_question_characters}.",
        )
    started = time.monotonic()
    version = await _speaker(parts, body, await _choose(parts, body))
    waited = time.monotonic() - started
    pending = await _pending(parts, body)
    if body.stream:
        return EventSourceResponse(_stream(parts, body, version, pending, waited), ping=15)
    answer = await ask(
        parts.replicas, body.question, version, pending, max_tokens=body.max_tokens, namespace=body.namespace
    )
    return await _finish(parts, body, answer, version, waited)


async def _stream(
    parts: Parts, body: AskIn, version: Version | None, pending: list[Fact], waited: float
) -> AsyncIterator[ServerSentEvent]:
    try:
        async for piece in stream(
            parts.replicas, body.question, version, pending, max_tokens=body.max_tokens, namespace=body.namespace
        ):
            if isinstance(piece, Answer):
                whole = await _finish(parts, body, piece, version, waited)
                yield ServerSentEvent(whole.model_dump_json(), event="answer")
            else:
                yield ServerSentEvent(json.dumps({"text": piece}), event="token")
    except EngrainError as error:
        yield ServerSentEvent(bytes(from_error(error).body).decode(), event="problem")


async def _choose(parts: Parts, body: AskIn) -> Version | None:
    """The version to ask. Raises `NotFound`, `Conflict` or the problem `not-live-yet`."""
    if body.version is not None:
        version = await run_in_threadpool(versions.get, parts.store, body.namespace, body.version)
        if version.status not in (VersionStatus.LIVE, VersionStatus.RETIRED):
            raise Conflict(f"Version {version.number} is {version.status}: it cannot be asked.")
        return version
    deadline = time.monotonic() + min(body.wait_seconds, parts.settings.max_wait_seconds)
    while True:
        live = await run_in_threadpool(versions.live, parts.store, body.namespace)
        if body.min_version is None or (live is not None and live.number >= body.min_version):
            return live
        await run_in_threadpool(_will_come, parts, body.namespace, body.min_version)
        if time.monotonic() >= deadline:
            raise ProblemError(
                409,
                "not-live-yet",
                "This version is not live yet",
                f"Version {body.min_version} of {body.namespace} is still being made"
                f" (live now: {live.number if live else 'none'}). Ask again, or give a longer `wait_seconds`.",
                retry_after_seconds=5,
            )
        await asyncio.sleep(POLL_SECONDS)


async def _speaker(parts: Parts, body: AskIn, version: Version | None) -> Version | None:
    """The version, or None (the base model) when the question is not about what it was taught."""
    if version is None or body.version is not None:
        return version
    least = parts.settings.least_relevance
    return version if await run_in_threadpool(parts.provenance.concerns, body.question, version, least) else None


def _will_come(parts: Parts, namespace: str, number: int) -> None:
    """Raises `Conflict` when no job is left that could make the version."""
    job = jobs.of_version(parts.store, namespace, number)
    if job is None:
        raise Conflict(f"No post to {namespace} was ever given version {number}.")
    # A job that succeeded between our two reads is seen live on the next look.
    if job.status in ENDED and job.status != JobStatus.SUCCEEDED:
        raise Conflict(f"Version {number} will not come: its job {job.id} is {job.status}. {job.error or ''}".strip())


async def _pending(parts: Parts, body: AskIn) -> list[Fact]:
    """Facts that may be answered from their text; none when a version was asked for."""
    if body.version is not None or body.min_version is not None:
        return []
    return await run_in_threadpool(
        lambda: facts.find(
            parts.store, body.namespace, statuses=[FactStatus.PENDING, FactStatus.TRAINING], limit=MAX_PENDING
        )
    )


async def _finish(parts: Parts, body: AskIn, answer: Answer, version: Version | None, waited: float) -> AnswerOut:
    ANSWERS.labels(answer.source).inc()
    ANSWER_TOKENS.inc(answer.completion_tokens)
    likely = await run_in_threadpool(parts.provenance.likely, body.question, answer, version)
    return AnswerOut.of(answer, [LikelyFactOut(id=each.id, score=each.score) for each in likely], waited)
