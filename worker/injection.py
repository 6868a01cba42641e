"""The story of one job: claim, train, publish the files, load, probe, judge, make live."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import structlog

from inference.adapters import Replicas
from inference.homes import Held, speaks
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
from knowledge.facts import Fact
from knowledge.jobs import Job, JobStatus, Lease, Progress
from knowledge.probes import ProbeResult
from knowledge.recipes import Recipe, by_name
from knowledge.settings import Settings
from knowledge.store import Store, jobs, now, versions
from worker.cleaning import CHECKPOINT, MAKING, forget_leftovers
from worker.gate import Gate, Verdict, changed, judge, re_asked
from worker.metrics import ATTEMPTS, POST_TO_LIVE_SECONDS, PROBES, PROBING_SECONDS, PUBLISH_SECONDS, TrainingWatch
from worker.plan import Plan, Round, plan
from worker.proof import Proof, prove
from worker.spec import ADAPTER_FILES, TrainingSpec
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
    """Trains, at most `rounds` of the recipe times, until a candidate has no flaw; the best one becomes live.

    One that misses facts is taught those further; where it may not become live all the same, the base model is
    taught anew (`Plan.apart`), where there was anything else to build upon. Raises as `train` and `prove`, and
    `InjectionFailed` when the gate refuses the best.
    """
    settings, store = place.settings, place.store
    recipe = by_name(settings.recipe)
    planned = plan(store, job, recipe, settings)
    if not planned.new and versions.publish_untrained(store, lease):
        return
    gate = Gate(settings.least_retention, settings.least_canaries)
    made: list[Made] = []

    def make(step: Round) -> Made:
        made.append(_make(place, lease, job, recipe, planned, step, len(made) + 1, lost))
        return made[-1]

    try:
        first = best = make(planned.continued())
        missing = first.verdict.weak | first.verdict.harmed
        if missing and len(made) < recipe.rounds and gate.keeps_canaries(first.verdict):
            best = _better(gate, first, make(planned.further(first.candidate, missing)))
        apart = planned.apart()
        may_go_apart = planned.start is not None and 0 < len(apart.lessons) <= settings.max_rebuilt_facts
        if gate.objection(best.verdict) and len(made) < recipe.rounds and may_go_apart:
            best = _better(gate, best, make(apart))
        if best is not made[-1]:
            versions.add_candidate(store, lease, best.candidate)
        _conclude(store, lease, gate, best)
        _checkpoint(settings, job).unlink(missing_ok=True)
    except OSError as error:
        if is_disk_full(error) and not isinstance(error, EngrainError):
            raise DiskFull(f"The disk is full ({error.strerror}). It is tried again until there is room.") from error
        raise


@dataclass(frozen=True)
class Made:
    """A candidate of one round, what it answered, and what the gate reads from that."""

    candidate: Version
    results: Mapping[str, Sequence[ProbeResult]]
    verdict: Verdict


def _better(gate: Gate, one: Made, other: Made) -> Made:
    """What may become live before what may not, then what misses less, then what harms less; of equals the first."""
    return max(
        one, other, key=lambda made: (not gate.objection(made.verdict), -made.verdict.missed, made.verdict.steadiness)
    )


def _make(
    place: Workplace,
    lease: Lease,
    job: Job,
    recipe: Recipe,
    planned: Plan,
    step: Round,
    number: int,
    lost: threading.Event,
) -> Made:
    """Trains one candidate, publishes its files, and asks it its probes."""
    settings, store = place.settings, place.store
    name = f"{job.namespace}-v{job.version}-{job.id.removeprefix('job_')}-{lease.token}"
    name += f"-{number}" if number > 1 else ""
    temporary, final = settings.adapters_folder / f"{MAKING}{name}", settings.adapters_folder / name
    try:
        jobs.advance(store, lease, JobStatus.TRAINING)
        jobs.note_recipe(store, lease, recipe)
        forget_leftovers(settings.adapters_folder, job.id)
        temporary.mkdir(parents=True)
        _train(place, lease, job, recipe, step, temporary, lost)
        jobs.advance(store, lease, JobStatus.PROBING)
        candidate = _publish_files(settings, job, recipe, planned, step, temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    versions.add_candidate(store, lease, candidate)
    faults.point("candidate.after_commit")
    home = _home(store, candidate, planned)
    touched = changed(planned.earlier, candidate, home)
    earlier = re_asked(touched, settings.max_gate_probes, seed=job.version)
    proof = _proved(place, candidate, [*planned.new, *earlier, *planned.gone], home, lost)
    faults.point("probe.asked")
    verdict = judge(
        proof.results,
        proof.canaries,
        new=[fact.id for fact in planned.new],
        earlier=[fact.id for fact in earlier],
    )
    untouched = len(planned.earlier) - len(touched)
    rest = f"; {untouched} earlier facts stay at home in their adapters" if untouched else ""
    _tell(lambda: jobs.log(store, lease, f"{step.name}: {verdict}{rest}"))
    candidate = replace(
        candidate, score=_score(proof.results), retention=verdict.retention, canaries=verdict.steadiness
    )
    return Made(candidate, proof.results, verdict)


def _train(
    place: Workplace, lease: Lease, job: Job, recipe: Recipe, step: Round, output: Path, lost: threading.Event
) -> None:
    """Writes the round's adapter into `output`: trained, or the start's as it is when there is nothing to teach."""
    settings, store = place.settings, place.store
    if not step.teaches and step.start is not None:
        for name in ADAPTER_FILES:
            shutil.copy2(Path(step.start.path) / name, output / name)
        return
    watch = TrainingWatch()
    train(
        TrainingSpec(
            base_model=settings.base_model_folder,
            recipe=recipe,
            lessons=step.lessons,
            warm_start=step.start.path if step.start else None,
            output=str(output),
            seed=job.version,
            threads=settings.training_threads,
            checkpoint=str(_checkpoint(settings, job)),
            memory_gib=settings.training_memory_gib,
        ),
        niceness=settings.training_niceness,
        silent_seconds=settings.training_silent_seconds,
        most_seconds=settings.training_seconds,
        on_progress=lambda progress: _report(store, lease, watch, progress),
        on_log=lambda text: _tell(lambda: jobs.log(store, lease, text)),
        on_example=lambda pieces: _tell(lambda: jobs.show(store, lease, pieces)),
        should_stop=lambda: place.stop.is_set() or lost.is_set(),
    )


def _checkpoint(settings: Settings, job: Job) -> Path:
    return settings.adapters_folder / f"{CHECKPOINT}{job.id.removeprefix('job_')}"


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


@tracing.span("publish files")
@PUBLISH_SECONDS.time()
def _publish_files(
    settings: Settings, job: Job, recipe: Recipe, planned: Plan, step: Round, temporary: Path, final: Path
) -> Version:
    fact_ids = tuple(sorted(fact.id for fact in planned.held))
    created = now()
    manifest = Manifest(
        adapter=final.name,
        namespace=job.namespace,
        version=job.version,
        job_id=job.id,
        base_model=settings.base_model,
        recipe=recipe.__dict__,
        recipe_hash=recipe.hash(),
        fact_ids=tuple(each for each in fact_ids if each not in step.homes),
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
        parent=_parent(step.start, job),
        homes=step.homes,
    )


def _home(store: Store, candidate: Version, planned: Plan) -> Callable[[str], Version]:
    """Tells whose adapter answers a question once the candidate is live."""
    held = Held(planned.held)
    homes = {number: versions.get(store, candidate.namespace, number) for number in set(candidate.homes.values())}
    return lambda question: speaks(candidate, homes, held.concerned(question)[0])


def _parent(start: Version | None, job: Job) -> int | None:
    """The version that was continued; a candidate of this very job has its own place in the line."""
    if start is None:
        return None
    return start.parent if start.number == job.version else start.number


@tracing.span("prove")
@PROBING_SECONDS.time()
def _proved(
    place: Workplace,
    candidate: Version,
    asked_about: Sequence[Fact],
    home: Callable[[str], Version],
    lost: threading.Event,
) -> Proof:
    """Waits for a model server that is just being restarted: what was trained would have to be trained again.

    Raises `Unavailable` after `PATIENCE_SECONDS`, `Stopped`, and as `prove`.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return asyncio.run(_prove(place.settings, candidate, asked_about, home))
        except Unavailable:
            if place.stop.is_set() or lost.is_set():
                raise Stopped("Probing was stopped.") from None
            if time.monotonic() > deadline:
                raise
        place.stop.wait(LOOK_SECONDS)


