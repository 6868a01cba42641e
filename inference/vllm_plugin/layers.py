"""Where our operators meet vLLM: its LoRA layers go the shortest way, its adapter manager says when a slot changes.

Both are reached by replacing methods and a class attribute, when vLLM's LoRA code is first imported for a server.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from vllm.lora.layers.base import BaseLayerWithLoRA
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.layers.vocab_parallel_embedding import VocabParallelEmbeddingWithLoRA
from vllm.lora.model_manager import LRUCacheLoRAModelManager
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.model_executor.layers import utils
from vllm.model_executor.layers.activation import SiluAndMul
from vllm.model_executor.layers.linear import UnquantizedLinearMethod

from inference.vllm_plugin.decoder import shorten
from inference.vllm_plugin.grouped import GroupedPunicaWrapper
from inference.vllm_plugin.kernels import PackedProduct, swiglu
from inference.vllm_plugin.slots import Product, Slots, layer_key

SWIGLU_BLOCKS = ("LlamaMLP", "Qwen2MLP")
"""vLLM's classes whose `forward` is `down(silu(gate(x)) * up(x))` and nothing else; relatives share them."""


class SlotTellingManager(LRUCacheLoRAModelManager):
    """vLLM's adapter manager, which tells our operators about steps, and about every slot whose adapter changes."""

    def _create_lora_modules(self) -> None:
        super()._create_lora_modules()
        for slots in self._all_slots():
            fuse_swiglu(self.model, slots)
        shorten(self.model)

    def activate_adapter(self, lora_id: int) -> bool:
        """Also when it fails half-way: a slot is half written then."""
        if lora_id in self._active_adapters:
            return bool(super().activate_adapter(lora_id))
        try:
            return bool(super().activate_adapter(lora_id))
        finally:
            self._forget(lora_id)

    def _deactivate_adapter(self, lora_id: int) -> None:
        self._forget(lora_id)
        super()._deactivate_adapter(lora_id)

    def remove_all_adapters(self) -> None:
        """Empties every slot."""
        super().remove_all_adapters()
        for slots in self._all_slots():
            slots.forget_all()

    def set_adapter_mapping(self, mapping: Any) -> None:
        """Called before each step, also when its batch is made as the last one was."""
        super().set_adapter_mapping(mapping)
        for slots in self._all_slots():
            slots.begin_step()

    def _forget(self, lora_id: int) -> None:
        if lora_id in self.lora_index_to_id:
            for slots in self._all_slots():
                slots.forget(self.lora_index_to_id.index(lora_id))

    def _all_slots(self) -> list[Slots]:
        wrappers = self.punica_wrapper_mapping.values()
        return [wrapper.slots for wrapper in wrappers if isinstance(wrapper, GroupedPunicaWrapper)]


def install() -> None:
    """Makes vLLM's LoRA layers and its manager ours."""
    LRUCacheWorkerLoRAManager._manager_cls = SlotTellingManager
    BaseLinearLayerWithLoRA._apply_sync = _apply
    stock = BaseLayerWithLoRA.set_mapping

    def set_mapping(self: Any, punica_wrapper: Any) -> None:
        stock(self, punica_wrapper)
        if isinstance(punica_wrapper, GroupedPunicaWrapper):
            self.forward = _shortest(self, punica_wrapper)

    BaseLayerWithLoRA.set_mapping = set_mapping


def _shortest(layer: Any, wrapper: GroupedPunicaWrapper) -> Callable[..., Any]:
    """The layer's `forward`, which goes through vLLM's LoRA code for a step that may merge alone.

    Of 120 layers in a step of one token the Python alone is a twentieth (docs/decisions.md).
    """
    slots, whole, without = wrapper.slots, layer.forward, layer.base_layer.forward

    def unless_idle(x: torch.Tensor) -> Any:
        return without(x) if slots.idle else whole(x)

    if isinstance(layer, BaseLinearLayerWithLoRA):
        plain = _product(layer.base_layer)
        return unless_idle if plain is None else _linear(layer, plain, wrapper)
    return unless_idle if isinstance(layer, VocabParallelEmbeddingWithLoRA) else cast("Callable[..., Any]", whole)


