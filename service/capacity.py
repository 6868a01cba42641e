"""The capacity figure of a namespace, with what it is good for: an advice."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field

from knowledge.adapters import read_manifest
from knowledge.errors import CorruptAdapter
from knowledge.store import capacity
from service.parts import Parts

TIGHT = 0.95
"""Headroom below which something should be done: of twenty facts taught, more than one failed or pushed one out."""


class Advice(StrEnum):
    """What to do. `raise-rank` where the recipe's rank is below `ENGRAIN_MAX_LORA_RANK`, else `split` the namespace."""

    NONE = "none"
    RAISE_RANK = "raise-rank"
    SPLIT = "split"


class VersionScoreOut(BaseModel):
    """A version's share of probes passed, 0..1."""

    version: int
    score: float


class CapacityOut(BaseModel):
    """How much the live version holds, and how well the last versions' facts went in."""

    namespace: str
    live_version: int | None
    facts: int = Field(description="Held by the live version.")
    characters: int = Field(description="Of their texts.")
    adapters: int = Field(description="That the live version speaks with: its own, and the homes of earlier facts.")
    rank: int | None = Field(description="Of its own adapter. Null when there is none, or its files are not here.")
    adapter_bytes: int | None = Field(description="Size of the weights of these adapters.")
    bytes_per_character: float | None = Field(description="The two divided: how thinly the weights are spread.")
    scores: list[VersionScoreOut] = Field(description="Of the last versions that went live, oldest first.")
    taught: int = Field(description="Facts that these versions taught.")
    weak: int = Field(description="Of them, those that did not go in.")
    lost: int = Field(description="Earlier facts that these versions made weak.")
    headroom: float | None = Field(
        description="1 - (weak + lost) / taught, at least 0: 1 when all went in and pushed nothing out. It tells of the"
        " last versions, not of the next. Null when nothing was taught."
    )
    advice: Advice


def capacity_of(parts: Parts, namespace: str) -> CapacityOut:
    """Raises `NotFound` for an unknown namespace."""
    load = capacity.load(parts.store, namespace)
    adapters = [_adapter(path) for path in load.paths]
    rank = adapters[0][0] if adapters else None
    sizes = [size for _, size in adapters if size is not None]
    size = sum(sizes) if sizes else None
    advice = Advice.NONE
    if load.headroom is not None and load.headroom < TIGHT:
        advice = Advice.RAISE_RANK if rank is not None and rank < parts.settings.max_lora_rank else Advice.SPLIT
    return CapacityOut(
        namespace=load.namespace,
        live_version=load.live_version,
        facts=load.facts,
        characters=load.characters,
        adapters=len(adapters),
        rank=rank,
        adapter_bytes=size,
        bytes_per_character=round(size / load.characters, 1) if size and load.characters else None,
        scores=[VersionScoreOut(version=version, score=score) for version, score in load.scores],
        taught=load.taught,
        weak=load.weak,
        lost=load.lost,
        headroom=None if load.headroom is None else round(load.headroom, 3),
        advice=advice,
    )


def _adapter(path: str) -> tuple[int | None, int | None]:
    """Rank, and bytes of weights, as the manifest says."""
    try:
        manifest = read_manifest(Path(path))
    except CorruptAdapter:
        return None, None
    rank = manifest.recipe.get("rank")
    size = sum(file.size_bytes for file in manifest.files if file.name.endswith(".safetensors"))
    return rank if isinstance(rank, int) else None, size
