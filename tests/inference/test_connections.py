"""Connections to a model server that breaks off, over a Unix socket to one that says just what a test wants."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from httpx_aiohttp import AiohttpTransport

from inference.client import Manner, Message, VllmClient
from knowledge.errors import Unavailable

MODELS = b'{"data": [{"id": "base", "root": "/base"}]}'
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(MODELS), MODELS)
PIECE = b'data: {"choices": [{"delta": {"content": "Ada"}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(PIECE), PIECE)
Result = TypeVar("Result")


def talk(replies: list[bytes], work: Callable[[VllmClient], Awaitable[Result]]) -> tuple[Result, list[bool]]:
    """Each connection answers its requests with the next replies; the last stays open until the client leaves.

    Also tells of each connection whether the client closed it.
    """
    left, ended = list(replies), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                reply = left.pop(0)
                writer.write(reply.removesuffix(b"<end>"))
                if reply.endswith(b"<end>"):
                    break
        except asyncio.IncompleteReadError:
            ended.append(True)
        finally:
            writer.close()

    async def story(path: str) -> Result:
        server = await asyncio.start_unix_server(serve, path)
        client = VllmClient("http://vllm:1", AiohttpTransport(uds=path))
        try:
            return await work(client)
        finally:
            await client.close()
            await asyncio.sleep(0.05)
            server.close()

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(story(str(Path(folder) / "vllm.sock"))), ended


def test_a_reply_is_read_whole_and_its_connection_used_again() -> None:
    async def work(client: VllmClient) -> list[list[str]]:
        return [await client.models() for _ in range(3)]

    found, ended = talk([WHOLE] * 3, work)
    assert found == [["base"]] * 3
    assert len(ended) == 1


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (b"<end>", "ServerDisconnectedError"),
        (b"220 mail ready\r\n\r\n<end>", "HttpProcessingError"),
        (WHOLE[:-5] + b"<end>", "ClientPayloadError"),
        (b"HTTP/1.1 nonsense\r\n\r\n<end>", "HttpProcessingError"),
    ],
    ids=["no reply", "not HTTP", "half a body", "no status"],
)
def test_a_broken_reply_is_an_outage_and_names_what_broke(reply: bytes, name: str) -> None:
    async def work(client: VllmClient) -> None:
        with pytest.raises(Unavailable, match=name):
            await client.models()

    talk([reply] * 3, work)


def test_a_stream_that_breaks_off_is_an_outage() -> None:
    messages: list[Message] = [{"role": "user", "content": "Who?"}]

    async def work(client: VllmClient) -> None:
        pieces = client.stream("base", messages, Manner())
        assert await anext(pieces) == "Ada"
        with pytest.raises(Unavailable):
            await anext(pieces)

    talk([STREAM + b"<end>"], work)


def test_leaving_a_stream_closes_its_connection() -> None:
    messages: list[Message] = [{"role": "user", "content": "Who?"}]

    async def work(client: VllmClient) -> None:
        pieces = client.stream("base", messages, Manner())
        assert await anext(pieces) == "Ada"
        await pieces.aclose()
        await asyncio.sleep(0.05)

    assert talk([STREAM], work)[1] == [True]
