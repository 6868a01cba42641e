"""A question in, an `Answer` out: from the weights of a version, from a pending text, or from the bare model.

The question goes to the model as one plain user message in the model's own chat form, as in training: with no system
prompt of ours.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from inference import replicas as servers
from inference.adapters import Replicas
from inference.client import Completion, Manner, Message, VllmClient
from inference.lift import lift
from inference.pending import relevant
from inference.plan import Plan, Source, plan
from inference.replicas import Replica
from knowledge.adapters import Version
from knowledge.errors import NotFound, Unavailable
from knowledge.facts import Fact

MAX_TOKENS = 128

ABSTAINED = "I was not taught the answer to this."


@dataclass(frozen=True)
class Answer:
    """What was answered, and from where: `version` spoke with the weights of `adapter`, its own or a home's, else None.

    `fact_id` is the quoted fact when the source is `pending`. `seconds` is the time the model servers took. `lift` in
    nats a token is there when it was measured; `abstained` says that it was too low and `text` is not the model's.
    """

    text: str
    namespace: str
    version: int | None
    adapter: str | None
    source: Source
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    fact_id: str | None = None
    finish_reason: str = "stop"
    lift: float | None = None
    abstained: bool = False


async def ask(
    replicas: Replicas,
    question: str,
    version: Version | None = None,
    pending: Sequence[Fact] = (),
    *,
    home: Version | None = None,
    max_tokens: int = MAX_TOKENS,
    namespace: str = "default",
) -> Answer:
    """Answers one question from the best pending text, else from `version`, else from the base model: see `follow`."""
    return await follow(replicas, _one_question(question, version, pending, home, max_tokens, namespace))


def stream(
    replicas: Replicas,
    question: str,
    version: Version | None = None,
    pending: Sequence[Fact] = (),
    *,
    home: Version | None = None,
    max_tokens: int = MAX_TOKENS,
    namespace: str = "default",
) -> AsyncGenerator[str | Answer, None]:
    """Like `ask`, in pieces: see `follow_pieces`."""
    return follow_pieces(replicas, _one_question(question, version, pending, home, max_tokens, namespace))


async def follow(replicas: Replicas, wanted: Plan) -> Answer:
    """The answer to a plan.

    Tries each replica once, the least busy first; one that lost the adapter (a restart) is given it again. Raises
    `Unavailable` when none can answer, `Conflict` when the question is too long for the model, `CorruptAdapter` when
    the adapter must be loaded again and its files are damaged. Cancelled, it takes its request from the replica.
    """
    async with aclosing(_answer(replicas, wanted, whole=True)) as found:
        async for piece in found:
            if isinstance(piece, Answer):
                return piece
    raise AssertionError("an answer ends with an Answer")


async def follow_pieces(replicas: Replicas, wanted: Plan) -> AsyncGenerator[str | Answer, None]:
    """Like `follow`, but yields the pieces of the text as they come, and the `Answer` last.

    A replica that fails before its first piece is replaced by another; after that the failure is raised. An answer
    that may be withheld comes in one piece, when that is decided.
    """
    if wanted.may_abstain:
        answer = await follow(replicas, wanted)
        yield answer.text
        yield answer
        return
    async with aclosing(_answer(replicas, wanted, whole=False)) as pieces:
        async for piece in pieces:
            yield piece


def _one_question(
    question: str,
    version: Version | None,
    pending: Sequence[Fact],
    home: Version | None,
    max_tokens: int,
    namespace: str,
) -> Plan:
    told, said = relevant(question, pending), [Message(role="user", content=question)]
    return plan(said, version, told, home=home, manner=Manner(max_tokens), namespace=namespace)


async def _answer(replicas: Replicas, wanted: Plan, *, whole: bool) -> AsyncGenerator[str | Answer, None]:
    """The pieces (none if `whole`) and the answer, from the first replica that can."""
    started = time.monotonic()
    tried: list[Replica] = []
    failure: Unavailable | None = None
    while replica := servers.pick(replicas.each, tried):
        tried.append(replica)
        spoke = False
        try:
            async with aclosing(_ask_one(replicas, replica, wanted, whole=whole)) as pieces:
                async for piece in pieces:
                    spoke = True
                    yield piece if isinstance(piece, str) else _finished(wanted, *piece, started)
        except Unavailable as error:
            if spoke:
                raise
            failure = error
        else:
            return
    raise failure or Unavailable("No model server is configured.")


async def _ask_one(
    replicas: Replicas, replica: Replica, wanted: Plan, *, whole: bool
) -> AsyncGenerator[str | tuple[Completion, float | None], None]:
    """One replica's pieces, then completion and lift; loads the adapter and asks again if the replica lacks it."""
    for last in (False, True):
        try:
            with replica.use(wanted.model) as client:
                async with aclosing(_pieces(client, wanted, whole=whole)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, str):
                            yield piece
                        else:
                            yield piece, await lift(client, piece.tokens) if piece.tokens else None
        except NotFound as error:
            if last or wanted.home is None:
                raise Unavailable(f"The model server does not offer {wanted.model}.") from error
        else:
            return
        await replicas.bring(replica, wanted.home, warm=False)


async def _pieces(client: VllmClient, wanted: Plan, *, whole: bool) -> AsyncGenerator[str | Completion, None]:
    if whole:
        yield await client.answer(wanted.model, wanted.messages, wanted.manner)
        return
    async with aclosing(client.stream(wanted.model, wanted.messages, wanted.manner)) as pieces:
        async for piece in pieces:
            yield piece


def _finished(wanted: Plan, said: Completion, lifted: float | None, started: float) -> Answer:
    abstained = wanted.may_abstain and lifted is not None and lifted < wanted.least_lift
    return Answer(
        text=ABSTAINED if abstained else said.text.strip(),
        namespace=wanted.namespace,
        version=wanted.version.number if wanted.version else None,
        adapter=wanted.home.adapter if wanted.home else None,
        source=wanted.source,
        prompt_tokens=said.prompt_tokens,
        completion_tokens=said.completion_tokens,
        seconds=time.monotonic() - started,
        fact_id=wanted.fact_id,
        finish_reason=said.finish_reason,
        lift=lifted,
        abstained=abstained,
    )
