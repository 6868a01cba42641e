"""Shapes of `/namespaces`: versions, what they hold, and how they did."""

from collections import Counter
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from knowledge.adapters import Version
from knowledge.store.scores import Diff, FactScore, VersionDetail
from knowledge.store.versions import Namespace
from service.capacity import Advice, CapacityOut


class VersionOut(BaseModel):
    """A version of a namespace."""

    namespace: str
    version: int
    status: str
    adapter: str
    facts: list[str]
    homes: dict[int, int] = Field(
        description="How many of the facts are answered by the adapter of which version: its own, or an earlier one's."
    )
    recipe_hash: str
    score: float = Field(description="Share of probes passed through the live server, 0..1.")
    retention: float | None = Field(description="Share of the earlier facts asked that it still knows, 0..1.")
    canaries: float | None = Field(description="Share of the canaries that the base model knows and its weights too.")
    created_at: datetime
    activated_at: datetime | None

    @classmethod
    def of(cls, version: Version) -> Self:
        """From the domain. The path of the files is nobody's business."""
        return cls(
            namespace=version.namespace,
            version=version.number,
            status=version.status,
            adapter=version.adapter,
            facts=list(version.fact_ids),
            homes=Counter(version.home(each) for each in version.fact_ids),
            recipe_hash=version.recipe_hash,
            score=version.score,
            retention=version.retention,
            canaries=version.canaries,
            created_at=version.created_at,
            activated_at=version.activated_at,
        )


class VersionsOut(BaseModel):
    """Versions, newest first."""

    namespace: str
    live_version: int | None
    versions: list[VersionOut]


class NamespaceOut(BaseModel):
    """A namespace with its numbers of facts by status, and what `GET /namespaces/{namespace}/capacity` says of it."""

    name: str
    live_version: int | None
    facts: dict[str, int]
    headroom: float | None
    advice: Advice

    @classmethod
    def of(cls, namespace: Namespace, capacity: CapacityOut) -> Self:
        """From the domain."""
        return cls(
            name=namespace.name,
            live_version=namespace.live_version,
            facts={status.value: number for status, number in namespace.facts.items()},
            headroom=capacity.headroom,
            advice=capacity.advice,
        )


class NamespacesOut(BaseModel):
    """All namespaces."""

    namespaces: list[NamespaceOut]


class FactScoreOut(BaseModel):
    """How a version did on a fact's probes: mean scores, 0..1, null where it has no probe of that direction."""

    id: str
    forward: float | None
    backward: float | None
    known: bool = Field(description="At least half of the probes of each direction passed.")

    @classmethod
    def of(cls, fact_id: str, score: FactScore) -> Self:
        """From the store's answer."""
        return cls(id=fact_id, forward=score.forward, backward=score.backward, known=score.known)


class VersionDetailOut(VersionOut):
    """A version with what is known of how it was made and did."""

    parent: int | None = Field(description="The version whose weights its training began with. Null: the base model.")
    job_id: str
    seconds: float | None = Field(description="Time of the job's last attempt.")
    deleted_at: datetime | None
    scores: list[FactScoreOut] = Field(description="Of the facts that it was asked about, held or not.")
    harmed: list[str] = Field(description="Facts that the version asked last before knew, and this one does not.")

    @classmethod
    def detailed(cls, found: VersionDetail) -> Self:
        """From the store's answer."""
        return cls(
            **VersionOut.of(found.version).model_dump(),
            parent=found.version.parent,
            job_id=found.job_id,
            seconds=found.seconds,
            deleted_at=found.deleted_at,
            scores=[FactScoreOut.of(fact_id, score) for fact_id, score in found.scores.items()],
            harmed=list(found.harmed),
        )


class RescoredOut(BaseModel):
    """A fact that did better or worse."""

    id: str
    before: FactScoreOut
    after: FactScoreOut


class DiffOut(BaseModel):
    """What version `after` holds more or less than `before`, and does otherwise on facts that both were asked about."""

    namespace: str
    before: int
    after: int
    added: list[str]
    removed: list[str]
    rescored: list[RescoredOut]
    harmed: list[str] = Field(description="Known in `before` and not in `after`.")

    @classmethod
    def of(cls, found: Diff) -> Self:
        """From the store's answer."""
        return cls(
            namespace=found.namespace,
            before=found.before,
            after=found.after,
            added=list(found.added),
            removed=list(found.removed),
            rescored=[
                RescoredOut(id=fact_id, before=FactScoreOut.of(fact_id, was), after=FactScoreOut.of(fact_id, now))
                for fact_id, (was, now) in found.rescored.items()
            ],
            harmed=list(found.harmed),
        )
