"""A vLLM server in memory, as its 0.32 source and a real one answer. Plug `transport(...)` into `Replicas`."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

HAS_NO_EFFECT = "noop"
"""An adapter with this in its name answers like the base model."""


@dataclass
class FakeVllm:
    """`adapters` maps names to paths. `down` refuses connections; `broken` answers 500 to everything."""

    adapters: dict[str, str] = field(default_factory=dict)
    missing_files: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    down: bool = False
    broken: bool = False
    dies_midway: bool = False
    seconds: float = 0.0
    seconds_a_piece: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    questions: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    open_requests: int = 0

    def kill(self) -> None:
        """Cuts off what is in flight, and refuses connections, until `restart`."""
        self.down = True

    def restart(self) -> None:
        """Comes (back) up, without any adapter that was loaded at run time."""
        self.adapters.clear()
        self.down = False

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.calls[request.url.path] += 1
        if self.down:
            raise httpx.ConnectError("nobody listens")
        if self.broken:
            return _error(500, "engine dead")
        body = json.loads(request.content or b"{}")
        match request.url.path:
            case "/health":
                return httpx.Response(200)
            case "/v1/models":
                return httpx.Response(200, json={"object": "list", "data": self._cards()})
            case "/v1/load_lora_adapter":
                return self._load(body["lora_name"], body["lora_path"])
            case "/v1/unload_lora_adapter":
                if self.adapters.pop(body["lora_name"], None) is None:
                    return _error(404, f"The lora adapter '{body['lora_name']}' cannot be found.")
                return httpx.Response(200, text="Success")
            case "/v1/chat/completions":
                return await self._chat(body)
            case "/v1/completions":
                return self._score(body)
        return _error(404, "Not Found")

    def _cards(self) -> list[dict[str, Any]]:
        loaded = [{"id": name, "root": path, "parent": "base"} for name, path in self.adapters.items()]
        return [{"id": "base", "root": "/models/base", "parent": None}, *loaded]

    def _load(self, name: str, path: str) -> httpx.Response:
        if name in self.adapters:
            return _error(400, f"The lora adapter '{name}' has already been loaded.")
        if name in self.missing_files:
            return _error(404, f"No adapter found for {path}")
        if name in self.refused:
            return _error(500, "LoRA rank 64 is greater than max_lora_rank 32.")
        self.adapters[name] = path
        return httpx.Response(200, text=f"Success: LoRA adapter '{name}' added successfully.")

    async def _chat(self, body: Mapping[str, Any]) -> httpx.Response:
        model, question = body["model"], body["messages"][-1]["content"]
        if model != "base" and model not in self.adapters:
            return _error(404, f"The model `{model}` does not exist.")
        if len(question) > 5000:
            return _error(400, "This model's maximum context length is 2048 tokens.")
        self.questions.append(question)
        self.bodies.append(dict(body))
        self.open_requests += 1
        try:
            await self._work()
        finally:
            self.open_requests -= 1
        words = self.words(model, question)[: body["max_tokens"]]
        usage = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 9 + len(words)}
        if body.get("stream"):
            return httpx.Response(200, stream=_Chunks(self, words, usage))
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": "".join(words)}, "finish_reason": "stop"}
        if body.get("logprobs"):
            shift = 0.0 if model == "base" or HAS_NO_EFFECT in model else 2.0
            tops = [{"token": "a", "logprob": -0.5 - shift / 4}, {"token": "b", "logprob": -4.0 + shift}]
            choice["logprobs"] = {"content": [{"logprob": tops[0]["logprob"], "top_logprobs": tops} for _ in words]}
        reply: dict[str, Any] = {"choices": [choice], "usage": usage}
        if body.get("return_token_ids"):
            reply["prompt_token_ids"] = list(range(9))
            choice["token_ids"] = [ord(word[0]) for word in words]
        return httpx.Response(200, json=reply)

    def words(self, model: str, question: str) -> list[str]:
        """What a model answers."""
        return [f"{model} ", "says ", "hello."]

    async def _work(self) -> None:
        ends = time.monotonic() + self.seconds
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.005))
            if self.down:
                raise httpx.ReadError("the server died")

    def _score(self, body: Mapping[str, Any]) -> httpx.Response:
        """The base model gives each next token of an answer of this server -3, its own likeliest -0.1."""
        choices = [
            {"index": number, "logprobs": {"top_logprobs": [{"token_id:0": -0.1, "token_id:1": -3.0}]}}
            for number in range(len(body["prompt"]))
        ]
        return httpx.Response(200, json={"choices": choices[::-1]})


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, server: FakeVllm, words: list[str], usage: dict[str, int]) -> None:
        self._server, self._words, self._usage = server, words, usage

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield _event({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        self._server.open_requests += 1
        try:
            for number, word in enumerate(self._words):
                yield _event({"choices": [{"delta": {"content": word}, "finish_reason": None}]})
                if self._server.dies_midway and number == 0:
                    raise httpx.ReadError("connection lost")
                await asyncio.sleep(self._server.seconds_a_piece)
            yield _event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            yield _event({"choices": [], "usage": self._usage})
            yield b"data: [DONE]\n\n"
        finally:
            self._server.open_requests -= 1


def transport(servers: Mapping[str, FakeVllm]) -> httpx.MockTransport:
    """Sends each request to the fake of its host and port."""

    async def handle(request: httpx.Request) -> httpx.Response:
        return await servers[f"{request.url.scheme}://{request.url.netloc.decode()}"].handle(request)

    return httpx.MockTransport(handle)


def _event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _error(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "type": "x", "param": None, "code": status}})
