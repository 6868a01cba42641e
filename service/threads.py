"""Blocking work of a background task, in a thread that the task never leaves behind."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

P = ParamSpec("P")
Result = TypeVar("Result")


async def in_thread(work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Like `run_in_threadpool`, but when cancelled it ends only after the work: its connection is back by then."""
    running = asyncio.ensure_future(run_in_threadpool(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
