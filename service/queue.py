"""Hands jobs to Celery after the commit, and sends again what the broker lost. Only the job id and its trace cross."""

import asyncio

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from opentelemetry.trace import SpanKind

from knowledge import faults, tracing
from knowledge.errors import EngrainError, Unavailable
from knowledge.jobs import INJECT_TASK, QUEUE
from knowledge.settings import Settings
from knowledge.store import Store, jobs
from service.threads import in_thread

log = structlog.get_logger()

RELAY_SECONDS = 5.0


class Queue:
    """The broker, as seen from the service."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._traced = tracing.is_on(settings)
        self._stale_seconds = settings.resend_seconds
        self._celery = Celery(broker=settings.broker)
        self._celery.conf.update(
            broker_connection_timeout=2.0,
            broker_transport_options={"socket_connect_timeout": 2.0, "socket_timeout": 5.0},
            task_ignore_result=True,
            task_publish_retry=False,
        )

    def send(self, job_id: str) -> bool:
        """Sends a job's id. False when the broker is down: the relay sends it later, and the job is kept all along."""
        parent = jobs.trace_parent(self._store, job_id) if self._traced else None
        with tracing.span("send job", parent=parent, kind=SpanKind.PRODUCER, job_id=job_id):
            headers = {tracing.HEADER: tracing.here()} if parent else None
            try:
                self._celery.send_task(INJECT_TASK, args=[job_id], queue=QUEUE, ignore_result=True, headers=headers)
            except (OperationalError, OSError) as error:
                log.warning("the broker is down; the job will be sent later", job_id=job_id, error=str(error))
                return False
            faults.point("send.after_send")
            jobs.mark_sent(self._store, job_id)
        return True

    def check(self) -> None:
        """Raises `Unavailable` when the broker does not answer."""
        try:
            with self._celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0, timeout=2.0)
        except (OperationalError, OSError) as error:
            raise Unavailable("The broker does not answer.") from error

    def send_stale(self) -> int:
        """Sends what was never sent, was sent long ago and never claimed, or was left by a dead worker."""
        return sum(self.send(job_id) for job_id in jobs.to_send(self._store, stale_seconds=self._stale_seconds))

    async def relay(self) -> None:
        """Runs `send_stale` every few seconds until cancelled."""
        while True:
            try:
                await in_thread(self.send_stale)
            except EngrainError as error:
                log.warning("could not look for unsent jobs", error=str(error))
            await asyncio.sleep(min(RELAY_SECONDS, self._stale_seconds))