async def _prove(
    settings: Settings, candidate: Version, asked_about: Sequence[Fact], home: Callable[[str], Version]
) -> Proof:
    replicas = Replicas(settings.replicas)
    try:
        return await prove(
            replicas,
            candidate,
            asked_about,
            home=home,
            folder=settings.adapters_folder,
            base_model=settings.base_model_folder,
            with_canaries=settings.least_canaries > 0,
        )
    finally:
        await replicas.close()


@tracing.span("go live")
def _conclude(store: Store, lease: Lease, gate: Gate, best: Made) -> None:
    """Makes the best candidate live without the facts that failed, or refuses it."""
    candidate, verdict = best.candidate, best.verdict
    versions.record_results(store, lease, candidate.number, best.results)
    for result in chain.from_iterable(best.results.values()):
        PROBES.labels(result.probe.direction.value, str(result.passed).lower()).inc()
    if why := gate.objection(verdict):
        versions.refuse(store, lease, candidate)
        raise InjectionFailed(f"Version {candidate.number} is not live: {why}.")
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    weak = verdict.weak | verdict.harmed
    versions.publish(store, lease, candidate, weak=weak)
    faults.point("live.after_commit")
    log.info("live", score=round(candidate.score, 3), weak=len(weak))


def _score(results: Mapping[str, Sequence[ProbeResult]]) -> float:
    asked = [result.passed for result in chain.from_iterable(results.values())]
    return sum(asked) / len(asked) if asked else 0.0


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
