"""How much a namespace's adapter holds, and how well the last batches went in: what was measured, nothing foretold."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from knowledge.adapters import VersionStatus
from knowledge.facts import FactStatus
from knowledge.store import versions
from knowledge.store.database import Store
from knowledge.store.tables import FactEventRow, FactRow, VersionFactRow, VersionRow

LAST_VERSIONS = 5
"""How far back a figure looks: far enough to even out one bad batch, not so far that it shows a smaller namespace."""


@dataclass(frozen=True)
class Load:
    """What the live version holds, and what the last `LAST_VERSIONS` versions that went live did.

    `paths` are the folders of the adapters that it speaks with, its own first. `scores` are (version, share of
    probes passed), oldest first. Of the `taught` facts of these versions `weak` did not go in; `lost` are facts of
    earlier versions that one of them made weak.
    """

    namespace: str
    live_version: int | None
    facts: int
    characters: int
    paths: tuple[str, ...]
    scores: tuple[tuple[int, float], ...]
    taught: int
    weak: int
    lost: int

    @property
    def headroom(self) -> float | None:
        """1 when all that was taught last went in and pushed nothing out; 0 when as much failed or was lost.

        None when nothing was taught yet.
        """
        return max(0.0, 1 - (self.weak + self.lost) / self.taught) if self.taught else None


def load(store: Store, namespace: str) -> Load:
    """Raises `NotFound` for an unknown namespace."""
    live = versions.live(store, namespace)
    number = live.number if live else 0
    held = select(VersionFactRow.fact_id).where(VersionFactRow.namespace == namespace, VersionFactRow.number == number)
    text = select(func.count(), func.coalesce(func.sum(func.length(FactRow.text)), 0)).where(FactRow.id.in_(held))
    was_live = [VersionStatus.LIVE.value, VersionStatus.RETIRED.value, VersionStatus.DELETED.value]
    last = (
        select(VersionRow.number, VersionRow.score, VersionRow.job_id)
        .where(VersionRow.namespace == namespace, VersionRow.status.in_(was_live), VersionRow.number <= number)
        .order_by(VersionRow.number.desc())
        .limit(LAST_VERSIONS)
    )
    with store.read() as session:
        facts, characters = session.execute(text).one()
        made = session.execute(last).all()
        events = session.execute(
            select(FactEventRow.fact_id, FactEventRow.job_id, FactEventRow.status).where(
                FactEventRow.job_id.in_([row.job_id for row in made])
            )
        ).all()
    taught, weak = _of(events, FactStatus.TRAINING), _of(events, FactStatus.WEAK)
    return Load(
        namespace=namespace,
        live_version=live.number if live else None,
        facts=facts,
        characters=characters,
        paths=tuple(version.path for version in versions.speaking_as(store, live)) if live else (),
        scores=tuple((row.number, row.score) for row in reversed(made)),
        taught=len(taught),
        weak=len(weak & taught),
        lost=len(weak - taught),
    )


def _of(events: Sequence[tuple[str, str | None, str]], status: FactStatus) -> set[tuple[str, str | None]]:
    """Facts that reached the status, each with the job that did it."""
    return {(fact_id, job_id) for fact_id, job_id, reached in events if reached == status}
