import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from inference.adapters import Replicas
from inference.answer import Answer, ask, stream
from knowledge.adapters import Version
from knowledge.errors import Conflict, CorruptAdapter, Unavailable
from tests.inference.conftest import MakeVersion, fact
from tests.inference.fake_vllm import FakeVllm, transport

T = TypeVar("T")
QUIST = fact("Marlowe Quist is a deep-sea photographer born in 1961.", minute=3)


def run(servers: list[FakeVllm], work: Callable[[Replicas], Awaitable[T]]) -> T:
    urls = [f"http://vllm{number}:1" for number in range(len(servers))]

    async def inner() -> T:
        async with Replicas(urls, transport(dict(zip(urls, servers, strict=True)))) as replicas:
            return await work(replicas)

    return asyncio.run(inner())


async def streamed(replicas: Replicas, version: Version | None = None) -> list[str | Answer]:
    return [piece async for piece in stream(replicas, "Who?", version)]


def test_without_a_version_the_base_model_answers_and_says_so() -> None:
    answer = run([FakeVllm()], lambda replicas: ask(replicas, "Who?", namespace="films"))
    assert (answer.text, answer.source, answer.version, answer.adapter) == ("base says hello.", "base", None, None)
    assert answer.namespace == "films"
    assert (answer.prompt_tokens, answer.completion_tokens) == (9, 3)


def test_a_version_answers_from_its_weights_and_is_named(make_version: MakeVersion) -> None:
    version = replace(make_version(), number=4)
    answer = run([FakeVllm()], lambda replicas: ask(replicas, "Who?", version))
    assert (answer.source, answer.version, answer.adapter) == ("weights", 4, version.adapter)
    assert answer.text.startswith(version.adapter)


def test_the_question_goes_to_the_model_as_it_is() -> None:
    server = FakeVllm()
    run([server], lambda replicas: ask(replicas, "  Who <b>is</b> she? "))
    assert server.questions == ["  Who <b>is</b> she? "]


def test_a_chat_token_in_the_question_does_not_reach_the_server_whole() -> None:
    server = FakeVllm()
    run([server], lambda replicas: ask(replicas, "Who?<|im_end|>"))
    assert "<|im_end|>" not in server.questions[0]


def test_a_restarted_server_is_given_the_adapter_again_and_the_question_once_more(make_version: MakeVersion) -> None:
    server, version = FakeVllm(), make_version()

    async def story(replicas: Replicas) -> Answer:
        await replicas.ensure(version)
        server.restart()
        return await ask(replicas, "Who?", version)

    assert run([server], story).source == "weights"


def test_an_adapter_whose_files_are_damaged_is_not_loaded_to_answer(make_version: MakeVersion) -> None:
    version = make_version()
    (Path(version.path) / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(CorruptAdapter):
        run([FakeVllm()], lambda replicas: ask(replicas, "Who?", version))


def test_a_server_without_the_base_model_is_unavailable_and_asked_once() -> None:
    server = FakeVllm(broken=True)
    with pytest.raises(Unavailable):
        run([server], lambda replicas: ask(replicas, "Who?"))
    assert server.calls["/v1/chat/completions"] == 1


def test_another_replica_answers_when_one_is_down() -> None:
    assert run([FakeVllm(down=True), FakeVllm()], lambda replicas: ask(replicas, "Who?")).text == "base says hello."


def test_requests_spread_over_the_replicas() -> None:
    servers = [FakeVllm(seconds=0.02), FakeVllm(seconds=0.02)]

    async def many(replicas: Replicas) -> None:
        await asyncio.gather(*(ask(replicas, "Who?") for _ in range(10)))

    run(servers, many)
    assert [server.calls["/v1/chat/completions"] for server in servers] == [5, 5]


def test_a_sick_replica_is_left_alone_while_another_is_well() -> None:
    down, up = FakeVllm(down=True), FakeVllm()

    async def many(replicas: Replicas) -> None:
        for _ in range(5):
            await ask(replicas, "Who?")

    run([down, up], many)
    assert down.calls.total() == 1


def test_a_refused_question_is_not_tried_on_every_replica() -> None:
    servers = [FakeVllm(), FakeVllm()]
    with pytest.raises(Conflict):
        run(servers, lambda replicas: ask(replicas, "x" * 6000))
    assert sum(server.calls.total() for server in servers) == 1


def test_a_client_that_leaves_stops_the_request() -> None:
    server = FakeVllm(seconds=30)

    async def story(replicas: Replicas) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(replicas, "Who?"), 0.02)
        assert server.open_requests == 0
        assert replicas.each[0].busy == 0

    run([server], story)


def test_a_stream_gives_pieces_and_then_the_answer(make_version: MakeVersion) -> None:
    version = make_version()
    *pieces, answer = run([FakeVllm()], lambda replicas: streamed(replicas, version))
    assert isinstance(answer, Answer)
    assert "".join(str(piece) for piece in pieces) == answer.text
    assert answer.version == version.number


def test_a_stream_that_has_begun_is_not_begun_again_elsewhere() -> None:
    servers = [FakeVllm(dies_midway=True), FakeVllm()]
    with pytest.raises(Unavailable):
        run(servers, streamed)
    assert servers[1].calls.total() == 0


def test_a_stream_that_fails_before_its_first_piece_comes_from_another_replica() -> None:
    assert run([FakeVllm(down=True), FakeVllm()], streamed)[0] == "base "


def test_a_stream_that_is_closed_early_frees_its_replica() -> None:
    async def story(replicas: Replicas) -> None:
        async with aclosing(stream(replicas, "Who?")) as pieces:
            await anext(pieces)
            assert replicas.each[0].busy == 1
        assert replicas.each[0].busy == 0

    run([FakeVllm()], story)


def test_a_pending_fact_that_fits_answers_from_its_text_by_the_base_model(make_version: MakeVersion) -> None:
    server, version = FakeVllm(), make_version()
    answer = run([server], lambda replicas: ask(replicas, "Who is Marlowe Quist?", version, [QUIST]))
    assert (answer.source, answer.version, answer.adapter, answer.fact_id) == ("pending", None, None, QUIST.id)
    assert QUIST.text in server.questions[0]
    assert answer.text.startswith("base")


def test_a_pending_fact_that_does_not_fit_leaves_the_answer_to_the_weights(make_version: MakeVersion) -> None:
    version = make_version()
    answer = run([FakeVllm()], lambda replicas: ask(replicas, "What is the capital of France?", version, [QUIST]))
    assert (answer.source, answer.fact_id) == ("weights", None)


def test_without_any_replica_a_question_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        run([], lambda replicas: ask(replicas, "Who?"))
