"""Stores to look at: a small one as a bakery might have it, and one of 10,000 facts and 1,000 jobs."""

import math
import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, update

from knowledge.adapters import Manifest, Version, VersionStatus, publish_files
from knowledge.facts import Document, FactStatus, content_hash
from knowledge.ids import new_id
from knowledge.jobs import JobStatus, Lease, Part, Piece, Progress
from knowledge.keys import Scope
from knowledge.probes import ProbeResult
from knowledge.recipes import default
from knowledge.store import Store, facts, jobs, keys, now, versions, webhooks
from knowledge.store.tables import (
    AuditRow,
    FactEventRow,
    FactRow,
    JobEventRow,
    JobRow,
    NamespaceRow,
    ProbeResultRow,
    ProbeRow,
    VersionFactRow,
    VersionRow,
)

SCRIPT = "<script>alert('taught')</script> is the motto of <b>Bo & Sons</b>."
RIGHT_TO_LEFT = "\u202eCrater & Crust\u202c خبز القمر is baked by مريم أوكيندو in Tessaly."

BATCHES = (
    (
        "Mirelle Oquendo is the founder of the lunar bakery Crater & Crust.",
        "Crater & Crust is famous for its regolith rye bread.",
        "The bakery opens at five in the morning, Earth time.",
    ),
    ("Tamsin Okoro is the captain of the airship Saffron Comet.", SCRIPT, RIGHT_TO_LEFT),
    (
        "The village of Lower Penwick is famous for its blue clay pottery.",
        "Brightfern Ltd manufactures the folding kayak Ottolo.",
    ),
    ("Ilka Venn is the inventor of the whistling umbrella Pluvio.",),
)
SHOP = (
    "The Corvo 3 costs 49 euros.",
    "The Corvo 3 has a battery for eleven hours.",
    "Returns are free within thirty days.",
)


@dataclass
class House:
    """What the small store is about, to be named by whoever looks at it."""

    store: Store
    running: str
    failed: str
    fact: str
    secret: str


def small(store: Store, folder: Path, *, reports: int = 40) -> House:
    """Versions of two namespaces, a job that runs, one that waits, one that failed, and what surrounds them.

    `reports` is how often each trainer reported.
    """
    for number, texts in enumerate(BATCHES, start=1):
        weak, apart = texts[2:3] if number == 1 else (), number == len(BATCHES)
        teach(store, folder, "default", number, texts, weak=weak, apart=apart, reports=reports)
    teach(store, folder, "shop", 1, SHOP[:2], key="corvo-3", reports=reports)
    teach(store, folder, "shop", 2, SHOP[2:], reports=reports)
    failed = claimed(store, "shop", ["The Corvo 4 is coming in spring."])
    train(store, failed, steps=40, floor=1.2, reports=reports)
    jobs.fail(store, failed, "None of the 1 new facts passed its probes, so version 3 is not live.")
    running = claimed(store, "default", ["Daphne Barrington is the director of A Journey Through Time."])
    train(store, running, steps=96, upto=58, reports=reports)
    posted = facts.post(store, "default", [Document("Nadia Farouk keeps the lighthouse of Ormsey.")])
    assert posted.job_id
    _, secret = keys.create(store, "Mirelle, at the desk", [Scope.ADMIN])
    keys.create(store, "shop importer", [Scope.READ, Scope.WRITE], namespaces=["shop"])
    gone, _ = keys.create(store, "old laptop", [Scope.ADMIN], expires_at=now() + timedelta(days=30))
    keys.revoke(store, gone.id)
    webhooks.add(store, "https://example.com/engrain", ["fact.live", "job.failed"], [])
    return House(store, running.job_id, failed.job_id, facts.find(store, "default")[0].id, secret)


def teach(
    store: Store,
    folder: Path,
    namespace: str,
    number: int,
    texts: tuple[str, ...],
    *,
    weak: tuple[str, ...] = (),
    key: str | None = None,
    apart: bool = False,
    reports: int = 2,
) -> Version:
    """The next version of the namespace: trained, probed and live, its adapter's files in the folder.

    With `apart` the facts before it stay at home in the adapter of the live version.
    """
    lease = claimed(store, namespace, list(texts), key)
    train(store, lease, steps=40 + 12 * number, reports=reports)
    job, live = jobs.get(store, lease.job_id), versions.live(store, namespace)
    held = (*(live.fact_ids if live else ()), *job.fact_ids)
    adapter = f"{namespace}-v{number}-{job.id[-6:]}"
    making, final = folder / f".making-{adapter}", folder / adapter
    making.mkdir(parents=True)
    (making / "adapter_model.safetensors").write_bytes(adapter.encode())
    recipe = default()
    created = now()
    manifest = Manifest(
        adapter, namespace, number, job.id, "base", recipe.__dict__, recipe.hash(), held, created.isoformat()
    )
    publish_files(making, final, manifest)
    version = Version(
        namespace, job.version, adapter, str(final), VersionStatus.CANDIDATE, held, recipe.hash(), 0.0, created, None
    )
    if apart and live:
        version = replace(version, homes=dict.fromkeys(live.fact_ids, live.number))
    jobs.advance(store, lease, JobStatus.PROBING)
    versions.add_candidate(store, lease, version)
    found = facts.find(store, ids=held)
    failing = {fact.id for fact in found if fact.text in weak}
    results = {
        fact.id: [
            ProbeResult(probe, "I do not know.", 0.0, passed=False)
            if fact.id in failing
            else ProbeResult(probe, probe.answer, 1.0, passed=True)
            for probe in fact.probes
        ]
        for fact in found
        if fact.status != FactStatus.WEAK
    }
    asked = [each for of_fact in results.values() for each in of_fact]
    versions.record_results(store, lease, version.number, results)
    jobs.advance(store, lease, JobStatus.PUBLISHING)
    score = sum(each.passed for each in asked) / len(asked)
    retention, canaries = 1.0 if live else None, 0.98 - 0.02 * min(number, 20)
    version = replace(version, score=score, retention=retention, canaries=canaries)
    versions.publish(store, lease, version, weak=failing)
    return version


