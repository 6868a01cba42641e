"""The story of one job: claim, train, publish the files, load, probe, make live."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from inference.adapters import Replicas
from knowledge import faults, tracing
from knowledge.adapters import Manifest, Version, VersionStatus, publish_files
from knowledge.errors import (
    Conflict,
    CorruptAdapter,
    DiskFull,
    EngrainError,
    InjectionFailed,
    InvalidRecipe,
    LeaseLost,
    Unavailable,
    is_disk_full,
)
from knowledge.facts import Fact, FactStatus
from knowledge.jobs import Job, JobStatus, Lease, Progress
from knowledge.probes import ProbeResult
from knowledge.recipes import Recipe, by_name
from knowledge.settings import Settings
from knowledge.store import Store, facts, jobs, now, versions
from worker.cleaning import CHECKPOINT, forget_leftovers
from worker.metrics import ATTEMPTS, POST_TO_LIVE_SECONDS, PROBES, PROBING_SECONDS, PUBLISH_SECONDS, TrainingWatch
from worker.proof import is_known, prove
from worker.spec import Lesson, TrainingSpec
from worker.training_process import Stopped, train

log = structlog.get_logger()

RENEW_SECONDS = 5.0
"""A cancellation is noticed within this time also while nothing is reported."""

PATIENCE_SECONDS = 120.0
"""How long a trained candidate waits for a model server; a restart takes 25 s."""

LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Workplace:
    """What a worker process works with. `stop` is set when it is asked to end."""

    settings: Settings
    store: Store
    name: str
    stop: threading.Event


def inject(place: Workplace, job_id: str) -> str | None:
    """Teaches the facts of a job; returns the id of the namespace's next queued job, if one waits.

    A job that another worker holds, or that has ended, is left alone. A fault that may pass gives the job back to the
    queue; one that will not ends it as `failed`, with the reason on the job and its facts kept.
    """
    settings, store = place.settings, place.store
    lease = jobs.claim(
        store, job_id, place.name, lease_seconds=settings.lease_seconds, max_attempts=settings.max_attempts
    )
    if lease is None:
        return None
    job = jobs.get(store, job_id)
    tracing.note(namespace=job.namespace, version=job.version, attempt=job.attempts)
    with structlog.contextvars.bound_contextvars(namespace=job.namespace, version=job.version):
        log.info("claimed", facts=len(job.fact_ids), attempt=job.attempts)
        try:
            over = _attempt(place, lease, job)
        except LeaseLost:
            log.info("the lease was lost; another worker or a cancellation took the job")
            over = True
        _count(jobs.get(store, job_id))
    return jobs.queued_in(store, job.namespace) if over else None


def _attempt(place: Workplace, lease: Lease, job: Job) -> bool:
    """Whether the job is over, well or as `failed`; False when it was given back. Raises `LeaseLost`."""
    store = place.store
    pause = place.settings.retry_seconds
    try:
        faults.point("job.claimed")
        with _kept(place, lease) as lost:
            _teach(place, lease, job, lost)
    except LeaseLost:
        raise
    except Stopped:
        jobs.release(store, lease, "The worker was asked to stop.", counts=False)
        return False
    except DiskFull as error:
        log.warning("the disk is full; given back")
        jobs.release(store, lease, str(error), retry_seconds=pause, counts=False)
        return False
    except (InjectionFailed, InvalidRecipe, CorruptAdapter, Conflict) as error:
        log.warning("failed", error=str(error))
        jobs.fail(store, lease, str(error))
    except Unavailable as error:
        log.warning("given back", error=str(error))
        jobs.release(store, lease, str(error), retry_seconds=pause)
        return False
    except Exception as error:
        log.exception("unexpected error; given back")
        jobs.release(store, lease, f"{type(error).__name__}: {error}", retry_seconds=pause)
        return False
    return True


def _teach(place: Workplace, lease: Lease, job: Job, lost: threading.Event) -> None:
    settings, store = place.settings, place.store
    recipe = by_name(settings.recipe)
    live = versions.live(store, job.namespace)
    new, kept = _facts_to_hold(store, job, live)
    name = f"{job.namespace}-v{job.version}-{job.id.removeprefix('job_')}-{lease.token}"
    temporary = settings.adapters_folder / f".making-{name}"
    final = settings.adapters_folder / name
    checkpoint = settings.adapters_folder / f"{CHECKPOINT}{job.id.removeprefix('job_')}"
    watch = TrainingWatch()
    try:
        jobs.advance(store, lease, JobStatus.TRAINING)
        forget_leftovers(settings.adapters_folder, job.id)
        temporary.mkdir(parents=True)
        train(
            TrainingSpec(
                base_model=settings.base_model_folder,
                recipe=recipe,
                lessons=_lessons(new, kept),
                warm_start=live.path if live and set(live.fact_ids) <= {fact.id for fact in kept} else None,
                output=str(temporary),
                seed=job.version,
                threads=settings.training_threads,
                checkpoint=str(checkpoint),
                memory_gib=settings.training_memory_gib,
            ),
            niceness=settings.training_niceness,
            silent_seconds=settings.training_silent_seconds,
            most_seconds=settings.training_seconds,
            on_progress=lambda progress: _report(store, lease, watch, progress),
            on_log=lambda text: _tell(lambda: jobs.log(store, lease, text)),
            should_stop=lambda: place.stop.is_set() or lost.is_set(),
        )
        jobs.advance(store, lease, JobStatus.PROBING)
        candidate = _publish_files(settings, job, recipe, [*new, *kept], temporary, final)
        versions.add_candidate(store, lease, candidate)
        faults.point("candidate.after_commit")
        results = _proved(place, candidate, [*new, *kept], lost)
        faults.point("probe.asked")
        _conclude(store, lease, candidate, new, results)
        checkpoint.unlink(missing_ok=True)
    except OSError as error:
        if is_disk_full(error) and not isinstance(error, EngrainError):
            raise DiskFull(f"The disk is full ({error.strerror}). It is tried again until there is room.") from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _count(job: Job) -> None:
    """Counts an attempt that is over by what became of its job."""
    ATTEMPTS.labels(job.status.value).inc()
    tracing.note(status=job.status.value)
    if job.status == JobStatus.SUCCEEDED and job.ended_at is not None:
        POST_TO_LIVE_SECONDS.observe((job.ended_at - job.created_at).total_seconds())


def _report(store: Store, lease: Lease, watch: TrainingWatch, progress: Progress) -> None:
    watch.see(progress)
    _tell(lambda: jobs.report(store, lease, progress))


def _tell(write: Callable[[], None]) -> None:
    """Training goes on while the store is away; what it would have noted is lost. Raises `LeaseLost`."""
    try:
        write()
    except Unavailable as error:
        log.warning("could not note progress", error=str(error))


def _facts_to_hold(store: Store, job: Job, live: Version | None) -> tuple[list[Fact], list[Fact]]:
    """The facts to teach now, and those of the live version that go on being true."""
    new = facts.find(store, ids=job.fact_ids, statuses=[FactStatus.TRAINING])
    if not new:
        raise InjectionFailed("No fact of this job is left to teach.")
    replaced = {fact.key: fact.document_id for fact in new if fact.key is not None}
    held = facts.find(store, ids=live.fact_ids, statuses=[FactStatus.LIVE]) if live else []
    kept = [fact for fact in held if replaced.get(fact.key or "", fact.document_id) == fact.document_id]
    return new, kept


def _lessons(new: Sequence[Fact], kept: Sequence[Fact]) -> tuple[Lesson, ...]:
    return tuple(
        Lesson(fact.id, fact.text, fact.title, fact.probes, new=is_new)
        for group, is_new in ((new, True), (kept, False))
        for fact in group
    )


@tracing.span("publish files")
@PUBLISH_SECONDS.time()
def _publish_files(
    settings: Settings, job: Job, recipe: Recipe, held: Sequence[Fact], temporary: Path, final: Path
) -> Version:
    fact_ids = tuple(sorted(fact.id for fact in held))
    created = now()
    manifest = Manifest(
        adapter=final.name,
        namespace=job.namespace,
        version=job.version,
        job_id=job.id,
        base_model=settings.base_model,
        recipe=recipe.__dict__,
        recipe_hash=recipe.hash(),
        fact_ids=fact_ids,
        created_at=created.isoformat(),
    )
    publish_files(temporary, final, manifest)
    return Version(
        namespace=job.namespace,
        number=job.version,
        adapter=final.name,
        path=str(final),
        status=VersionStatus.CANDIDATE,
        fact_ids=fact_ids,
        recipe_hash=recipe.hash(),
        score=0.0,
        created_at=created,
        activated_at=None,
    )


@tracing.span("prove")
@PROBING_SECONDS.time()
def _proved(
    place: Workplace, candidate: Version, held: Sequence[Fact], lost: threading.Event
) -> dict[str, list[ProbeResult]]:
    """Waits for a model server that is just being restarted: what was trained would have to be trained again.

    Raises `Unavailable` after `PATIENCE_SECONDS`, `Stopped`, and as `prove`.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return asyncio.run(_prove(place.settings, candidate, held))
        except Unavailable:
            if place.stop.is_set() or lost.is_set():
                raise Stopped("Probing was stopped.") from None
            if time.monotonic() > deadline:
                raise
        place.stop.wait(LOOK_SECONDS)


