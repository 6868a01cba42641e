"""Our norms, vLLM's kernel, against the formula."""

import importlib
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inference.vllm_plugin.norms import normed  # noqa: E402
from knowledge.processor import float_type  # noqa: E402

ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-7}
"""Of a number near one: two such norms may round to neighbours."""

SERVED = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(
            float_type() != "bfloat16", reason="this processor serves float32; vLLM's kernel cuts bf16 off there"
        ),
    ),
]


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    importlib.import_module("vllm.platforms").current_platform.import_kernels()


def reference(x: Any, weight: Any, residual: Any = None) -> Any:
    total = x.float() + (0 if residual is None else residual.float())
    return total / (total.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight.float()


@pytest.mark.parametrize("dtype", SERVED, ids=str)
@pytest.mark.parametrize("tokens", [1, 33])
def test_a_norm_is_the_formula_to_rounding(dtype: Any, tokens: int) -> None:
    generator = torch.Generator().manual_seed(3)
    x, residual = (torch.randn(tokens, 96, generator=generator).to(dtype) for _ in range(2))
    weight = torch.rand(96, generator=generator).to(dtype)

    plain: Any = normed(x, weight, 1e-5, None)
    wanted, both = reference(x, weight, residual), (x.float() + residual.float()).to(dtype)
    of_the_sum, total = normed(x.clone(), weight, 1e-5, residual.clone())

    torch.testing.assert_close(plain.float(), reference(x, weight), atol=ROUNDING[dtype], rtol=ROUNDING[dtype])
    torch.testing.assert_close(of_the_sum.float(), wanted, atol=2 * ROUNDING[dtype], rtol=2 * ROUNDING[dtype])
    assert torch.equal(total, both)