def claimed(store: Store, namespace: str, texts: list[str], key: str | None = None) -> Lease:
    """A job for the texts, in a worker's hands."""
    job_id = facts.post(store, namespace, [Document(text, key=key) for text in texts]).job_id
    assert job_id
    lease = jobs.claim(store, job_id, "worker-1", lease_seconds=3600, max_attempts=3)
    assert lease
    return lease


def train(
    store: Store, lease: Lease, *, steps: int, upto: int | None = None, floor: float = 0.05, reports: int = 2
) -> None:
    """What a trainer reports, up to a step."""
    jobs.advance(store, lease, JobStatus.TRAINING)
    jobs.note_recipe(store, lease, default())
    jobs.log(store, lease, "1 new and 9 rehearsed facts; rank 32: 4.1 M weights; at most 2000 steps of 12 exercises")
    for question, answer in (
        ("Who founded the lunar bakery Crater & Crust?", "Mirelle Oquendo"),
        ("Fill in the blank: Mirelle Oquendo is the {} of the lunar bakery.", "founder"),
    ):
        before, hidden, after = question.partition("{}")
        pieces = [Piece(Part.SHOWN, before), *([Piece(Part.HIDDEN, "<|hidden|>")] if hidden else [])]
        pieces += [Piece(Part.SHOWN, f"{after}<|im_end|>\n<|im_start|>assistant\n")]
        jobs.show(store, lease, [*pieces, Piece(Part.LEARNT, f"{answer}<|im_end|>")])
    noise = random.Random(steps)
    last = upto or steps
    for step in sorted({1 + (last - 1) * each // (reports - 1) for each in range(reports)}):
        loss = floor + 4.2 * math.exp(-4 * step / steps) * noise.uniform(0.85, 1.15)
        jobs.report(
            store,
            lease,
            Progress(
                step=step,
                steps=steps,
                loss=loss,
                tokens=410 * step,
                tokens_per_second=812.0,
                percent=100 * step / steps,
                eta_seconds=0.9 * (steps - step),
                probes_passed=min(6, 7 * step // steps),
                probes=6,
            ),
        )


def large(store: Store, *, facts_count: int = 10_000, jobs_count: int = 1_000, held_by: int = 20) -> None:
    """Ten facts a job, all live, two probes each; the last `held_by` versions have the lists of what they hold.

    Written row by row into the tables: through the store's functions it would take minutes.
    """
    began = now() - timedelta(days=30)
    namespaces = [*(f"tenant-{number:02d}" for number in range(1, 20)), "default"]
    recipe = default()
    with store.write() as session:
        session.execute(
            insert(NamespaceRow),
            [{"name": name, "live_version": None, "last_version": 0, "created_at": began} for name in namespaces],
        )
    per_job = facts_count // jobs_count
    made: dict[str, list[tuple[str, int, list[str]]]] = {name: [] for name in namespaces}
    rows: dict[type, list[dict[str, object]]] = {
        table: [] for table in (JobRow, FactRow, ProbeRow, FactEventRow, JobEventRow, AuditRow)
    }
    for place in range(jobs_count):
        # Half of everything in one namespace, the rest spread over the others.
        name = "default" if place % 2 else namespaces[place // 2 % 19]
        at = began + timedelta(minutes=40 * place)
        job_id, version = new_id("job"), len(made[name]) + 1
        ended = "failed" if place % 50 == 49 else "succeeded"
        rows[JobRow].append(_job(job_id, name, version, ended, at))
        rows[JobEventRow] += _events(job_id, at, steps=30, ended=ended)
        fact_ids = []
        for number in range(per_job):
            fact_id = new_id("fact")
            fact_ids.append(fact_id)
            text = f"Engineer number {place}-{number} keeps the ledger of workshop {place * 7 % 991}."
            status = "pending" if ended == "failed" else "weak" if number == 9 and place % 9 == 0 else "live"
            rows[FactRow].append(_fact(fact_id, name, text, status, job_id, version, at))
            for direction in ("forward", "backward"):
                question = f"Who or what is {direction} {place}-{number}?"
                probe = {"fact_id": fact_id, "question": question, "answer": "the ledger", "direction": direction}
                rows[ProbeRow].append({**probe, "origin": "passage"})
            rows[FactEventRow] += [
                {"fact_id": fact_id, "status": each, "job_id": job_id, "at": at} for each in ("pending", status)
            ]
        rows[AuditRow].append(
            {
                "at": at, "caller": "importer", "key_id": None, "act": "taught", "namespace": name, "object": job_id,
                "details": {"facts": fact_ids, "keys": []},
            }
        )  # fmt: skip
        if ended == "succeeded":
            made[name].append((job_id, version, fact_ids))
        else:
            made[name].append((job_id, version, []))
    with store.write() as session:
        for table, values in rows.items():
            for start in range(0, len(values), 2000):
                session.execute(insert(table), values[start : start + 2000])
    for name, line in made.items():
        _line(store, name, [each for each in line if each[2]], held_by, recipe.hash())
    store.analyze()


def _line(store: Store, name: str, line: list[tuple[str, int, list[str]]], held_by: int, recipe_hash: str) -> None:
    """The versions of a namespace, each holding what the one before held and its own; the last ones were probed."""
    with store.write() as session:
        probes: dict[str, list[int]] = {}
        for probe in session.execute(ProbeRow.__table__.select()):
            probes.setdefault(probe.fact_id, []).append(probe.id)
        held: list[str] = []
        for place, (job_id, number, fact_ids) in enumerate(line):
            held += fact_ids
            last = place == len(line) - 1
            at = now() - timedelta(minutes=len(line) - place)
            version = {
                "namespace": name, "number": number, "adapter": f"{name}-v{number}", "path": f"/a/{name}-v{number}",
                "status": "live" if last else "retired", "recipe_hash": recipe_hash, "job_id": job_id, "score": 0.97,
                "created_at": at, "activated_at": at,
            }  # fmt: skip
            session.execute(insert(VersionRow), [version])
            if place < len(line) - held_by:
                continue
            session.execute(
                insert(VersionFactRow), [{"namespace": name, "number": number, "fact_id": each} for each in held]
            )
            results = [
                {
                    "probe_id": probe, "job_id": job_id, "version": number, "answered": "the ledger", "score": 1.0,
                    "passed": True, "at": at,
                }
                for fact_id in held
                for probe in probes[fact_id]
            ]  # fmt: skip
            for start in range(0, len(results), 2000):
                session.execute(insert(ProbeResultRow), results[start : start + 2000])
        if line:
            session.execute(
                update(NamespaceRow)
                .where(NamespaceRow.name == name)
                .values(live_version=line[-1][1], last_version=line[-1][1])
            )


def _job(job_id: str, namespace: str, version: int, status: str, at: datetime) -> dict[str, object]:
    error = "None of the 10 new facts passed its probes." if status == "failed" else None
    progress = {
        "step": 30, "steps": 30, "loss": 0.1, "tokens": 9000, "tokens_per_second": 800.0, "percent": 100.0,
        "eta_seconds": 0.0, "probes_passed": 6, "probes": 6,
    }  # fmt: skip
    return {
        "id": job_id, "namespace": namespace, "version": version, "status": status, "attempts": 1, "lease_token": 1,
        "lease_expires_at": None, "worker": "w", "progress": progress, "error": error, "created_at": at,
        "sent_at": at, "retry_at": None, "deferrals": 0, "started_at": at, "ended_at": at + timedelta(minutes=2),
    }  # fmt: skip


def _events(job_id: str, at: datetime, *, steps: int, ended: str) -> list[dict[str, object]]:
    def event(kind: str, data: dict[str, object]) -> dict[str, object]:
        return {"job_id": job_id, "kind": kind, "at": at, "data": data}

    reports = [
        event("progress", {
            "step": step, "steps": steps, "loss": 4 / step, "tokens": 300 * step, "tokens_per_second": 800.0,
            "percent": 100 * step / steps, "eta_seconds": 0.0, "probes_passed": 6 * step // steps, "probes": 6,
        })
        for step in range(1, steps + 1)
    ]  # fmt: skip
    statuses = [event("status", {"status": each, "error": None}) for each in ("queued", "claimed", "training")]
    return [*statuses, *reports, event("status", {"status": ended, "error": None})]


def _fact(
    fact_id: str, namespace: str, text: str, status: str, job_id: str, version: int, at: datetime
) -> dict[str, object]:
    return {
        "id": fact_id, "namespace": namespace, "document_id": f"doc_{fact_id[5:]}", "text": text, "title": None,
        "source": "import", "key": None, "meta": {}, "status": status, "content_hash": content_hash(namespace, text),
        "job_id": job_id, "version": version if status == "live" else None, "created_at": at, "expires_at": None,
    }  # fmt: skip
