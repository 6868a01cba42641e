"""Small blocks of the KV cache: a prompt shares whole blocks alone with the prompts before it.

vLLM's default on a CPU is 128 tokens, and it takes no fewer than 32, so a system prompt of 30 tokens would be computed
again for every question. Its attention has a kernel for 16, which is no slower (docs/decisions.md).
"""

import platform
from collections.abc import Callable
from typing import Any

import torch

BLOCK_TOKENS = 16
DEFAULT_BLOCK_TOKENS = 128


def install() -> None:
    """Makes servers that start from now on use small blocks where this processor takes them."""
    from vllm.platforms import current_platform
    from vllm.v1.attention.backend import MultipleOf
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    if takes_small_blocks():
        CPUAttentionBackend.get_supported_kernel_block_sizes = staticmethod(
            lambda _spec=None: [MultipleOf(BLOCK_TOKENS)]
        )
        cpu = type(current_platform)
        cpu.check_and_update_config = classmethod(with_small_blocks(cpu.check_and_update_config.__func__))


def takes_small_blocks() -> bool:
    """Whether vLLM's attention computes blocks of 16 tokens as fast as larger ones: on x86, but for its AMX kernel."""
    return platform.machine() == "x86_64" and not torch.cpu._is_amx_tile_supported()


def with_small_blocks(stock: Callable[[type, Any], None]) -> Callable[[type, Any], None]:
    """Replaces vLLM's default alone: not what was asked for, nor what a model with other needs gets."""

    def check_and_update_config(cls: type, config: Any) -> None:
        stock(cls, config)
        cache, model = config.cache_config, config.model_config
        is_default = cache.block_size == DEFAULT_BLOCK_TOKENS and not cache.user_specified_block_size
        if is_default and not model.is_hybrid:
            cache.block_size = BLOCK_TOKENS

    return check_and_update_config
