"""vLLM's CPU LoRA wrapper with its linear layers grouped by adapter.

The stock operators (vllm/lora/ops/torch_ops, `bgmv_*`) copy an adapter's weights once for every token
(`weights[indices]`, then einsum). Tokens without an adapter have the index -1, which in Python is the last slot: once
that slot is taken, vLLM 0.32 gives the base model's tokens its weights in every batch that also holds an adapter's.
Here each adapter in the batch costs one plain product with A and one with B for each projection, and tokens without
an adapter cost nothing and stay as they are.
"""

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

from inference.vllm_plugin.products import Group, add_products, group_tokens


class GroupedPunicaWrapper(PunicaWrapperCPU):
    """Overrides what linear layers use. Embeddings, output heads and sharded layers keep the stock operators."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._groups: list[Group] = []

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Takes over which slot each token of the next step uses: grouped here, once a step and not once a layer."""
        super().update_metadata(*args, **kwargs)
        self._groups = group_tokens(self.token_lora_indices.tolist())

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
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        add_products(self._groups, y, x, lora_a_stacked, lora_b_stacked, scale, output_slices)
