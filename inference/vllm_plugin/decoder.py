"""A decoder layer as its kernels, one after the other, without the modules between them.

What a module costs, however little it computes, is a call through PyTorch's `Module` and the look-ups of its parts, in
Python and on one thread. A layer has nine of them, and together they are a sixth of a step of eight tokens.
"""

from collections.abc import Callable
from typing import Any

import torch
from vllm.distributed.kv_transfer import has_kv_transfer_group
from vllm.forward_context import get_forward_context
from vllm.model_executor.layers.attention.attention import Attention
from vllm.model_executor.layers.rotary_embedding.base import RotaryEmbedding
from vllm.v1.attention.backend import AttentionType
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackendImpl

from inference.vllm_plugin import norms

DECODER_LAYERS = {"LlamaDecoderLayer": "LlamaAttention", "Qwen2DecoderLayer": "Qwen2Attention"}
"""vLLM's classes whose `forward` is norm, attention, norm, feed-forward block, with the attention that belongs to them.

The attention is one product for q, k and v, positions, attention, product; relatives share the classes.
"""


def shorten(model: torch.nn.Module) -> None:
    """Makes decoder layers call their parts directly. The parts' `forward` must be what it will be by then."""
    for layer in model.modules():
        attention = getattr(layer, "self_attn", None)
        if type(attention).__name__ == DECODER_LAYERS.get(type(layer).__name__) and _is_plain(attention):
            layer.forward = _whole(layer)


def _is_plain(attention: Any) -> bool:
    """Whether it is nothing but what `DECODER_LAYERS` says: Qwen2's may norm q and k, or attend in chunks."""
    return not getattr(attention, "qk_norm", False) and getattr(attention, "dual_chunk_attention_config", None) is None


def _whole(layer: Any) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    attention = layer.self_attn
    norm, second_norm = norms.direct(layer.input_layernorm), norms.direct(layer.post_attention_layernorm)
    qkv, output, feed_forward = attention.qkv_proj.forward, attention.o_proj.forward, layer.mlp.forward
    rotate, attend = _rotation(attention.rotary_emb), _attention(attention.attn)
    widths = [attention.q_size, attention.kv_size, attention.kv_size]

    def forward(
        positions: torch.Tensor, hidden_states: torch.Tensor, residual: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if residual is None:
            x_TH, residual = norm(hidden_states), hidden_states
        else:
            x_TH, residual = norm(hidden_states, residual)
        q, k, v = qkv(x_TH)[0].split(widths, -1)
        q, k = rotate(positions, q, k)
        x_TH, residual = second_norm(output(attend(q, k, v))[0], residual)
        return feed_forward(x_TH), residual

    return forward


def _rotation(rotary: Any) -> Callable[..., Any]:
    """Turns q and k by their positions, in place where vLLM's own `forward` does so by its kernel."""
    if type(rotary).forward_cpu is not RotaryEmbedding.forward_cpu:
        return rotary.forward  # type: ignore[no-any-return]
    kernel, size, is_neox = torch.ops._C.rotary_embedding.default, rotary.head_size, rotary.is_neox_style
    cos_sin = rotary.cos_sin_cache

    def rotate(positions: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal cos_sin
        if cos_sin.dtype != q.dtype:
            cos_sin = rotary._match_cos_sin_cache_dtype(q)
        kernel(positions, q, k, size, cos_sin, is_neox)
        return q, k

    return rotate


def _attention(layer: Any) -> Callable[..., torch.Tensor]:
    """Keeps k and v, [T, heads × size], in the cache, and attends with q: [T, heads × size]."""
    impl = layer.impl
    if not (type(layer) is Attention and isinstance(impl, CPUAttentionBackendImpl) and _is_ordinary(layer, impl)):
        return layer.forward  # type: ignore[no-any-return]
    keep, kernel = torch.ops._C.cpu_attn_reshape_and_cache.default, torch.ops._C.cpu_attention_with_kv_cache.default
    name, heads, kv_heads, size = layer.layer_name, layer.num_heads, layer.num_kv_heads, layer.head_size
    scales = layer._k_scale_float, layer._v_scale_float, impl.kv_cache_dtype
    cache, keys, values = None, None, None

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        nonlocal cache, keys, values
        context = get_forward_context()
        step = context.attn_metadata[name] if isinstance(context.attn_metadata, dict) else None
        if step is None or step.num_actual_tokens != len(q) or has_kv_transfer_group():
            return layer.forward(q, k, v)  # type: ignore[no-any-return]
        if cache is not layer.kv_cache:  # [blocks, heads, block, 2 × size], in which keys come first
            cache = layer.kv_cache
            keys, values = cache.view(*cache.shape[:2], 2 * cache.shape[2], -1).chunk(2, dim=2)
        k, v = k.view(-1, kv_heads, size), v.view(-1, kv_heads, size)
        keep(k, v, keys, values, context.slot_mapping[name], layer.isa, *scales)
        y = q.new_empty(len(q), heads * size)
        kernel(
            q.view(-1, heads, size),
            keys,
            values,
            y.view(-1, heads, size),
            step.query_start_loc,
            step.seq_lens,
            impl.scale,
            step.causal,
            impl.alibi_slopes,
            impl.sliding_window,
            step.block_table,
            impl.logits_soft_cap,
            step.scheduler_metadata,
            None,
            step.dynamic_causal,
            *scales,
        )
        return y

    return attend


def _is_ordinary(layer: Any, impl: Any) -> bool:
    """Whether attention does nothing beside: no other layer's cache, no sinks, no quantized values, no encoder."""
    return (
        impl.attn_type == AttentionType.DECODER
        and impl.sinks is None
        and layer.kv_sharing_target_layer_name is None
        and layer.query_quant is None
        and not impl.is_fp8_kv_cache
        and layer.head_size == layer.head_size_v
    )
