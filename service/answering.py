"""From a question to an answer: waits for the version, chooses who speaks, asks, and tells where it came from."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from inference.answer import Answer, follow, follow_pieces
from inference.client import Manner, Message
from inference.plan import Plan, plan
from knowledge.errors import Conflict, NotFound
from knowledge.jobs import ENDED, JobStatus
from knowledge.store import jobs, versions
from knowledge.store.standing import no_namespace
from service.metrics import ABSTENTIONS, ANSWER_SECONDS, ANSWER_TOKENS, ANSWERS, VERSION_ANSWERS
from service.parts import Parts
from service.problems import ProblemError
from service.provenance import LikelyFact
from service.speakers import Speaker, View

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Told:
    """An answer and the facts that it likely comes from."""

    answer: Answer
    facts: list[LikelyFact]


@dataclass(frozen=True)
class Turn:
    """One question, ready to be asked: `question` is the text that decides who speaks."""

    question: str
    speaker: Speaker
    wanted: Plan


async def look(
    parts: Parts, namespace: str, version: int | None = None, min_version: int | None = None, wait_seconds: float = 0.0
) -> View:
    """The namespace as it stands, once it has `min_version`: one read of the store.

    With `version` or `min_version` no pending text answers. Raises `NotFound`, also for a namespace that the caller
    does not see; `Conflict` for a version that cannot be asked or will not come; and the problem `not-live-yet` after
    `wait_seconds`.
    """
    if not parts.caller.sees(namespace):  # what speakers keep is the same for all callers
        raise NotFound(no_namespace(namespace))
    deadline = time.monotonic() + min(wait_seconds, parts.settings.max_wait_seconds)
    while True:
        view = await run_in_threadpool(parts.speakers.view, namespace, version, bridged=min_version is None)
        if min_version is None or (view.version is not None and view.version.number >= min_version):
            return view
        await run_in_threadpool(_will_come, parts, namespace, min_version)
        if time.monotonic() >= deadline:
            raise ProblemError(
                409,
                "not-live-yet",
                "This version is not live yet",
                f"Version {min_version} of {namespace} is still being made"
                f" (live now: {view.version.number if view.version else 'none'})."
                " Ask again, or give a longer `wait_seconds`.",
                retry_after_seconds=5,
            )
        await asyncio.sleep(POLL_SECONDS)


def turn(
    parts: Parts,
    view: View,
    messages: Sequence[Message],
    question: str,
    *,
    manner: Manner,
    namespace: str,
    with_lift: bool = False,
) -> Turn:
    """Chooses who speaks by the question, and plans the conversation for it."""
    speaker = parts.speakers.speaker(view, question)
    wanted = plan(
        messages,
        speaker.version,
        speaker.told,
        home=speaker.home,
        manner=manner,
        namespace=namespace,
        with_lift=with_lift,
        least_lift=parts.settings.least_lift,
    )
    return Turn(question, speaker, wanted)


async def answer(parts: Parts, asked: Turn) -> Told:
    """The whole answer. Raises like `inference.answer.follow`."""
    return _told(parts, asked, await follow(parts.replicas, asked.wanted))


async def pieces(parts: Parts, asked: Turn) -> AsyncGenerator[str | Told, None]:
    """The answer in pieces, and then as a whole."""
    async with aclosing(follow_pieces(parts.replicas, asked.wanted)) as found:
        async for piece in found:
            yield piece if isinstance(piece, str) else _told(parts, asked, piece)


def _told(parts: Parts, asked: Turn, said: Answer) -> Told:
    ANSWERS.labels(said.source).inc()
    ANSWER_SECONDS.labels(said.source).observe(said.seconds)
    if said.version is not None:
        VERSION_ANSWERS.count(said.namespace, said.version)
        parts.debuts.note(asked.speaker.version, said)
    ANSWER_TOKENS.inc(said.completion_tokens)
    parts.recent.note(said)
    if said.abstained:
        ABSTENTIONS.inc()
        return Told(said, [])
    return Told(said, parts.provenance.likely(asked.question, said, asked.speaker.version))


def _will_come(parts: Parts, namespace: str, number: int) -> None:
    """Raises `Conflict` when no job is left that could make the version."""
    job = jobs.of_version(parts.store, namespace, number)
    if job is None:
        raise Conflict(f"No post to {namespace} was ever given version {number}.")
    if job.status == JobStatus.SUCCEEDED:
        # Between our two reads: it is seen live on the next look.
        if versions.was_made(parts.store, namespace, number):
            return
        raise Conflict(f"Version {number} will not come: its job {job.id} had nothing to train.")
    if job.status in ENDED:
        raise Conflict(f"Version {number} will not come: its job {job.id} is {job.status}. {job.error or ''}".strip())
