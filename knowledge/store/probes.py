"""Probes: how facts score on them, and one more for a fact."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import aliased

from knowledge.audit import Act
from knowledge.errors import NotFound
from knowledge.facts import Document, check_storable
from knowledge.probes import Direction, Probe
from knowledge.store import audit
from knowledge.store.database import Store
from knowledge.store.facts import probe_row
from knowledge.store.tables import FactRow, ProbeResultRow, ProbeRow


def scores(store: Store, ids: Sequence[str]) -> dict[str, dict[Direction, float]]:
    """The facts' mean score by direction, 0..1, at the newest version that asked their probes; none where none did."""
    any_result = aliased(ProbeResultRow)
    newest = (
        select(any_result.id)
        .where(any_result.probe_id == ProbeRow.id)
        .order_by(any_result.id.desc())
        .limit(1)
        .correlate(ProbeRow)
        .scalar_subquery()
    )
    query = (
        select(ProbeRow.fact_id, ProbeRow.direction, ProbeResultRow.version, ProbeResultRow.score)
        .join(ProbeResultRow, ProbeResultRow.id == newest)
        .where(ProbeRow.fact_id.in_(ids))
    )
    with store.read() as session:
        rows = session.execute(query).all()
    last: dict[str, int] = {}
    for row in rows:
        last[row.fact_id] = max(row.version, last.get(row.fact_id, 0))
    found: dict[str, dict[Direction, list[float]]] = {}
    for row in rows:
        if row.version == last[row.fact_id]:
            found.setdefault(row.fact_id, {}).setdefault(Direction(row.direction), []).append(row.score)
    return {
        fact_id: {direction: sum(all_) / len(all_) for direction, all_ in of_fact.items()}
        for fact_id, of_fact in found.items()
    }


def add_probe(store: Store, fact_id: str, probe: Probe) -> None:
    """Has the fact's coming versions asked this too; one that is there already is not added again.

    Raises `NotFound`, and `InvalidFact` for a probe that a store cannot keep.
    """
    check_storable(Document("", probes=(probe,)))
    with store.write() as session:
        row = session.get(FactRow, fact_id)
        if row is None:
            raise NotFound(f"There is no fact {fact_id}.")
        known = session.scalars(select(ProbeRow).where(ProbeRow.fact_id == fact_id)).all()
        if not any((each.question, each.answer) == (probe.question, probe.answer) for each in known):
            session.add(probe_row(fact_id, probe))
            audit.note(session, Act.PROBE_ADDED, fact_id, namespace=row.namespace)
