"""The Celery app. Nothing here imports torch: training runs in a process of its own."""

import os
import socket
import threading

import structlog
from celery import Celery, Task
from celery.signals import worker_ready, worker_shutting_down
from opentelemetry.trace import SpanKind

from inference import metrics
from knowledge import tracing
from knowledge.errors import EngrainError
from knowledge.jobs import INJECT_TASK, QUEUE
from knowledge.logs import configure
from knowledge.settings import Settings
from knowledge.store import Store, jobs, versions
from worker.cleaning import clean
from worker.injection import Workplace, inject

log = structlog.get_logger()

SEEN_SECONDS = 15.0
TIDY_SECONDS = 600.0
# A message that is not acknowledged for this long is delivered again; the lease makes that harmless.
VISIBILITY_SECONDS = 24 * 3600


def create_app(settings: Settings) -> Celery:
    """A Celery app with the one task. The store is the truth, so there is no result backend."""
    app = Celery("engrain", broker=settings.broker)
    app.conf.update(
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # our lines are JSON as they are
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
    )
    place = Workplace(
        settings=settings,
        store=Store(settings.store),
        name=f"{socket.gethostname()}-{os.getpid()}",
        stop=threading.Event(),
    )

    @app.task(name=INJECT_TASK, bind=True)  # type: ignore[untyped-decorator]
    def inject_task(task: Task, job_id: str) -> None:
        """Teaches one job, then wakes the job that gathered posts meanwhile."""
        sender = (task.request.headers or {}).get(tracing.HEADER)
        parent = sender or (jobs.trace_parent(place.store, job_id) if tracing.is_on(settings) else None)
        with (
            structlog.contextvars.bound_contextvars(job_id=job_id),
            tracing.span("teach job", parent=parent, kind=SpanKind.CONSUMER, job_id=job_id),
        ):
            following = inject(place, job_id)
        if following is not None and not place.stop.is_set():
            inject_task.delay(following)
            jobs.mark_sent(place.store, following)
        _retire_old(place)

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def _ready(**_kwargs: object) -> None:
        for duty in (_show_life, _tidy):
            threading.Thread(target=duty, args=(place,), daemon=True).start()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def _stop(**_kwargs: object) -> None:
        place.stop.set()

    return app


def _retire_old(place: Workplace) -> None:
    """After each job, because a namespace that is always busy would else never be looked at."""
    try:
        versions.delete_old(place.store, keep=place.settings.keep_versions)
    except EngrainError as error:
        log.warning("could not delete old versions", error=str(error))


def _show_life(place: Workplace) -> None:
    while True:
        try:
            jobs.see_worker(place.store, place.name)
        except EngrainError as error:
            log.warning("could not write the heartbeat", error=str(error))
        if place.stop.wait(SEEN_SECONDS):
            return


def _tidy(place: Workplace) -> None:
    while True:
        try:
            if gone := clean(place.settings, place.store):
                log.info("cleaned up what crashes left", gone=gone)
        except (EngrainError, OSError) as error:
            log.warning("could not clean up", error=str(error))
        if place.stop.wait(TIDY_SECONDS):
            return


def main() -> None:
    """Serves jobs until SIGTERM, one at a time. Threads, not forks: CUDA never starts in a process that forks."""
    configure()
    try:
        settings = Settings.read()
        tracing.configure(settings, "worker")
    except EngrainError as error:
        raise SystemExit(f"engrain: {error}") from error
    if settings.worker_metrics_address:
        metrics.serve(settings.worker_metrics_address, metrics.PROCESS)
    create_app(settings).worker_main(
        ["worker", "--pool=threads", "--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=warning"]
    )
