"""What each adapter slot of the server holds, as its layers use it; forgotten whenever the slot changes hands.

A slot's contents live in one object, which is thrown away when vLLM writes into the slot or empties it. So neither the
prepared products nor the merged weights of an adapter can be used for the adapter that comes after it.
"""

from collections.abc import Callable, Sequence

import torch

from inference.vllm_plugin.products import Batch, LowRank, low_rank

Product = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
"""A layer's product with its packed weights: inputs and bias (or None) to outputs."""

Pack = Callable[[torch.Tensor], Product]
"""Packs weights, [outputs, inputs], as the server packs those of the base model."""

STEPS_BEFORE_MERGING = 64
"""A merge costs as much time as this many steps save, so an adapter that is asked twice is not merged."""

STEPS_OF_MEMORY = 1024
"""After so many steps the counts of filled batches are halved: the present weighs more than the past."""


def layer_key(a_stacked: Sequence[torch.Tensor]) -> int:
    """What a layer is known by: the address of its stacked weights, which stay where they are."""
    return a_stacked[0].data_ptr()


class Slot:
    """One adapter in the server: its products by layer, and the layers merged so far. `filled` counts its batches."""

    def __init__(self) -> None:
        self.low: dict[int, LowRank | None] = {}
        self.embeds: dict[int, bool] = {}
        self.merged: dict[int, Product] = {}
        self.merged_bytes = 0
        self.filled = 0


class Slots:
    """All slots, and which of them fills the batch of the running step, if one does.

    `budget_bytes` bounds the merged weights of all slots together; 0 switches merging off. `prepare` makes of an
    adapter's products in a layer what this processor computes fastest. `may_merge` says whether this step still may
    merge a layer, `idle` whether no token of it uses an adapter.
    """

    def __init__(self, budget_bytes: int, prepare: Callable[[LowRank], LowRank] = lambda low: low) -> None:
        self.budget_bytes = budget_bytes
        self._prepare = prepare
        self._slots: dict[int, Slot] = {}
        self._filler: int | None = None
        self.may_merge = False
        self.idle = False
        self._steps = 0

    def forget(self, slot: int) -> None:
        """Drops everything that was made from a slot's weights: they have changed, or their adapter is gone."""
        self._slots.pop(slot, None)

    def forget_all(self) -> None:
        """Drops everything."""
        self._slots.clear()

    def batch_is(self, batch: Batch, tokens: int) -> None:
        """Takes note of the coming steps' batch: one adapter fills it when its group holds every token."""
        self.idle = not batch.groups
        slots = [slot for slot, part in batch.groups if part == slice(0, tokens)]
        self._filler = slots[0] if slots else None

    def begin_step(self) -> None:
        """Counts who fills the batch. In each step at most one layer is merged: 15 to 60 ms on one AVX2 core."""
        self.may_merge = False
        if self._filler is None:
            return
        filler = self._slot(self._filler)
        filler.filled += 1
        self.may_merge = self.budget_bytes > 0 and filler.filled > STEPS_BEFORE_MERGING
        self._steps += 1
        if self._steps % STEPS_OF_MEMORY == 0:
            for slot in self._slots.values():
                slot.filled //= 2

    def low(
        self, slot: int, a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], widths: Sequence[int]
    ) -> LowRank | None:
        """What the slot's adapter adds in the layer with these stacked weights, prepared at its first use."""
        prepared, key = self._slot(slot).low, layer_key(a)
        if key not in prepared:
            low = low_rank(slot, a, b, widths)
            prepared[key] = None if low is None else self._prepare(low)
        return prepared[key]

    def embeds(self, slot: int, b: torch.Tensor) -> bool:
        """Whether the slot's adapter has weights in the embedding with this stacked B."""
        known, key = self._slot(slot).embeds, b.data_ptr()
        if key not in known:
            known[key] = bool(b[slot].any())
        return known[key]

    def untouched(self, key: int) -> bool:
        """Whether a layer needs the base model's weights alone in this step.

        That is so without adapters, and where the one that fills the batch leaves the layer alone.
        """
        if self.idle or self._filler is None:
            return self.idle
        return self._slot(self._filler).low.get(key, self) is None

    def merged(self, key: int) -> Product | None:
        """The product with merged weights for the adapter that fills the batch, in the layer with this key."""
        return None if self._filler is None else self._slot(self._filler).merged.get(key)

    def merge(self, a: Sequence[torch.Tensor], base: Product, pack: Pack, inputs: int, dtype: torch.dtype) -> None:
        """Merges this layer for the adapter that fills the batch, if this step may and memory allows.

        The base weights are packed and their originals gone; the layer's product with the identity brings them back,
        exactly (each sum has one term that is not zero).
        """
        if self._filler is None or not self.may_merge:
            return
        filler, key = self._slot(self._filler), layer_key(a)
        low = filler.low.get(key)
        if low is None or key in filler.merged:
            return
        self.may_merge = False
        weights_IO = base(torch.eye(inputs, dtype=dtype), None)
        size = weights_IO.nbytes
        if not self._make_room(filler, size):
            return
        sum_IO = weights_IO.to(low.a_RI.dtype)
        low.expand(sum_IO, low.a_RI.t())
        filler.merged[key] = pack(sum_IO.to(dtype).t().contiguous())
        filler.merged_bytes += size

    def _make_room(self, filler: Slot, size: int) -> bool:
        """Whether the merged copy fits, if need be in the place of one whose adapter fills half as many batches."""
        while sum(slot.merged_bytes for slot in self._slots.values()) + size > self.budget_bytes:
            others = [slot for slot in self._slots.values() if slot.merged and slot.filled * 2 <= filler.filled]
            if not others:
                return False
            least = min(others, key=lambda slot: slot.filled)
            least.merged.clear()
            least.merged_bytes = 0
        return True

    def _slot(self, slot: int) -> Slot:
        return self._slots.setdefault(slot, Slot())
