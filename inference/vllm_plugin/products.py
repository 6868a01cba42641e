"""LoRA's low-rank products for a batch whose tokens use different adapters, one adapter at a time.

Axis letters: T tokens of the batch, G tokens of one group, I inputs, R ranks of all projections, O outputs of all
projections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import linear

Group = tuple[int, slice | torch.Tensor]
"""An adapter's slot in the stacked weights, and the rows of the batch that use it."""


@dataclass(frozen=True)
class Part:
    """One projection: its ranks (from, to), its outputs (from, to) and its B, [outputs, ranks]."""

    ranks: slice
    outputs: slice
    b: torch.Tensor


@dataclass(frozen=True)
class LowRank:
    """What one adapter adds in one layer. The projections that share the input (q, k, v; gate, up) share one A."""

    a_RI: torch.Tensor
    parts: tuple[Part, ...]

    def expand(self, y_TO: torch.Tensor, hidden_TR: torch.Tensor) -> None:
        """Adds each projection's `hidden Bᵀ` to its columns of `y`: one fused operation each where the types agree."""
        for part in self.parts:
            columns = y_TO[:, part.outputs]
            if columns.dtype == part.b.dtype:
                columns.addmm_(hidden_TR[:, part.ranks], part.b.t())
            else:
                columns += linear(hidden_TR[:, part.ranks], part.b)


def group_tokens(slots_T: list[int]) -> list[Group]:
    """Groups the tokens by slot; -1 means no adapter and makes no group. Adjacent rows become a slice: no copy."""
    rows: dict[int, list[int]] = {}
    for row, slot in enumerate(slots_T):
        if slot >= 0:
            rows.setdefault(slot, []).append(row)
    return [
        (slot, slice(found[0], found[-1] + 1) if found[-1] - found[0] == len(found) - 1 else torch.tensor(found))
        for slot, found in rows.items()
    ]


def low_rank(
    slot: int, a_stacked: Sequence[torch.Tensor], b_stacked: Sequence[torch.Tensor], widths: Sequence[int]
) -> LowRank | None:
    """What the adapter in a slot adds in this layer; None for nothing (a layer, or a projection, that it leaves alone).

    Each A is [slots, 1, R, I] and each B [slots, 1, O, R], one pair for each projection, `widths` being their O. An
    adapter of a lower rank than the slot's leaves the rest zero, which is cut off here.
    """
    found, parts, ranks, start = [], [], 0, 0
    for a, b, width in zip(a_stacked, b_stacked, widths, strict=True):
        used = min(_used(a[slot, 0].any(dim=1)), _used(b[slot, 0].any(dim=0)))
        if used:
            found.append(a[slot, 0, :used])
            parts.append(Part(slice(ranks, ranks + used), slice(start, start + width), b[slot, 0, :width, :used]))
        ranks, start = ranks + used, start + width
    return LowRank(torch.cat(found), tuple(parts)) if found else None


def add_products(y: torch.Tensor, x: torch.Tensor, rows: slice | torch.Tensor, low: LowRank, scale: float) -> None:
    """Adds `x Aᵀ Bᵀ scale` to the group's rows of `y` in place, computed in the precision of the adapter's weights."""
    hidden_GR = linear(x[rows].to(low.a_RI.dtype), low.a_RI)
    if scale != 1.0:
        hidden_GR *= scale
    if isinstance(rows, slice):
        low.expand(y[rows], hidden_GR)
    else:
        apart_GO = torch.zeros(len(rows), y.shape[1], dtype=low.a_RI.dtype)
        low.expand(apart_GO, hidden_GR)
        y.index_add_(0, rows, apart_GO.to(y.dtype))


def _used(is_used: torch.Tensor) -> int:
    """One more than the last index that is used."""
    found = is_used.nonzero()
    return int(found[-1]) + 1 if len(found) else 0
