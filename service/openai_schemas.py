"""The shapes of the OpenAI API that its clients send and read.

What would change the answer and cannot be done is refused, and so are unknown fields; what changes nothing is taken.
"""

import re
import time
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from inference.client import Manner, Message
from knowledge.facts import NAMESPACE_PATTERN
from service.answering import Told
from service.schemas import LikelyFactOut, Request

DEFAULT_MAX_TOKENS = 256
_MODEL = re.compile(rf"(?P<namespace>{NAMESPACE_PATTERN.strip('^$')})(?:@(?P<version>[1-9]\d{{0,8}}))?")
_PASSED_ON = ("top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias")

Nothing = Annotated[list[Any], Field(max_length=0)] | None


class TextPartIn(Request):
    """A piece of a message's text; pictures and sound are not understood."""

    type: Literal["text"]
    text: str


class MessageIn(BaseModel):
    """One turn. What a client's library adds to it (`name`, `refusal`, …) is not read."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPartIn] | None = None
    tool_calls: Nothing = None

    def to_domain(self) -> Message:
        """As vLLM takes it: one text."""
        parts = self.content or ""
        text = parts if isinstance(parts, str) else "\n".join(part.text for part in parts)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class StreamOptionsIn(Request):
    """What a stream says besides its pieces."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class ChatIn(Request):
    """A conversation for a namespace's live version, or for one that is named: `model` is `ns` or `ns@version`."""

    model: str = Field(examples=["default", "default@3"])
    messages: list[MessageIn] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptionsIn | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, description="0 unless given: answers are greedy, as in /ask.")
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    # Only what asks for nothing else than is done:
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    tools: Nothing = None
    functions: Nothing = None
    tool_choice: Literal["none", "auto"] | None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    modalities: list[Literal["text"]] | None = None
    # Read by nobody: they change no answer.
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    parallel_tool_calls: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None

    def speaker(self) -> tuple[str, int | None] | None:
        """Namespace and version of `model`; None when it has another form."""
        found = _MODEL.fullmatch(self.model)
        return (found["namespace"], int(found["version"]) if found["version"] else None) if found else None

    def conversation(self) -> list[Message]:
        """The messages."""
        return [message.to_domain() for message in self.messages]

    def question(self) -> str:
        """The last user message: it decides who answers."""
        return next((each["content"] for each in reversed(self.conversation()) if each["role"] == "user"), "")

    def manner(self) -> Manner:
        """How to answer."""
        extra = {name: value for name in _PASSED_ON if (value := getattr(self, name)) is not None}
        most = self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS
        return Manner(most, self.temperature or 0.0, extra)


class SourceOut(BaseModel):
    """What this API tells beyond OpenAI's shape: where the answer came from, as in /ask."""

    namespace: str
    version: int | None
    adapter: str | None
    source: str
    facts: list[LikelyFactOut]
    lift: float | None
    abstained: bool

    @classmethod
    def of(cls, told: Told) -> Self:
        """From the domain."""
        answer = told.answer
        return cls(
            namespace=answer.namespace,
            version=answer.version,
            adapter=answer.adapter,
            source=answer.source,
            facts=[LikelyFactOut(id=fact.id, score=fact.score) for fact in told.facts],
            lift=None if answer.lift is None else round(answer.lift, 3),
            abstained=answer.abstained,
        )


class ChatUsageOut(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, told: Told) -> Self:
        """From the domain."""
        read, written = told.answer.prompt_tokens, told.answer.completion_tokens
        return cls(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


class ChatMessageOut(BaseModel):
    """The answer's text."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChoiceOut(BaseModel):
    """The one answer."""

    index: int = 0
    message: ChatMessageOut
    logprobs: None = None
    finish_reason: str


class ChatOut(BaseModel):
    """A whole answer. `model` is who spoke: `namespace@version`, or `base`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(default_factory=lambda: int(time.time()))
    model: str
    choices: list[ChoiceOut]
    usage: ChatUsageOut
    engrain: SourceOut

    @classmethod
    def of(cls, told: Told, completion_id: str, model: str) -> Self:
        """From the domain."""
        choice = ChoiceOut(message=ChatMessageOut(content=told.answer.text), finish_reason=told.answer.finish_reason)
        return cls(
            id=completion_id, model=model, choices=[choice], usage=ChatUsageOut.of(told), engrain=SourceOut.of(told)
        )


class ModelOut(BaseModel):
    """A namespace (its live version, or the base model before the first) or one version of it."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time in seconds; 0 for a namespace without a version.")
    owned_by: Literal["engrain"] = "engrain"


class ModelsOut(BaseModel):
    """Everything that can be asked."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


class OpenAiErrorBody(BaseModel):
    """What went wrong. `code` is stable and meant for programs."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class OpenAiErrorOut(BaseModel):
    """An error as OpenAI's clients read it."""

    error: OpenAiErrorBody
