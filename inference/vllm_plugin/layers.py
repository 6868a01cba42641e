"""Where merged weights meet vLLM: its LoRA layers ask for them, its adapter manager says when a slot changes.

Both are reached by replacing a method and a class attribute, when vLLM's LoRA code is first imported for a server.
"""

from functools import partial
from typing import Any

import torch
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.model_manager import LRUCacheLoRAModelManager
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager
from vllm.model_executor.layers.linear import UnquantizedLinearMethod
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

from inference.vllm_plugin.grouped import GroupedPunicaWrapper
from inference.vllm_plugin.slots import Product, Slots


class SlotTellingManager(LRUCacheLoRAModelManager):
    """vLLM's adapter manager, which tells our operators about steps, and about every slot whose adapter changes."""

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


def _apply(self: Any, x: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    """A layer's output: from merged weights when there are some for this batch, else as vLLM computes it."""
    punica, method = self.punica_wrapper, self._get_quant_method()
    if not isinstance(punica, GroupedPunicaWrapper):
        return self._apply_lora_to_output(x, method.apply(self.base_layer, x, bias))
    merged = punica.slots.merged(self.lora_a_stacked)
    if merged is not None:
        return merged(x, bias)
    output = self._apply_lora_to_output(x, method.apply(self.base_layer, x, bias))
    if punica.slots.may_merge and type(method) is UnquantizedLinearMethod and self.tp_size == 1:
        base = partial(method.apply, self.base_layer)
        punica.slots.merge(self.lora_a_stacked, base, _pack, self.input_size, x.dtype)
    return output


def _pack(weights_OI: torch.Tensor) -> Product:
    """Packs merged weights as vLLM packs the base model's: the same kernels, the same speed."""
    layer: Any = torch.nn.Module()
    layer.weight = torch.nn.Parameter(weights_OI, requires_grad=False)
    dispatch_cpu_unquantized_gemm(layer, remove_weight=True)

    def product(x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        y: torch.Tensor = layer.cpu_linear(x, layer.weight, bias)
        return y

    return product
