"""Talks to one vLLM server over HTTP. Knows its routes and its errors; knows nothing of versions or facts."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from knowledge.errors import Conflict, EngrainError, NotFound, Unavailable

BASE = "base"
"""The name under which our servers offer the model without an adapter."""

CONNECT_SECONDS = 2.0
QUICK_SECONDS = 10.0
LOAD_SECONDS = 60.0
ANSWER_SECONDS = 180.0

MOST_CONNECTIONS = 256
KEPT_SECONDS = 2.0
"""How long an unused connection is kept. vLLM closes its own after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE): kept as long
here, a request now and then would go out on a connection that is just being closed, and fail."""

CHAT = "/v1/chat/completions"

_BROKEN = (httpx.HTTPError, aiohttp.ClientError)
"""What a connection raises. A reply that is no HTTP comes as aiohttp's own error."""


class Message(TypedDict):
    """One turn of a conversation, as the OpenAI API spells it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Tokens:
    """An answer's ids with each one's log-probability (nats) when it was written, and the ids of its prompt."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True)
class Completion:
    """What the model said. `finish_reason` is `stop`, or `length` when `max_tokens` cut it off.

    `tokens` are there when they were asked for.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Manner:
    """How to answer. `extra` are further fields of the OpenAI request, as vLLM takes them; `tokens` asks for ids."""

    max_tokens: int = 128
    temperature: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    tokens: bool = False


Logprobs = tuple[Mapping[str, float], ...]
"""For each generated token, the log-probability (nats) of the most likely tokens."""


class VllmClient:
    """One vLLM server. Every method raises `Unavailable` when it is down, too slow or failing inside."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.base_url = base_url
        self._transport = transport or _transport()
        self._root = base_url.rstrip("/")

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.aclose()

    async def health(self) -> None:
        """Returns when the server is up and its engine alive."""
        await self._send("GET", "/health")

    async def models(self) -> list[str]:
        """The names it answers to: `base` and every loaded adapter."""
        return [card["id"] for card in await self._cards()]

    async def adapters(self) -> dict[str, str]:
        """The loaded adapters and the path that each was loaded from."""
        return {card["id"]: card["root"] for card in await self._cards() if card.get("parent") is not None}

    async def load(self, adapter: str, path: str) -> bool:
        """Loads an adapter from an absolute path that the server sees; False when it had it already.

        Raises `NotFound` when the server does not see the files, `Conflict` when the name stands for another path or
        the server refuses the adapter (a rank above its limit, say).
        """
        if not path.startswith("/"):
            raise ValueError(f"the adapter path {path!r} is not absolute")  # vLLM would take it for a hub repository
        body = {"lora_name": adapter, "lora_path": path}
        response = await self._request("POST", "/v1/load_lora_adapter", body, LOAD_SECONDS)
        if response.is_success:
            return True
        if response.status_code == 400 and (loaded := (await self.adapters()).get(adapter)) is not None:
            if loaded == path:
                return False
            raise Conflict(f"The server holds another adapter under the name {adapter}.")
        if response.status_code == 500:
            await self.health()  # vLLM answers 500 for a dead engine, and for an adapter that it cannot take
            raise Conflict(f"The server cannot load the adapter {adapter}: {_reason(response)}")
        raise _error(response)

    async def unload(self, adapter: str) -> bool:
        """Takes an adapter's name from the server; False when it was not there."""
        response = await self._request("POST", "/v1/unload_lora_adapter", {"lora_name": adapter}, QUICK_SECONDS)
        if response.status_code == 404:
            return False
        _check(response)
        return True

    async def chat(
        self, model: str, messages: Sequence[Message], *, max_tokens: int, temperature: float = 0.0
    ) -> Completion:
        """One whole answer. Raises `NotFound` when the server does not hold `model`, `Conflict` for a bad request."""
        return await self.answer(model, messages, Manner(max_tokens, temperature))

    async def answer(self, model: str, messages: Sequence[Message], manner: Manner) -> Completion:
        """One whole answer, in any manner. Raises like `chat`."""
        return _completion(await self._send("POST", CHAT, _chat(model, messages, manner)))

    async def stream(
        self, model: str, messages: Sequence[Message], manner: Manner
    ) -> AsyncGenerator[str | Completion, None]:
        """Pieces of the answer as they come, then the whole `Completion`. Raises like `chat`, before or midway."""
        body = _chat(model, messages, manner) | {"stream": True, "stream_options": {"include_usage": True}}
        whole = _Pieces()
        try:
            async with self._open("POST", CHAT, body, ANSWER_SECONDS) as response:
                if not response.is_success:
                    await response.aread()
                    raise _error(response)
                async for chunk in _events(response):
                    for piece in whole.add(chunk):
                        yield piece
        except _BROKEN as error:
            raise Unavailable(f"The model server stopped answering ({_name(error)}).") from error
        if not whole.finish:
            raise Unavailable("The model server ended its answer too early.")
        yield whole.completion(manner)

    async def score(self, model: str, tokens: Tokens, most: int) -> tuple[float, ...]:
        """The log-probability (nats) that `model` gives each of the answer's first `most` tokens, after those before.

        For a token that is not among the 20 likeliest, that of the least likely of them. One request with a prompt for
        each token: `prompt_logprobs` would read them all in one pass, and ends vLLM 0.32's engine when another request
        is in the batch and LoRA is on (its output layer takes one row a request; seen on the CPU).
        """
        answer = tokens.answer[:most]
        prompts = [[*tokens.prompt, *answer[:before]] for before in range(len(answer))]
        body = {"model": model, "prompt": prompts, "max_tokens": 1, "temperature": 0.0, "logprobs": 20}
        data = await self._send("POST", "/v1/completions", body | {"return_tokens_as_token_ids": True})
        steps = sorted(data["choices"], key=lambda choice: int(choice["index"]))
        given = [step["logprobs"]["top_logprobs"][0] for step in steps]
        return tuple(
            float(likely.get(f"token_id:{token}", min(likely.values())))
            for likely, token in zip(given, answer, strict=True)
        )

    async def logprobs(self, model: str, messages: Sequence[Message], *, max_tokens: int) -> Logprobs:
        """Log-probabilities of the 20 most likely tokens at each step of the greedy answer."""
        body = _chat(model, messages, Manner(max_tokens)) | {"logprobs": True, "top_logprobs": 20}
        data = await self._send("POST", CHAT, body)
        steps = data["choices"][0]["logprobs"]["content"]
        return tuple({top["token"]: top["logprob"] for top in step["top_logprobs"]} for step in steps)

    async def _cards(self) -> list[dict[str, Any]]:
        data = await self._send("GET", "/v1/models")
        return list(data["data"])

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sends, checks, and reads the JSON object of the reply ({} when it has none)."""
        response = await self._request(method, path, body, ANSWER_SECONDS if body else QUICK_SECONDS)
        _check(response)
        if not response.content:
            return {}
        try:
            data = response.json()
        except ValueError as error:
            raise Unavailable("The model server sent something that is not JSON.") from error
        assert isinstance(data, dict)
        return data

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: dict[str, Any] | None, seconds: float
    ) -> AsyncGenerator[httpx.Response, None]:
        """A reply whose body has not been read. Leaving early closes the connection, and vLLM drops the request."""
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS).as_dict()
        request = httpx.Request(
            method, self._root + path, content=content, headers=headers, extensions={"timeout": timeout}
        )
        response = await self._transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None, seconds: float) -> httpx.Response:
        try:
            async with self._open(method, path, body, seconds) as response:
                await response.aread()
                return response
        except _BROKEN as error:
            raise Unavailable(f"The model server does not answer ({_name(error)}).") from error


def _name(error: Exception) -> str:
    """What aiohttp called it: as httpx's, every broken connection would be a `ConnectTimeout`."""
    return type(error.__cause__ or error).__name__


