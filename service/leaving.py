"""Stops the work for a client that has left, so that its place in the model's batch is free."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from service.problems import ProblemError

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; cancels it when the connection closes first, which FastAPI does not do by itself.

    Cancelled work closes its connection to vLLM, which then aborts the request. Raises a problem of status 499, which
    nobody reads but the log and the metrics.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(_closed(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ProblemError(499, "client-left", "The client left", "The client closed the connection.")
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _closed(request: Request) -> None:
    """Returns when the connection is closed. The body has been read, so that no other message can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
