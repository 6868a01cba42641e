"""The connections to a model server, over a Unix socket to a server that says just what a test wants."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from inference import wire
from inference.wire import Wire

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\nt: 1\r\n\r\n"
Seen = list[bytes]


def talk(replies: list[bytes | None], work: Callable[[Wire], Awaitable[None]]) -> tuple[int, Seen]:
    """Gives each request the next reply (None: closes without one); how many connections came, and the requests."""
    connections, seen, left = [0], Seen(), list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        try:
            while left and (head := await reader.readuntil(b"\r\n\r\n")):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                seen.append(head + (await reader.readexactly(int(length[0].split(b":")[1])) if length else b""))
                reply = left.pop(0)
                if reply is None:
                    break
                writer.write(reply)
                if reply.endswith(b"!"):
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def story(path: str) -> None:
        server = await asyncio.start_unix_server(serve, path)
        transport = Wire(lambda: asyncio.open_unix_connection(path))
        try:
            await work(transport)
        finally:
            await transport.aclose()
            server.close()
            await server.wait_closed()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(story(str(Path(folder) / "vllm.sock")))
    return connections[0], seen


async def ask(transport: Wire, content: bytes | None = None, read: float = 5.0) -> bytes:
    timeout = {"connect": 1.0, "read": read}
    request = httpx.Request("POST", "http://vllm:1/v1/x?y=1", content=content, extensions={"timeout": timeout})
    response = await transport.handle_async_request(request)
    try:
        return await response.aread()
    finally:
        await response.aclose()


def test_replies_of_known_length_and_in_chunks_are_read_over_one_connection() -> None:
    async def work(transport: Wire) -> None:
        assert [await ask(transport, b"hello") for _ in range(3)] == [b"{}", b"abcde", b"{}"]

    connections, seen = talk([JSON, CHUNKED, JSON], work)
    assert connections == 1
    assert seen[0].startswith(b"POST /v1/x?y=1 HTTP/1.1\r\nHost: vllm:1\r\n")
    assert seen[0].endswith(b"\r\n\r\nhello")


def test_requests_at_once_have_connections_of_their_own() -> None:
    async def work(transport: Wire) -> None:
        await asyncio.gather(*(ask(transport) for _ in range(5)))
        await asyncio.gather(*(ask(transport) for _ in range(5)))

    assert talk([JSON] * 10, work)[0] == 5


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async def work(transport: Wire) -> None:
        assert await ask(transport) == b"all!"
        assert await ask(transport) == b"{}"

    assert talk([b"HTTP/1.1 200 OK\r\n\r\nall!", JSON], work)[0] == 2


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async def work(transport: Wire) -> None:
        assert await ask(transport) == b"{}!"
        await asyncio.sleep(0.05)
        assert await ask(transport) == b"{}"

    assert talk([b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}!", JSON], work)[0] == 2


def test_a_connection_is_left_before_the_server_would_close_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "KEPT_SECONDS", 0.01)

    async def work(transport: Wire) -> None:
        await ask(transport)
        await asyncio.sleep(0.05)
        await ask(transport)

    assert talk([JSON, JSON], work)[0] == 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (None, httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf!", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf!", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnine\r\n", httpx.RemoteProtocolError),
        (b"hello\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow", httpx.ReadTimeout),
    ],
)
def test_a_reply_that_is_cut_off_slow_or_no_http_is_an_error_and_its_connection_is_not_kept(
    reply: bytes | None, error: type[Exception]
) -> None:
    async def work(transport: Wire) -> None:
        with pytest.raises(error):
            await ask(transport, read=0.2)
        assert await ask(transport) == b"{}"

    assert talk([reply, JSON], work)[0] == 2


def test_a_server_that_does_not_listen_is_a_connect_error() -> None:
    async def work(_transport: Wire) -> None:
        with pytest.raises(httpx.ConnectError):
            await ask(Wire(lambda: asyncio.open_unix_connection("/nowhere/vllm.sock")))

    talk([], work)


def test_a_request_that_is_given_up_closes_its_connection() -> None:
    async def work(transport: Wire) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(transport), 0.1)
        assert transport._idle == []

    talk([b"", b""], work)
