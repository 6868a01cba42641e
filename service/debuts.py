"""The first answer from each version that became live while this process runs: the last hop of its job's trace."""

import asyncio
import time

import structlog

from inference.answer import Answer
from knowledge import tracing
from knowledge.adapters import Version
from knowledge.errors import EngrainError
from knowledge.store import Store, jobs, now
from service.metrics import POST_TO_ANSWER_SECONDS
from service.threads import in_thread

log = structlog.get_logger()


class Debuts:
    """Remembers which versions have answered. Nobody waits for what is written down of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._since = now()
        self._seen: set[tuple[str, int]] = set()
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, version: Version | None, answer: Answer) -> None:
        """Notes an answer that is just there."""
        if version is None or version.activated_at is None or version.activated_at < self._since:
            return
        label = (version.namespace, version.number)
        if label not in self._seen:
            self._seen.add(label)
            task = asyncio.create_task(self._write(*label, time.time_ns(), answer))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Waits for what is being written."""
        await asyncio.gather(*self._writing)

    async def _write(self, namespace: str, number: int, ended: int, answer: Answer) -> None:
        try:
            job = await in_thread(jobs.of_version, self._store, namespace, number)
        except EngrainError as error:
            log.warning("could not note a version's first answer", error=str(error))
            return
        if job is None:
            return
        POST_TO_ANSWER_SECONDS.observe(ended / 1e9 - job.created_at.timestamp())
        if job.trace_parent:
            began = ended - int(answer.seconds * 1e9)
            tracing.record(
                "first answer",
                began,
                ended,
                parent=job.trace_parent,
                job_id=job.id,
                namespace=namespace,
                version=number,
                source=answer.source,
                tokens=answer.completion_tokens,
            )