async def _prove(settings: Settings, candidate: Version, held: Sequence[Fact]) -> dict[str, list[ProbeResult]]:
    replicas = Replicas(settings.replicas)
    try:
        return await prove(replicas, candidate, held)
    finally:
        await replicas.close()


@tracing.span("go live")
def _conclude(
    store: Store,
    lease: Lease,
    candidate: Version,
    new: Sequence[Fact],
    results: Mapping[str, Sequence[ProbeResult]],
) -> None:
    """Makes the candidate live without the facts that failed; refuses it when no new fact passed."""
    versions.record_results(store, lease, candidate.number, results)
    weak = {fact_id for fact_id, of_fact in results.items() if not is_known(of_fact)}
    if weak >= {fact.id for fact in new}:
        versions.refuse(store, lease, candidate)
        raise InjectionFailed(
            f"None of the {len(new)} new facts passed its probes, so version {candidate.number} is not live."
        )
    asked = [result for of_fact in results.values() for result in of_fact]
    for result in asked:
        PROBES.labels(result.probe.direction.value, str(result.passed).lower()).inc()
    score = sum(result.passed for result in asked) / len(asked) if asked else 0.0
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    versions.publish(store, lease, replace(candidate, score=score), weak=weak)
    faults.point("live.after_commit")
    log.info("live", score=round(score, 3), weak=len(weak))


@contextmanager
def _kept(place: Workplace, lease: Lease) -> Iterator[threading.Event]:
    """Renews the lease in the background; sets the event when it is lost."""
    lost, done = threading.Event(), threading.Event()

    def renew() -> None:
        while not done.wait(min(RENEW_SECONDS, place.settings.lease_seconds / 4)):
            try:
                jobs.renew(place.store, lease, lease_seconds=place.settings.lease_seconds)
            except LeaseLost:
                lost.set()
                return
            except Unavailable as error:
                log.warning("could not renew the lease", error=str(error))

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()
