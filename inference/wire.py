"""HTTP/1.1 to a model server over kept connections, with as little as that takes.

httpx's own transport costs 1.1 to 1.7 ms of processor time a request on an AVX2 core, this one 0.3 to 0.4: a quarter of
what `/ask` added. It is an httpx transport all the same, so that tests and https addresses use others in its place.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

KEPT_SECONDS = 2.0
"""How long an unused connection is kept. vLLM closes its own after 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE): kept as long
here, a request now and then would go out on a connection that is just being closed, and fail."""

PIECE_BYTES = 65536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Wire(httpx.AsyncBaseTransport):
    """Connections to one server, opened as they are needed. Raises httpx's errors."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._idle: list[_Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request and reads the reply's head. Closing a reply early closes its connection."""
        timeout = request.extensions["timeout"]
        connection = self._kept() or await self._open(timeout["connect"])
        try:
            status, headers = await connection.send(request, timeout["read"])
        except BaseException:
            connection.close()
            raise
        return httpx.Response(status, headers=headers, stream=_Body(self, connection, status, headers))

    async def aclose(self) -> None:
        """Closes what is kept."""
        while self._idle:
            self._idle.pop().close()

    def keep(self, connection: "_Connection") -> None:
        """Takes a connection back whose reply was read to its end."""
        connection.idle_since = time.monotonic()
        self._idle.append(connection)

    def _kept(self) -> "_Connection | None":
        """The connection used last that is still open; those kept too long are closed."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            connection.close()
        return None

    async def _open(self, seconds: float) -> "_Connection":
        try:
            async with asyncio.timeout(seconds):
                return _Connection(*await self._connect())
        except TimeoutError as error:
            raise httpx.ConnectTimeout("connecting took too long") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error


class _Connection:
    """One connection, with at most one request under way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.idle_since = 0.0
        self.read_seconds = 0.0

    def is_stale(self) -> bool:
        """Whether the server closed it, or may be about to."""
        old = time.monotonic() - self.idle_since > KEPT_SECONDS
        return old or self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """At once, whatever is under way."""
        self._writer.transport.abort()

    async def send(self, request: httpx.Request, read_seconds: float) -> tuple[int, httpx.Headers]:
        """Status and headers of the reply. Interim replies are not asked for, so none comes."""
        self.read_seconds = read_seconds
        fields = b"".join(b"%s: %s\r\n" % field for field in request.headers.raw)
        line = b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        try:
            self._writer.write(b"%s%s\r\n%s" % (line, fields, request.content))
        except OSError as error:
            raise httpx.WriteError(str(error)) from error
        head = await self.read(self._reader.readuntil(b"\r\n\r\n"))
        first, *lines = head[:-4].split(b"\r\n")
        try:
            status = int(first.split(b" ", 2)[1])
            raw = [tuple(part.strip() for part in each.split(b":", 1)) for each in lines]
            return status, httpx.Headers([(name, value) for name, value in raw])
        except (ValueError, IndexError) as error:
            raise httpx.RemoteProtocolError("the reply is not HTTP") from error

    async def read(self, reading: Awaitable[bytes]) -> bytes:
        """What comes within the request's read timeout."""
        try:
            async with asyncio.timeout(self.read_seconds):
                return await reading
        except TimeoutError as error:
            raise httpx.ReadTimeout("nothing came for too long") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise httpx.ReadError(f"the connection broke off: {error}") from error

    async def counted(self, length: int) -> AsyncIterator[bytes]:
        """A body of known length."""
        while length:
            piece = await self.read(self._reader.read(min(length, PIECE_BYTES)))
            if not piece:
                raise httpx.ReadError("the connection broke off in the body")
            length -= len(piece)
            yield piece

    async def chunked(self) -> AsyncIterator[bytes]:
        """A body in chunks."""
        while True:
            line = await self.read(self._reader.readuntil(b"\r\n"))
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError as error:
                raise httpx.RemoteProtocolError("a chunk without its size") from error
            if not size:
                while await self.read(self._reader.readuntil(b"\r\n")) != b"\r\n":
                    pass  # trailers
                return
            yield (await self.read(self._reader.readexactly(size + 2)))[:-2]

    async def to_the_end(self) -> AsyncIterator[bytes]:
        """A body that ends with the connection."""
        while piece := await self.read(self._reader.read(PIECE_BYTES)):
            yield piece


class _Body(httpx.AsyncByteStream):
    """A reply's body; gives the connection back when it was read whole."""

    def __init__(self, wire: Wire, connection: _Connection, status: int, headers: httpx.Headers) -> None:
        self._wire, self._connection, self._status, self._headers = wire, connection, status, headers
        self._whole = False
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        kept = self._headers.get("connection", "").lower() != "close"
        if self._status in (204, 304):
            pieces = self._connection.counted(0)
        elif self._headers.get("transfer-encoding", "").lower() == "chunked":
            pieces = self._connection.chunked()
        elif "content-length" in self._headers:
            pieces = self._connection.counted(int(self._headers["content-length"]))
        else:
            pieces, kept = self._connection.to_the_end(), False
        async for piece in pieces:
            yield piece
        self._whole = kept

    async def aclose(self) -> None:
        """Keeps the connection, or closes it when there is more to come on it."""
        if self._closed:
            return
        self._closed = True
        if self._whole:
            self._wire.keep(self._connection)
        else:
            self._connection.close()
