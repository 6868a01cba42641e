"""Adds LoRA's low-rank products to a batch whose tokens use different adapters, one adapter at a time.

Axis letters: T tokens of the batch, G tokens of one group, I inputs, R rank, O outputs of one projection.
"""

import torch
from torch.nn.functional import linear

Group = tuple[int, slice | torch.Tensor]
"""An adapter's slot in the stacked weights, and the rows of the batch that use it."""


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


def add_products(
    groups: list[Group],
    y: torch.Tensor,
    x: torch.Tensor,
    a_stacked: tuple[torch.Tensor, ...],
    b_stacked: tuple[torch.Tensor, ...],
    scale: float,
    widths: tuple[int, ...],
) -> None:
    """Adds each token's `x Aᵀ Bᵀ scale` to `y` in place, computed in the precision of the weights.

    `y` is [T, sum of O], `x` [T, I], each A [slots, 1, R, I] and each B [slots, 1, O, R]: one pair for each projection
    that shares the layer (q, k, v; or gate, up), `widths` being their O.
    """
    for slot, rows in groups:
        x_GI = x[rows].to(a_stacked[0].dtype)
        start = 0
        for a, b, width in zip(a_stacked, b_stacked, widths, strict=True):
            h_GR = linear(x_GI, a[slot, 0])
            y[rows, start : start + width] += linear(h_GR if scale == 1.0 else h_GR * scale, b[slot, 0])
            start += width
