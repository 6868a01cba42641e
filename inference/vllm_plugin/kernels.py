"""Products by vLLM's kernel for packed bf16 weights, which vLLM itself takes with AMX alone.

With AVX-512's bf16 instructions it needs less time than oneDNN's too: a third less at one row, an eighth at 8, and as
much beyond. An adapter's small products take half to a sixth of PyTorch's time in float32. Figures: docs/decisions.md.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from inference.vllm_plugin.products import LowRank


def install() -> None:
    """Makes layers that are built from now on use the kernel where it fits."""
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    stock = utils.dispatch_cpu_unquantized_gemm

    def dispatch(layer: Any, remove_weight: bool) -> None:
        weight = layer.weight
        if weight.is_meta or weight.ndim != 2 or not fits(len(weight), weight.shape[1], weight.dtype):
            stock(layer, remove_weight)
            return
        layer.cpu_linear = PackedProduct(weight)
        if getattr(layer, "bias", None) is not None:
            layer.bias.data = layer.bias.float()  # as the kernel wants it
        if remove_weight:
            layer.weight = torch.nn.Parameter(weight.new_empty(0), requires_grad=False)

    utils.dispatch_cpu_unquantized_gemm = dispatch


def fits(outputs: int, inputs: int, dtype: torch.dtype) -> bool:
    """Whether this processor should compute a product with weights [outputs, inputs] by the kernel."""
    bf16_alone = torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported()
    return bool(bf16_alone and dtype == torch.bfloat16 and outputs % 16 == 0 and inputs % 32 == 0)


class PackedProduct:
    """A layer's product. It is called as vLLM calls a layer's `cpu_linear`, whose weight is unused here."""

    def __init__(self, weights_OI: torch.Tensor) -> None:
        self.outputs = len(weights_OI)
        self.packed: torch.Tensor = torch.ops._C.convert_weight_packed(weights_OI)

    def __call__(
        self, x: torch.Tensor, _weight: torch.Tensor | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Inputs [..., I] and a float32 bias [O] to outputs [..., O]."""
        y = x.new_empty(*x.shape[:-1], self.outputs)
        rows = (y, x) if x.dim() == 2 else (y.view(-1, self.outputs), x.reshape(-1, x.shape[-1]))
        torch.ops._C.weight_packed_linear.default(*rows, self.packed, bias, True)
        return y


def swiglu(x_TH: torch.Tensor, gate_up: PackedProduct, down: PackedProduct) -> torch.Tensor:
    """`down(silu(gate(x)) * up(x))` by the kernel for experts, of which there is one, an eighth faster than three."""
    y_TH = torch.empty_like(x_TH)
    weights, experts = _one_expert(len(x_TH))
    unused = (None,) * 10  # scales and zero points of quantized weights, biases, limits
    torch.ops._C.fused_experts_cpu.default(
        y_TH, x_TH, gate_up.packed[None], down.packed[None], weights, experts, _UNQUANTIZED, *unused, True
    )
    return y_TH


@dataclass(frozen=True)
class PackedLowRank(LowRank):
    """The same in bf16 with one packed matrix for A and one for all B, whose blocks stand on a diagonal."""

    a: PackedProduct
    b: PackedProduct

    def add(self, y_GO: torch.Tensor, x_GI: torch.Tensor, scale: float) -> None:
        """As `LowRank.add`; what is added is rounded to bf16, as `y` is."""
        y_GO += self.product(x_GI, scale)

    def product(self, x_GI: torch.Tensor, scale: float) -> torch.Tensor:
        """As `LowRank.product`, in bf16 where `x` is."""
        if x_GI.dtype != torch.bfloat16:
            return super().product(x_GI, scale)
        hidden_GR = self.a(x_GI)
        return self.b(hidden_GR if scale == 1.0 else hidden_GR * scale)


def packed(low: LowRank) -> LowRank:
    """An adapter's products in a layer, packed where the kernel fits; else as they are."""
    ranks, inputs = low.a_RI.shape
    ranks += -ranks % 32
    if not (fits(ranks, inputs, torch.bfloat16) and fits(low.width, ranks, torch.bfloat16)):
        return low
    a_RI, b_OR = torch.zeros(ranks, inputs), torch.zeros(low.width, ranks)
    a_RI[: len(low.a_RI)] = low.a_RI
    for part in low.parts:
        b_OR[part.outputs, part.ranks] = part.b
    return PackedLowRank(low.a_RI, low.parts, low.width, PackedProduct(a_RI.bfloat16()), PackedProduct(b_OR.bfloat16()))


_UNQUANTIZED = 0


@lru_cache(maxsize=512)
def _one_expert(tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every token's weights and choice of experts, where there is one: [T, 1] each."""
    return torch.ones(tokens, 1), torch.zeros(tokens, 1, dtype=torch.int32)
