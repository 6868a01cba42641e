"""LoRA's low-rank products for a batch whose tokens use different adapters, one adapter at a time.

Axis letters: T tokens of the batch, S those with an adapter, sorted by it, G those of one adapter, I inputs, R ranks of
all projections, O outputs of all projections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import linear


@dataclass(frozen=True)
class Batch:
    """The rows of a batch that use adapters, sorted by adapter, and each adapter's slot with its part of these rows."""

    rows: slice | torch.Tensor
    groups: tuple[tuple[int, slice], ...]

    def rows_of(self, part: slice) -> slice | torch.Tensor:
        """The batch's rows of one part."""
        if isinstance(self.rows, torch.Tensor):
            return self.rows[part]
        return slice(self.rows.start + part.start, self.rows.start + part.stop)


@dataclass(frozen=True)
class Part:
    """One projection: its ranks (from, to), its outputs (from, to) and its B, [outputs, ranks]."""

    ranks: slice
    outputs: slice
    b: torch.Tensor


@dataclass(frozen=True)
class LowRank:
    """What one adapter adds in one layer. The projections that share the input (q, k, v; gate, up) share one A.

    `width` counts the outputs of all projections, also of those that the adapter leaves alone.
    """

    a_RI: torch.Tensor
    parts: tuple[Part, ...]
    width: int

    def expand(self, y_TO: torch.Tensor, hidden_TR: torch.Tensor) -> None:
        """Adds each projection's `hidden Bᵀ` to its columns of `y`: one fused operation each where the types agree."""
        for part in self.parts:
            columns = y_TO[:, part.outputs]
            if columns.dtype == part.b.dtype:
                columns.addmm_(hidden_TR[:, part.ranks], part.b.t())
            else:
                columns += linear(hidden_TR[:, part.ranks], part.b)

    def add(self, y_GO: torch.Tensor, x_GI: torch.Tensor, scale: float) -> None:
        """Adds `x Aᵀ Bᵀ scale` to `y` in place, computed in the precision of these weights."""
        self.expand(y_GO, self._hidden(x_GI, scale))

    def product(self, x_GI: torch.Tensor, scale: float) -> torch.Tensor:
        """`x Aᵀ Bᵀ scale`, [G, O] in the precision of `x`."""
        y_GO = torch.zeros(len(x_GI), self.width, dtype=self.a_RI.dtype)
        self.expand(y_GO, self._hidden(x_GI, scale))
        return y_GO.to(x_GI.dtype)

    def _hidden(self, x_GI: torch.Tensor, scale: float) -> torch.Tensor:
        hidden_GR = linear(x_GI.to(self.a_RI.dtype), self.a_RI)
        return hidden_GR if scale == 1.0 else hidden_GR * scale


def group_tokens(slots_T: list[int]) -> Batch:
    """Groups the tokens by slot; -1 means no adapter. Rows that lie sorted and side by side become a slice: no copy."""
    found: dict[int, list[int]] = {}
    for row, slot in enumerate(slots_T):
        if slot >= 0:
            found.setdefault(slot, []).append(row)
    rows = [row for group in found.values() for row in group]
    groups, start = [], 0
    for slot, group in found.items():
        groups.append((slot, slice(start, start + len(group))))
        start += len(group)
    first = rows[0] if rows else 0
    in_place = rows == list(range(first, first + len(rows)))
    return Batch(slice(first, first + len(rows)) if in_place else torch.tensor(rows), tuple(groups))


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
    return LowRank(torch.cat(found), tuple(parts), start) if found else None


def add_products(
    y_TO: torch.Tensor, x_TI: torch.Tensor, batch: Batch, lows: Sequence[LowRank | None], scale: float
) -> None:
    """Adds to each group's rows what its adapter's products are (None: nothing), `lows` being in the groups' order.

    Rows that lie scattered are gathered once and added once for all groups together: of three adapters in a batch that
    is three quarters of the time of one after the other.
    """
    x_SI = x_TI[batch.rows]
    if isinstance(batch.rows, slice):
        for (_, part), low in zip(batch.groups, lows, strict=True):
            if low is not None:
                low.add(y_TO[batch.rows][part], x_SI[part], scale)
    elif any(lows):
        added = [
            x_SI.new_zeros(part.stop - part.start, y_TO.shape[1]) if low is None else low.product(x_SI[part], scale)
            for (_, part), low in zip(batch.groups, lows, strict=True)
        ]
        y_TO.index_add_(0, batch.rows, (torch.cat(added) if len(added) > 1 else added[0]).to(y_TO.dtype))


def _used(is_used: torch.Tensor) -> int:
    """One more than the last index that is used."""
    found = is_used.nonzero()
    return int(found[-1]) + 1 if len(found) else 0