def _linear(layer: Any, plain: Product, wrapper: GroupedPunicaWrapper) -> Callable[..., Any]:
    """A linear layer's `forward` over its product with the base's weights."""
    slots, whole, base, key = wrapper.slots, layer.forward, layer.base_layer, layer_key(layer.lora_a_stacked)
    bias, left_bias = (None, base.bias) if base.skip_bias_add else (base.bias, None)

    def forward(x: torch.Tensor) -> Any:
        if slots.untouched(key):
            y = plain(x, bias)
        elif (merged := slots.merged(key)) is not None:
            y = merged(x, bias)
        elif slots.may_merge:
            return whole(x)
        else:
            y = plain(x, bias)
            wrapper.add_lora_linear(y, x, layer.lora_a_stacked, layer.lora_b_stacked, 1.0, layer.output_slices)
        return (y, left_bias) if base.return_bias else y

    return forward


def _product(base: Any) -> Product | None:
    """A layer's product with the base's weights, without its modules; None where other processes have a part of it."""
    if base.tp_size > 1 or type(base.quant_method) is not UnquantizedLinearMethod:
        return None
    product, weight = base.cpu_linear, base.weight
    return lambda x, bias: product(x, weight, bias)


def fuse_swiglu(model: torch.nn.Module, slots: Slots) -> None:
    """Makes feed-forward blocks one kernel, in steps whose weights are the base's or merged."""
    for block in model.modules():
        if type(block).__name__ in SWIGLU_BLOCKS and type(block.act_fn) is SiluAndMul:
            gate_up, down = block.gate_up_proj, block.down_proj
            if _is_plain_and_packed(gate_up) and _is_plain_and_packed(down):
                block.forward = _fused(block.forward, gate_up, down, slots)


def _is_plain_and_packed(layer: Any) -> bool:
    if not isinstance(layer, BaseLinearLayerWithLoRA) or layer.tp_size > 1:
        return False
    base: Any = layer.base_layer
    return base.bias is None and isinstance(getattr(base, "cpu_linear", None), PackedProduct)


def _fused(whole: Callable[..., Any], gate_up: Any, down: Any, slots: Slots) -> Callable[..., Any]:
    """A block's `forward`: one kernel where each layer has packed weights for the whole batch, else as it was."""

    def packed(layer: Any, key: int) -> PackedProduct | None:
        if slots.untouched(key):
            return cast("PackedProduct", layer.base_layer.cpu_linear)
        merged = slots.merged(key)
        return merged.linear if isinstance(merged, Merged) and isinstance(merged.linear, PackedProduct) else None

    keys = layer_key(gate_up.lora_a_stacked), layer_key(down.lora_a_stacked)

    def forward(x: torch.Tensor) -> Any:
        first, second = packed(gate_up, keys[0]), packed(down, keys[1])
        return whole(x) if first is None or second is None else swiglu(x, first, second)

    return forward


def _apply(self: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    """A layer's output as vLLM computes it; now and then its weights are merged for the adapter that fills the batch.

    Layers that are split among processes are never merged, so `_shortest` has nothing to gather.
    """
    punica, method = self.punica_wrapper, self._get_quant_method()
    output = self._apply_lora_to_output(x, method.apply(self.base_layer, x, bias))
    if not isinstance(punica, GroupedPunicaWrapper):
        return output
    if punica.slots.may_merge and type(method) is UnquantizedLinearMethod and self.tp_size == 1:
        base = partial(method.apply, self.base_layer)
        punica.slots.merge(self.lora_a_stacked, base, Merged, self.input_size, x.dtype)
    return output


class Merged:
    """A layer's product with merged weights, packed as the base model's are: the same kernels, the same speed."""

    def __init__(self, weights_OI: torch.Tensor) -> None:
        layer: Any = torch.nn.Module()
        layer.weight = torch.nn.Parameter(weights_OI, requires_grad=False)
        utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
        self.linear: Callable[..., torch.Tensor] = layer.cpu_linear
        self._weight = layer.weight

    def __call__(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Inputs [..., I] to outputs [..., O]."""
        return self.linear(x, self._weight, bias)
