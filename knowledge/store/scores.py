"""How versions did on the probes of their facts, fact by fact, and what one changed against another."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from knowledge.adapters import Version, VersionStatus
from knowledge.facts import FactStatus
from knowledge.probes import Direction, is_known
from knowledge.store import versions
from knowledge.store.database import Store
from knowledge.store.facts import probe_result_from
from knowledge.store.tables import FactRow, JobRow, ProbeResultRow, ProbeRow, VersionRow

_WAS_LIVE = [VersionStatus.LIVE.value, VersionStatus.RETIRED.value, VersionStatus.DELETED.value]
_Answered = tuple[ProbeRow, ProbeResultRow]


@dataclass(frozen=True)
class FactScore:
    """A fact's mean score by direction, 0..1, None where it has no probe; and whether it passed for known."""

    forward: float | None
    backward: float | None
    known: bool


@dataclass(frozen=True)
class Harm:
    """A version that does not know a fact which the version live before it knew, or the last one that was asked."""

    version: int
    job_id: str


@dataclass(frozen=True)
class VersionDetail:
    """A version, the job that made it, and how the facts that it was asked about did.

    `harmed` are the facts that it lost (see `Harm`); those that were to go are not counted. `seconds` is the time of
    the job's last attempt.
    """

    version: Version
    job_id: str
    seconds: float | None
    deleted_at: datetime | None
    scores: Mapping[str, FactScore]
    harmed: tuple[str, ...]


@dataclass(frozen=True)
class Diff:
    """What version `after` holds more or less than `before`, and does otherwise on facts that both were asked about."""

    namespace: str
    before: int
    after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    rescored: Mapping[str, tuple[FactScore, FactScore]]
    harmed: tuple[str, ...]


def detail(store: Store, namespace: str, number: int) -> VersionDetail:
    """Raises `NotFound`."""
    version = versions.get(store, namespace, number)
    with store.read() as session:
        row = session.get_one(VersionRow, (namespace, number))
        job = session.get_one(JobRow, row.job_id)
        scores = _scores(session, row)
        return VersionDetail(
            version=version,
            job_id=row.job_id,
            seconds=(job.ended_at - job.started_at).total_seconds() if job.ended_at and job.started_at else None,
            deleted_at=row.deleted_at,
            scores=scores,
            harmed=tuple(
                fact_id
                for fact_id, found in _harms(session, [each for each in scores if not scores[each].known]).items()
                if row.number in {harm.version for harm in found}
            ),
        )


def harms(store: Store, fact_id: str) -> list[Harm]:
    """The versions that lost the fact, oldest first; none when it is unknown, or was to go."""
    with store.read() as session:
        return _harms(session, [fact_id]).get(fact_id, [])


def diff(store: Store, namespace: str, before: int, after: int) -> Diff:
    """Raises `NotFound`."""
    old, new = (frozenset(versions.get(store, namespace, number).fact_ids) for number in (before, after))
    with store.read() as session:
        scores = [_scores(session, session.get_one(VersionRow, (namespace, number))) for number in (before, after)]
    both = {fact_id: (scores[0][fact_id], scores[1][fact_id]) for fact_id in sorted(scores[0].keys() & scores[1])}
    return Diff(
        namespace=namespace,
        before=before,
        after=after,
        added=tuple(sorted(new - old)),
        removed=tuple(sorted(old - new)),
        rescored={fact_id: pair for fact_id, pair in both.items() if pair[0] != pair[1]},
        harmed=tuple(fact_id for fact_id, (was, now) in both.items() if was.known and not now.known),
    )


def _scores(session: Session, row: VersionRow) -> dict[str, FactScore]:
    query = (
        select(ProbeRow, ProbeResultRow)
        .join(ProbeResultRow, ProbeResultRow.probe_id == ProbeRow.id)
        .where(ProbeResultRow.job_id == row.job_id, ProbeResultRow.version == row.number)
        .order_by(ProbeResultRow.id)
    )
    by_fact: defaultdict[str, list[_Answered]] = defaultdict(list)
    for probe, result in session.execute(query):
        by_fact[probe.fact_id].append((probe, result))
    return {fact_id: _score(found) for fact_id, found in sorted(by_fact.items())}


def _harms(session: Session, fact_ids: Iterable[str]) -> dict[str, list[Harm]]:
    """By fact, in the order of their ids, the versions that lost it, oldest first."""
    query = (
        select(FactRow.id, VersionRow, ProbeRow, ProbeResultRow)
        .join(ProbeRow, ProbeRow.fact_id == FactRow.id)
        .join(ProbeResultRow, ProbeResultRow.probe_id == ProbeRow.id)
        .join(VersionRow, (VersionRow.namespace == FactRow.namespace) & (VersionRow.number == ProbeResultRow.version))
        .where(
            FactRow.id.in_(list(fact_ids)),
            FactRow.forget_requested_at.is_(None),
            FactRow.status != FactStatus.SUPERSEDED.value,
        )
        .order_by(FactRow.id, VersionRow.number, ProbeResultRow.id)
    )
    harms: dict[str, list[Harm]] = {}
    for fact_id, of_fact in groupby(session.execute(query), key=lambda found: found[0]):
        was_known = False
        for version, asked in groupby(of_fact, key=lambda found: found[1]):
            is_known = _score((probe, result) for _, _, probe, result in asked).known
            if was_known and not is_known:
                harms.setdefault(fact_id, []).append(Harm(version.number, version.job_id))
            if version.status in _WAS_LIVE:
                was_known = is_known
    return harms


def _score(found: Iterable[_Answered]) -> FactScore:
    """Of each probe the last answer counts: an earlier attempt of the job may have asked it too."""
    last = {probe.id: probe_result_from(probe, result) for probe, result in found}

    def mean(direction: Direction) -> float | None:
        scores = [result.score for result in last.values() if result.probe.direction == direction]
        return sum(scores) / len(scores) if scores else None

    return FactScore(mean(Direction.FORWARD), mean(Direction.BACKWARD), is_known(list(last.values())))
