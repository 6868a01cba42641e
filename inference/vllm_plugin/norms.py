"""RMSNorm as one of vLLM's compiled kernels, where vLLM runs ten of PyTorch's operators.

On x86 vLLM leaves its norms to torch.compile, which it switches off on a CPU as soon as LoRA is on. The kernel computes
in float32 within, as those operators do, and rounds once. The kernel for SwiGLU is slower than PyTorch's operators
from eight tokens on, so that stays.
"""

from collections.abc import Callable
from typing import Any

import torch

Normed = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


def install() -> None:
    """Makes norms that are built from now on use the kernel; a build of vLLM without it keeps its operators."""
    from vllm.model_executor.layers.layernorm import RMSNorm
    from vllm.platforms import current_platform

    current_platform.import_kernels()
    if hasattr(torch.ops._C, "fused_add_rms_norm"):
        RMSNorm.forward_cpu = _forward


def normed(x_TH: torch.Tensor, weight_H: torch.Tensor, epsilon: float, residual_TH: torch.Tensor | None) -> Normed:
    """`x / rms(x) * weight`; with a residual that of their sum, and the sum, both in the place of the arguments."""
    if residual_TH is not None:
        torch.ops._C.fused_add_rms_norm.default(x_TH, residual_TH, weight_H, epsilon)
        return x_TH, residual_TH
    y_TH = torch.empty_like(x_TH)
    torch.ops._C.rms_norm.default(y_TH, x_TH, weight_H, epsilon)
    return y_TH


def direct(norm: Any) -> Callable[..., Normed]:
    """A norm's `forward` without its module, where it is the kernel."""
    if type(norm).forward_cpu is not _forward or not _is_plain(norm):
        return norm.forward  # type: ignore[no-any-return]
    weight, epsilon, native = norm.weight, norm.variance_epsilon, norm.forward_native

    def forward(x: torch.Tensor, residual: torch.Tensor | None = None) -> Normed:
        return normed(x, weight, epsilon, residual) if x.is_contiguous() else native(x, residual)

    return forward


def _is_plain(norm: Any) -> bool:
    return norm.variance_size_override is None and bool(norm.has_weight)


def _forward(self: Any, x: torch.Tensor, residual: torch.Tensor | None = None) -> Normed:
    """As `RMSNorm.forward_native`, which stays for norms without weights and for part of the features."""
    if not _is_plain(self) or not x.is_contiguous():
        found: Normed = self.forward_native(x, residual)
        return found
    return normed(x, self.weight, self.variance_epsilon, residual)
