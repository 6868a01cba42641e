"""How versions did on the probes of their facts, fact by fact, and what one changed against another."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from knowledge.adapters import Version, VersionStatus
from knowledge.facts import FactStatus
from knowledge.probes import Direction, is_known
from knowledge.store import versions
from knowledge.store.database import Store
from knowledge.store.facts import probe_result_from
from knowledge.store.tables import FactRow, JobRow, ProbeResultRow, ProbeRow, VersionRow

_WAS_LIVE = [VersionStatus.LIVE.value, VersionStatus.RETIRED.value, VersionStatus.DELETED.value]
_Asked = Select[ProbeRow, ProbeResultRow]


@dataclass(frozen=True)
class FactScore:
    """A fact's mean score by direction, 0..1, None where it has no probe; and whether it passed for known."""

    forward: float | None
    backward: float | None
    known: bool


@dataclass(frozen=True)
class VersionDetail:
    """A version, the job that made it, and how the facts that it was asked about did.

    `harmed` are facts that the version live before it knew, or the last one before that was asked, and this one does
    not; those that were to go are not counted. `seconds` is the time of the job's last attempt.
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
            harmed=_harmed(session, row, [fact_id for fact_id, score in scores.items() if not score.known]),
        )


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
    of_version = ProbeResultRow.job_id == row.job_id, ProbeResultRow.version == row.number
    by_fact: defaultdict[str, list[Row[ProbeRow, ProbeResultRow]]] = defaultdict(list)
    for found in session.execute(_asked().where(*of_version)):
        by_fact[found[0].fact_id].append(found)
    return {fact_id: _score(found) for fact_id, found in sorted(by_fact.items())}


def _harmed(session: Session, row: VersionRow, unknown: list[str]) -> tuple[str, ...]:
    """Those of the unknown facts that were known when a version that went live was last asked."""
    query = (
        _asked()
        .join(FactRow, FactRow.id == ProbeRow.fact_id)
        .join(VersionRow, (VersionRow.namespace == row.namespace) & (VersionRow.number == ProbeResultRow.version))
        .where(
            FactRow.id.in_(unknown),
            FactRow.forget_requested_at.is_(None),
            FactRow.status != FactStatus.SUPERSEDED.value,
            VersionRow.number < row.number,
            VersionRow.status.in_(_WAS_LIVE),
        )
    )
    by_fact: defaultdict[str, defaultdict[int, list[Row[ProbeRow, ProbeResultRow]]]]
    by_fact = defaultdict(lambda: defaultdict(list))
    for found in session.execute(query):
        by_fact[found[0].fact_id][found[1].version].append(found)
    return tuple(sorted(fact_id for fact_id, asked in by_fact.items() if _score(asked[max(asked)]).known))


def _asked() -> _Asked:
    """Probes with what was answered to them, in the order of asking."""
    return (
        select(ProbeRow, ProbeResultRow)
        .join(ProbeResultRow, ProbeResultRow.probe_id == ProbeRow.id)
        .order_by(ProbeResultRow.id)
    )


def _score(found: Iterable[Row[ProbeRow, ProbeResultRow]]) -> FactScore:
    """Of each probe the last answer counts: an earlier attempt of the job may have asked it too."""
    last = {probe.id: probe_result_from(probe, result) for probe, result in found}

    def mean(direction: Direction) -> float | None:
        scores = [result.score for result in last.values() if result.probe.direction == direction]
        return sum(scores) / len(scores) if scores else None

    return FactScore(mean(Direction.FORWARD), mean(Direction.BACKWARD), is_known(list(last.values())))