def _transport() -> httpx.AsyncBaseTransport:
    """Straight to the server: a proxy from the environment must not see the traffic."""
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=KEPT_SECONDS)
    return AiohttpTransport(trust_env=False, limits=limits)


class _Pieces:
    """Gathers the chunks of a streamed answer."""

    def __init__(self) -> None:
        self.finish = ""
        self._texts: list[str] = []
        self._usage = {"prompt_tokens": 0, "completion_tokens": 0}
        self._prompt: list[int] = []
        self._ids: list[int] = []
        self._logprobs: list[float] = []

    def add(self, chunk: Mapping[str, Any]) -> list[str]:
        """The chunk's new text, if any."""
        self._usage = chunk.get("usage") or self._usage
        self._prompt = chunk.get("prompt_token_ids") or self._prompt
        fresh = []
        for choice in chunk.get("choices", []):
            self.finish = choice.get("finish_reason") or self.finish
            self._ids += choice.get("token_ids") or []
            self._logprobs += [step["logprob"] for step in (choice.get("logprobs") or {}).get("content") or []]
            if piece := choice["delta"].get("content"):
                fresh.append(piece)
        self._texts += fresh
        return fresh

    def completion(self, manner: Manner) -> Completion:
        """The whole answer."""
        tokens = Tokens(tuple(self._prompt), tuple(self._ids), tuple(self._logprobs)) if manner.tokens else None
        usage = self._usage
        return Completion("".join(self._texts), usage["prompt_tokens"], usage["completion_tokens"], self.finish, tokens)


def _chat(model: str, messages: Sequence[Message], manner: Manner) -> dict[str, Any]:
    body = {"model": model, "messages": messages, "max_tokens": manner.max_tokens, "temperature": manner.temperature}
    wanted = {"logprobs": True, "top_logprobs": 0, "return_token_ids": True} if manner.tokens else {}
    return {**manner.extra, **body, **wanted}


def _completion(data: Mapping[str, Any]) -> Completion:
    choice, usage = data["choices"][0], data["usage"]
    text, tokens = choice["message"]["content"] or "", None
    if data.get("prompt_token_ids"):
        logprobs = tuple(step["logprob"] for step in choice["logprobs"]["content"])
        tokens = Tokens(tuple(data["prompt_token_ids"]), tuple(choice["token_ids"]), logprobs)
    return Completion(text, usage["prompt_tokens"], usage["completion_tokens"], choice["finish_reason"], tokens)


async def _events(response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of a server-sent stream, up to `[DONE]`. vLLM reports a failure midway as an `error` object."""
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        chunk = json.loads(data)
        if "error" in chunk:
            raise Unavailable(f"The model server failed while answering: {chunk['error'].get('message', '')}")
        yield chunk


def _check(response: httpx.Response) -> None:
    if not response.is_success:
        raise _error(response)


def _error(response: httpx.Response) -> EngrainError:
    """The error of a failed reply: `{"error": {"message", "type", "param", "code"}}`; 404 for an unknown model."""
    if response.status_code == 404:
        return NotFound(f"The model server does not have it: {_reason(response)}")
    if response.status_code >= 500 or response.status_code in (408, 429):
        return Unavailable(f"The model server failed ({response.status_code}): {_reason(response)}")
    return Conflict(f"The model server refused the request ({response.status_code}): {_reason(response)}")


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
