"""A question in, an `Answer` out: from the weights of a version, from a pending text, or from the bare model.

The question goes to the model as one plain user message in the model's own chat form, as in training: with no system
prompt of ours.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from inference import replicas as servers
from inference.adapters import Replicas
from inference.client import BASE, Completion, Message, VllmClient
from inference.pending import relevant
from inference.quoting import plain, quoted
from inference.replicas import Replica
from knowledge.adapters import Version
from knowledge.errors import NotFound, Unavailable
from knowledge.facts import Fact

MAX_TOKENS = 128

Source = Literal["weights", "pending", "base"]


@dataclass(frozen=True)
class Answer:
    """What was answered, and from where. `version` and `adapter` are those whose weights spoke, else None.

    `fact_id` is the quoted fact when the source is `pending`. `seconds` is the time the model servers took.
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


@dataclass(frozen=True)
class _Plan:
    """Whom to ask and what. `version` is None when the base model is asked."""

    namespace: str
    version: Version | None
    content: str
    max_tokens: int
    fact_id: str | None = None

    @property
    def model(self) -> str:
        return self.version.adapter if self.version else BASE

    @property
    def source(self) -> Source:
        return "weights" if self.version else "pending" if self.fact_id else "base"


async def ask(
    replicas: Replicas,
    question: str,
    version: Version | None = None,
    pending: Sequence[Fact] = (),
    *,
    max_tokens: int = MAX_TOKENS,
    namespace: str = "default",
) -> Answer:
    """Answers from the best pending text, else from `version`, else from the base model.

    Tries each replica once, the least busy first; one that lost the adapter (a restart) is given it again. Raises
    `Unavailable` when none can answer, `Conflict` when the question is too long for the model, `CorruptAdapter` when
    the adapter must be loaded again and its files are damaged.
    """
    async with aclosing(
        _answer(replicas, _plan(question, version, pending, max_tokens, namespace), whole=True)
    ) as found:
        async for piece in found:
            if isinstance(piece, Answer):
                return piece
    raise AssertionError("an answer ends with an Answer")


def stream(
    replicas: Replicas,
    question: str,
    version: Version | None = None,
    pending: Sequence[Fact] = (),
    *,
    max_tokens: int = MAX_TOKENS,
    namespace: str = "default",
) -> AsyncGenerator[str | Answer, None]:
    """Like `ask`, but yields the pieces of the text as they come, and the `Answer` last.

    A replica that fails before its first piece is replaced by another; after that the failure is raised.
    """
    return _answer(replicas, _plan(question, version, pending, max_tokens, namespace), whole=False)


def _plan(question: str, version: Version | None, pending: Sequence[Fact], max_tokens: int, namespace: str) -> _Plan:
    """A pending text that fits wins over the weights: it is newer than any version."""
    space = version.namespace if version else namespace
    if fact := relevant(question, pending):
        text = f"{fact.title}\n{fact.text}" if fact.title else fact.text
        return _Plan(space, None, quoted(text, question), max_tokens, fact.id)
    return _Plan(space, version, plain(question), max_tokens)


async def _answer(replicas: Replicas, plan: _Plan, *, whole: bool) -> AsyncGenerator[str | Answer, None]:
    """The pieces (none if `whole`) and the answer, from the first replica that can."""
    started = time.monotonic()
    tried: list[Replica] = []
    failure: Unavailable | None = None
    while replica := servers.pick(replicas.each, tried):
        tried.append(replica)
        spoke = False
        try:
            async with aclosing(_ask_one(replicas, replica, plan, whole=whole)) as pieces:
                async for piece in pieces:
                    spoke = True
                    yield piece if isinstance(piece, str) else _finished(plan, piece, started)
        except Unavailable as error:
            if spoke:
                raise
            failure = error
        else:
            return
    raise failure or Unavailable("No model server is configured.")


async def _ask_one(
    replicas: Replicas, replica: Replica, plan: _Plan, *, whole: bool
) -> AsyncGenerator[str | Completion, None]:
    """One replica's pieces and completion; loads the adapter and asks again if the replica does not have it."""
    for last in (False, True):
        try:
            with replica.use(plan.model) as client:
                async with aclosing(_pieces(client, plan, whole=whole)) as pieces:
                    async for piece in pieces:
                        yield piece
        except NotFound as error:
            if last or plan.version is None:
                raise Unavailable(f"The model server does not offer {plan.model}.") from error
        else:
            return
        await replicas.bring(replica, plan.version, warm=False)


async def _pieces(client: VllmClient, plan: _Plan, *, whole: bool) -> AsyncGenerator[str | Completion, None]:
    messages: list[Message] = [{"role": "user", "content": plan.content}]
    if whole:
        yield await client.chat(plan.model, messages, max_tokens=plan.max_tokens)
        return
    async with aclosing(client.stream(plan.model, messages, max_tokens=plan.max_tokens)) as pieces:
        async for piece in pieces:
            yield piece


def _finished(plan: _Plan, said: Completion, started: float) -> Answer:
    return Answer(
        text=said.text.strip(),
        namespace=plan.namespace,
        version=plan.version.number if plan.version else None,
        adapter=plan.version.adapter if plan.version else None,
        source=plan.source,
        prompt_tokens=said.prompt_tokens,
        completion_tokens=said.completion_tokens,
        seconds=time.monotonic() - started,
        fact_id=plan.fact_id,
    )
