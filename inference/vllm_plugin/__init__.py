"""Our vLLM plugin: on a CPU LoRA as plain matrix products, and faster kernels. Nothing else here imports vLLM.

vLLM calls `register` in each of its processes (entry point group `vllm.general_plugins`), maybe twice.
The second time, and on any platform but the CPU, it does nothing.
"""

from functools import cache

GROUPED_OPERATORS = "inference.vllm_plugin.grouped.GroupedPunicaWrapper"


@cache
def register() -> None:
    """Puts our LoRA operators and kernels in the place of the stock CPU ones, and keeps adapter weights in float32.

    float32 because in oneDNN a small bf16 product costs 20 µs on one thread and the same float32 product 3 µs (a fixed
    cost a call), and because it is how PEFT computes: what is merged or packed from them is rounded once.
    """
    import torch
    from vllm.config.lora import LoRAConfig
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    from inference.vllm_plugin import blocks, kernels, layers, norms, prefixes

    blocks.install()
    kernels.install()
    layers.install()
    norms.install()
    prefixes.install()
    type(current_platform).get_punica_wrapper = staticmethod(lambda: GROUPED_OPERATORS)
    stock = LoRAConfig.verify_with_model_config

    def verify_with_model_config(self: LoRAConfig, model_config: object) -> None:
        if self.lora_dtype == "auto":
            self.lora_dtype = torch.float32
        stock(self, model_config)

    LoRAConfig.verify_with_model_config = verify_with_model_config
