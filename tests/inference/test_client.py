import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from inference.client import Completion, Manner, Message, VllmClient
from knowledge.errors import Conflict, NotFound, Unavailable
from tests.inference.fake_vllm import FakeVllm, transport

URL = "http://vllm:8001"
HELLO: list[Message] = [{"role": "user", "content": "Hello?"}]
T = TypeVar("T")


def with_client(server: FakeVllm, work: Callable[[VllmClient], Awaitable[T]]) -> T:
    async def run() -> T:
        client = VllmClient(URL, transport({URL: server}))
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def pieces(client: VllmClient, model: str = "base") -> list[str | Completion]:
    return [piece async for piece in client.stream(model, HELLO, Manner(9))]


def test_an_answer_comes_with_its_tokens_and_why_it_ended() -> None:
    found = with_client(FakeVllm(), lambda client: client.chat("base", HELLO, max_tokens=9))
    assert found == Completion("base says hello.", 9, 3, "stop")


def test_a_stream_gives_its_pieces_and_then_the_same_completion() -> None:
    assert with_client(FakeVllm(), pieces) == ["base ", "says ", "hello.", Completion("base says hello.", 9, 3, "stop")]


def test_a_model_that_the_server_lacks_is_not_found_also_when_streamed() -> None:
    with pytest.raises(NotFound):
        with_client(FakeVllm(), lambda client: client.chat("gone", HELLO, max_tokens=9))
    with pytest.raises(NotFound):
        with_client(FakeVllm(), lambda client: pieces(client, "gone"))


@pytest.mark.parametrize("server", [FakeVllm(down=True), FakeVllm(broken=True)], ids=["down", "broken"])
def test_a_server_that_is_down_or_fails_inside_is_unavailable_in_every_call(server: FakeVllm) -> None:
    calls: list[Callable[[VllmClient], Awaitable[object]]] = [
        lambda client: client.health(),
        lambda client: client.models(),
        lambda client: client.unload("a"),
        lambda client: client.chat("base", HELLO, max_tokens=1),
        lambda client: client.logprobs("base", HELLO, max_tokens=1),
        lambda client: pieces(client),
    ]
    for call in calls:
        with pytest.raises(Unavailable):
            with_client(server, call)


def test_a_stream_that_breaks_off_is_unavailable_and_never_a_short_answer() -> None:
    with pytest.raises(Unavailable):
        with_client(FakeVllm(dies_midway=True), pieces)


def test_a_stream_that_ends_without_its_last_event_is_unavailable() -> None:
    async def cut(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, content=b'data: {"choices": [{"delta": {"content": "half"}, "finish_reason": null}]}\n\n'
        )

    async def run() -> None:
        client = VllmClient(URL, httpx.MockTransport(cut))
        await pieces(client)

    with pytest.raises(Unavailable, match="too early"):
        asyncio.run(run())


def test_loading_twice_from_the_same_path_is_no_error_and_is_told_apart() -> None:
    server = FakeVllm()

    async def twice(client: VllmClient) -> tuple[bool, bool]:
        return await client.load("a", "/adapters/a"), await client.load("a", "/adapters/a")

    assert with_client(server, twice) == (True, False)


def test_a_name_that_stands_for_other_files_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        with_client(FakeVllm(adapters={"a": "/old/a"}), lambda client: client.load("a", "/new/a"))


def test_an_adapter_that_the_server_cannot_take_is_a_conflict_with_its_reason() -> None:
    with pytest.raises(Conflict, match="rank 64"):
        with_client(FakeVllm(refused={"a"}), lambda client: client.load("a", "/adapters/a"))


def test_files_that_the_server_does_not_see_are_not_found() -> None:
    with pytest.raises(NotFound):
        with_client(FakeVllm(missing_files={"a"}), lambda client: client.load("a", "/adapters/a"))


def test_a_relative_path_never_reaches_the_server_which_would_download_it() -> None:
    server = FakeVllm()
    with pytest.raises(ValueError, match="not absolute"):
        with_client(server, lambda client: client.load("a", "adapters/a"))
    assert not server.calls


def test_models_are_the_base_and_the_adapters_and_only_adapters_have_paths() -> None:
    server = FakeVllm(adapters={"a": "/adapters/a"})
    assert with_client(server, lambda client: client.models()) == ["base", "a"]
    assert with_client(server, lambda client: client.adapters()) == {"a": "/adapters/a"}


def test_unloading_says_whether_it_was_there() -> None:
    server = FakeVllm(adapters={"a": "/adapters/a"})
    assert with_client(server, lambda client: client.unload("a")) is True
    assert with_client(server, lambda client: client.unload("a")) is False


def test_a_question_longer_than_the_model_reads_is_a_conflict_and_no_outage() -> None:
    messages: list[Message] = [{"role": "user", "content": "x" * 6000}]
    with pytest.raises(Conflict, match="context length"):
        with_client(FakeVllm(), lambda client: client.chat("base", messages, max_tokens=9))


def test_no_proxy_of_the_environment_sees_the_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")

    async def trusts_the_environment() -> bool:
        transport = VllmClient(URL)._transport
        assert isinstance(transport, AiohttpTransport)
        async with transport.get_client() as session:
            return bool(session.trust_env)

    assert asyncio.run(trusts_the_environment()) is False


def test_a_server_behind_a_path_is_asked_below_it() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"data": []})

    async def models() -> list[str]:
        client = VllmClient("http://gpu:8001/replica-1/", httpx.MockTransport(answer))
        return await client.models()

    assert asyncio.run(models()) == []
    assert asked == ["http://gpu:8001/replica-1/v1/models"]
