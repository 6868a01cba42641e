"""Conflicts between facts, seen when they are posted: one indexed query for each new passage."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, aliased

from knowledge.claims import Claim, claims, contradicts
from knowledge.facts import Document, FactStatus, OnConflict
from knowledge.store.tables import ClaimRow, FactRow

KNOWN = [
    status.value
    for status in FactStatus
    if status not in (FactStatus.SUPERSEDED, FactStatus.FORGOTTEN, FactStatus.REJECTED)
]
"""Statuses of facts that a version holds, or will hold."""


@dataclass(frozen=True)
class Clash:
    """A known fact that answers a question otherwise than a posted one."""

    question: str
    answer: str
    known: FactRow
    known_answer: str


def keep_claims(session: Session, row: FactRow, document: Document) -> None:
    """Stores what a new fact claims, for those that come later."""
    session.add_all(
        ClaimRow(fact_id=row.id, slot=_slot(row.namespace, claim), question=claim.question, answer=claim.answer)
        for claim in _claims(row, document)
    )


def clashes(session: Session, row: FactRow, document: Document) -> list[Clash]:
    """What is known and contradicts the fact, once for each known fact.

    Not compared are passages of one document, facts that are to go anyway, and, because a key's newest document takes
    its place, those with the same key; unless the document says `reject`: then each of these is a clash.
    """
    heir = aliased(FactRow)
    of_fact = {_slot(row.namespace, claim): claim for claim in _claims(row, document)}
    others = select(FactRow).where(
        FactRow.namespace == row.namespace,
        FactRow.document_id != row.document_id,
        FactRow.status.in_(KNOWN),
        FactRow.forget_requested_at.is_(None),
        ~exists().where(heir.id == FactRow.superseded_by, heir.status.in_(KNOWN)),
    )
    claiming = others.join(ClaimRow, ClaimRow.fact_id == FactRow.id).where(ClaimRow.slot.in_(of_fact))
    if document.key is not None:
        claiming = claiming.where(or_(FactRow.key.is_(None), FactRow.key != document.key))
    found: dict[str, Clash] = {}
    for known, slot, answer in session.execute(claiming.add_columns(ClaimRow.slot, ClaimRow.answer)):
        claim = of_fact[slot]
        if contradicts(claim.answer, answer):
            found.setdefault(known.id, Clash(claim.question, claim.answer, known, answer))
    if document.key is not None and document.on_conflict == OnConflict.REJECT:
        for known in session.scalars(others.where(FactRow.key == document.key)):
            found.setdefault(known.id, Clash(f"key {document.key}", row.text, known, known.text))
    return list(found.values())


def _claims(row: FactRow, document: Document) -> tuple[Claim, ...]:
    return claims(row.text, row.title, document.probes)


def _slot(namespace: str, claim: Claim) -> str:
    return hashlib.sha256(f"{namespace}\n{claim.question}".encode()).hexdigest()[:32]
