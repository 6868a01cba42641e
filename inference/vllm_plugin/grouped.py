"""vLLM's CPU LoRA wrapper with its products grouped by adapter.

The stock operators (vllm/lora/ops/torch_ops, `bgmv_*`) copy an adapter's weights once for every token
(`weights[indices]`, then einsum). Tokens without an adapter have the index -1, which in Python is the last slot: once
that slot is taken, vLLM 0.32 gives the base model's tokens its weights in every batch that also holds an adapter's.
Here each adapter in the batch costs one plain product with A for each layer and one with B for each projection; tokens
without an adapter, and layers that an adapter leaves alone, cost nothing.
"""

import os
from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from inference.vllm_plugin.kernels import packed
from inference.vllm_plugin.products import Batch, add_products, group_tokens
from inference.vllm_plugin.slots import Slots

MERGED_GIB = "ENGRAIN_MERGED_WEIGHTS_GIB"


class GroupedPunicaWrapper(PunicaWrapperCPU):
    """Overrides what linear layers, embeddings and output heads use. Sharded layers keep the stock operators."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.slots = Slots(int(float(os.environ.get(MERGED_GIB, "0")) * 2**30), packed)
        self._batch = self._sampled = group_tokens([])

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Takes over which slot each token of the next steps uses: grouped here, and not in each layer."""
        super().update_metadata(*args, **kwargs)
        slots_T = self.token_lora_indices.tolist()
        self._batch = group_tokens(slots_T)
        self._sampled = group_tokens(self.sampler_indices.tolist())
        self.slots.batch_is(self._batch, len(slots_T))

    def add_lora_linear(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_unused: Any,
    ) -> None:
        """Adds the adapters' part of a layer's output to `y` in place; a caller's buffer is not needed."""
        self._add(self._batch, y, x, lora_a_stacked, lora_b_stacked, scale, output_slices)

    def add_lora_logits(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: torch.Tensor,
        lora_b_stacked: torch.Tensor,
        scale: float,
        **_unused: Any,
    ) -> None:
        """Adds the adapters' part of the logits, if they have one. Stock copies 6 MB for each token."""
        width = lora_b_stacked.shape[2]
        self._add(self._sampled, y, x, (lora_a_stacked,), (lora_b_stacked,), scale, (width,))

    def add_lora_embedding(
        self, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, *_unused: Any, **_too: Any
    ) -> None:
        """Adds `x Bᵀ`, where `x` are the adapters' own embeddings, one row a token; without one it is zero."""
        for slot, part in self._batch.groups:
            rows = self._batch.rows_of(part)
            if self.slots.embeds(slot, lora_b_stacked):
                y[rows] += torch.nn.functional.linear(x[rows], lora_b_stacked[slot, 0]).to(y.dtype)

    def _add(
        self,
        batch: Batch,
        y: torch.Tensor,
        x: torch.Tensor,
        a: tuple[torch.Tensor, ...],
        b: tuple[torch.Tensor, ...],
        scale: float,
        widths: tuple[int, ...],
    ) -> None:
        if batch.groups:
            y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
            lows = [self.slots.low(slot, a, b, widths) for slot, _ in batch.groups]
            add_products(y, x, batch, lows, scale)
