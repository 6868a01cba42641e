"""The playground: one question, asked of several versions and of the base model side by side, as they answer."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import escape
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from inference.client import Manner, Message
from knowledge.errors import EngrainError, NotFound
from knowledge.facts import NAMESPACE_PATTERN
from knowledge.store import facts, line
from knowledge.store.facts import DEFAULT_NAMESPACE
from knowledge.store.standing import no_namespace
from service import answering
from service.answering import Told, Turn
from service.dashboard.visit import Visit, Visits
from service.problems import from_error
from service.routes.ask import check_length
from service.schemas import MOST_VERSION
from service.speakers import View

router = APIRouter(prefix="/ask")

NOW = "now"
BASE = "base"
MOST_SPEAKERS = 4
"""Answers side by side: a browser opens six connections at most, and the page needs one itself."""
MAX_TOKENS = 128
OFFERED_VERSIONS = 50

Question = Annotated[str, Query(max_length=10_000, pattern=r"^[^\x00]*$")]
WhoPattern = Query(pattern=rf"^({NOW}|{BASE}|[1-9][0-9]{{0,9}})$")
NamespaceQuery = Annotated[str, Query(pattern=NAMESPACE_PATTERN)]


@router.get("")
def get_ask(
    visit: Visits,
    question: Question = "",
    namespace: NamespaceQuery = DEFAULT_NAMESPACE,
    who: Annotated[list[Annotated[str, WhoPattern]] | None, Query(max_length=20)] = None,
) -> HTMLResponse:
    """The form, and below it an answer from each that was chosen, each asking for itself."""
    names = visit.namespace_names()
    if namespace not in names:
        if namespace != DEFAULT_NAMESPACE or not names:
            raise NotFound(no_namespace(namespace))
        namespace = names[0]
    chosen = list(dict.fromkeys(who or (NOW, BASE)))[:MOST_SPEAKERS]
    return visit.page(
        "ask.html",
        question=question,
        namespace=namespace,
        names=names,
        versions=line.askable(visit.parts.store, namespace, limit=OFFERED_VERSIONS),
        chosen=chosen,
        asked=chosen if question.strip() else [],
        most_speakers=MOST_SPEAKERS,
        longest=visit.parts.settings.max_question_characters,
    )


@router.get("/stream")
async def ask(
    visit: Visits, question: Question, who: Annotated[str, WhoPattern], namespace: NamespaceQuery = DEFAULT_NAMESPACE
) -> EventSourceResponse:
    """One answer, piece by piece, and then where it came from; by server-sent events."""
    return EventSourceResponse(_stream(visit, question, namespace, who), ping=15)


async def _stream(visit: Visit, question: str, namespace: str, who: str) -> AsyncIterator[ServerSentEvent]:
    try:
        check_length(visit.parts, question)
        asked = await _turn(visit, question, namespace, who)
        async with aclosing(answering.pieces(visit.parts, asked)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Told):
                    yield ServerSentEvent(await _told(visit, piece, question), event="told")
                elif piece:
                    yield ServerSentEvent(str(escape(piece)), event="token")
    except EngrainError as error:
        yield ServerSentEvent(visit.text("ask/problem.html", problem=from_error(error).problem), event="told")
    yield ServerSentEvent("", event="end")


async def _turn(visit: Visit, question: str, namespace: str, who: str) -> Turn:
    """As `/ask` would take it now; or a version's, or the base model's, whatever the question."""
    number = int(who) if who.isdigit() and int(who) <= MOST_VERSION else None
    view = await answering.look(visit.parts, namespace, number)
    if who == BASE:
        view = View(None, named=False, bridge=None)
    messages: list[Message] = [{"role": "user", "content": question}]
    return answering.turn(
        visit.parts, view, messages, question, manner=Manner(MAX_TOKENS), namespace=namespace, with_lift=False
    )


async def _told(visit: Visit, told: Told, question: str) -> str:
    likely = {fact.id: fact.score for fact in told.facts}
    found = await run_in_threadpool(facts.find, visit.parts.store, ids=list(likely)) if likely else []
    found.sort(key=lambda fact: -likely[fact.id])
    return visit.text("ask/told.html", answer=told.answer, facts=found, likely=likely, question=question)
