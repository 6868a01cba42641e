"""Two replicas under load, one of which is killed and comes back empty."""

import asyncio
from collections import Counter
from dataclasses import replace

from inference.adapters import Replicas, reconcile
from inference.answer import Answer, ask, stream
from knowledge.adapters import Version
from tests.inference.conftest import MakeVersion
from tests.inference.fake_vllm import FakeVllm, transport

URLS = ("http://vllm0:1", "http://vllm1:1")


async def load(replicas: Replicas, version: Version, stop: asyncio.Event, answers: list[Answer]) -> None:
    """Eight clients that ask without a pause, half of them streaming; whatever is raised ends the test."""

    async def client(number: int) -> None:
        while not stop.is_set():
            if number % 2:
                answers.append(await ask(replicas, "Who?", version))
            else:
                pieces = [piece async for piece in stream(replicas, "Who?", version)]
                assert isinstance(pieces[-1], Answer)
                answers.append(pieces[-1])

    await asyncio.gather(*(client(number) for number in range(8)))


def test_no_request_fails_when_a_replica_is_killed_and_its_adapters_come_back_by_themselves(
    make_version: MakeVersion,
) -> None:
    servers, version = [FakeVllm(seconds=0.03), FakeVllm(seconds=0.03)], make_version()
    answers: list[Answer] = []

    async def story() -> None:
        async with Replicas(URLS, transport(dict(zip(URLS, servers, strict=True)))) as replicas:
            await replicas.ensure(version)
            stop = asyncio.Event()
            asking = asyncio.create_task(load(replicas, version, stop, answers))
            await asyncio.sleep(0.1)
            assert servers[0].open_requests > 0
            servers[0].kill()
            await asyncio.sleep(0.3)
            assert servers[0].open_requests == 0
            served_alone = servers[1].calls["/v1/chat/completions"]
            await asyncio.sleep(0.2)
            assert servers[1].calls["/v1/chat/completions"] > served_alone
            servers[0].restart()
            before = servers[0].calls["/v1/chat/completions"]
            await reconcile(replicas, [version])
            assert servers[0].adapters == {version.adapter: version.path}
            await asyncio.sleep(1.2)  # its rest after the failures ends
            stop.set()
            await asking
            assert servers[0].calls["/v1/chat/completions"] > before + 10

    asyncio.run(story())
    assert Counter(answer.adapter for answer in answers) == {version.adapter: len(answers)}
    assert len(answers) > 50


def test_a_replica_that_came_back_empty_is_given_the_adapter_by_the_first_question_too(
    make_version: MakeVersion,
) -> None:
    servers, version = [FakeVllm(), FakeVllm()], make_version()

    async def story() -> None:
        async with Replicas(URLS, transport(dict(zip(URLS, servers, strict=True)))) as replicas:
            await replicas.ensure(version)
            servers[0].kill()
            servers[0].restart()
            answers = await asyncio.gather(*(ask(replicas, "Who?", version) for _ in range(16)))
            assert {answer.adapter for answer in answers} == {version.adapter}

    asyncio.run(story())
    assert [set(server.adapters) for server in servers] == [{version.adapter}] * 2


def test_a_version_published_while_a_replica_was_down_is_on_it_after_it_came_back(make_version: MakeVersion) -> None:
    servers, old = [FakeVllm(), FakeVllm()], make_version()
    new = replace(make_version("default-v2"), number=2)

    async def story() -> None:
        async with Replicas(URLS, transport(dict(zip(URLS, servers, strict=True)))) as replicas:
            await replicas.ensure(old)
            servers[1].kill()
            await replicas.ensure(new)
            servers[1].restart()
            await reconcile(replicas, [new])

    asyncio.run(story())
    assert new.adapter in servers[0].adapters
    assert set(servers[1].adapters) == {new.adapter}
