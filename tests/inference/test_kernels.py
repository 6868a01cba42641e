"""Products by vLLM's kernels for packed weights, against the formula, and where the kernels are taken."""

import importlib
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inference.vllm_plugin.kernels import PackedLowRank, PackedProduct, fits, packed, swiglu  # noqa: E402
from inference.vllm_plugin.products import LowRank, add_products, group_tokens, low_rank  # noqa: E402

INPUTS, WIDTHS, SLOTS = 96, (64, 32, 32), 2

needs_bf16_alone = pytest.mark.skipif(
    not fits(16, 32, torch.bfloat16), reason="this processor computes LoRA in float32, or has AMX"
)


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    importlib.import_module("vllm.platforms").current_platform.import_kernels()


def layer(rank: int, widths: tuple[int, ...] = WIDTHS) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(5)
    a = tuple(torch.randn(SLOTS, 1, rank, INPUTS, generator=generator) * 0.1 for _ in widths)
    b = tuple(torch.randn(SLOTS, 1, width, rank, generator=generator) * 0.1 for width in widths)
    return a, b


def prepared(slot: int, a: Any, b: Any) -> LowRank:
    low = low_rank(slot, a, b, WIDTHS)
    assert low is not None
    found = packed(low)
    assert isinstance(found, PackedLowRank)
    return found


def random(*shape: int, seed: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


@needs_bf16_alone
@pytest.mark.parametrize("tokens", [1, 5, 47])
@pytest.mark.parametrize("bias", [None, 1.5])
def test_a_packed_product_is_the_formula_to_rounding(tokens: int, bias: float | None) -> None:
    x, weights = random(tokens, 96, seed=1), random(48, 96, seed=2)
    added = None if bias is None else torch.full((48,), bias)
    y = PackedProduct(weights)(x, None, added)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), x.float() @ weights.float().T + (bias or 0), rtol=2**-7, atol=2**-5)
    assert torch.equal(PackedProduct(weights)(x.view(1, tokens, 96), None, added), y[None])


@needs_bf16_alone
@pytest.mark.parametrize("tokens", [1, 5, 47])
def test_swiglu_in_one_kernel_is_the_formula_to_rounding(tokens: int) -> None:
    x, gate_up, down = random(tokens, 96, seed=1), random(2 * 160, 96, seed=2) * 0.1, random(96, 160, seed=3) * 0.1
    gate, up = (x.float() @ gate_up.float().T).split(160, dim=1)
    wanted = torch.nn.functional.silu(gate) * up @ down.float().T
    y = swiglu(x, PackedProduct(gate_up), PackedProduct(down))
    # what is between is rounded to bf16, and 160 such roundings are summed
    torch.testing.assert_close(y.float(), wanted, rtol=2**-6, atol=2**-5)


@needs_bf16_alone
@pytest.mark.parametrize("rank", [8, 32, 40])
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("slots", [[0, 0, 0], [0, -1, 1, 1, 0, 0, 0, 0, 0, -1]], ids=["filled", "mixed"])
def test_packed_products_are_the_formula_to_rounding(rank: int, scale: float, slots: list[int]) -> None:
    a, b = layer(rank)
    generator = torch.Generator().manual_seed(6)
    x, y = (torch.randn(len(slots), size, generator=generator).bfloat16() for size in (INPUTS, sum(WIDTHS)))
    wanted = y.float()
    for row, slot in enumerate(slots):
        if slot >= 0:
            parts = [x[row].float() @ a1[slot, 0].T @ b1[slot, 0].T for a1, b1 in zip(a, b, strict=True)]
            wanted[row] += torch.cat(parts) * scale
    batch = group_tokens(slots)
    add_products(y, x, batch, [prepared(slot, a, b) for slot, _ in batch.groups], scale)
    # bf16 keeps 8 bits: both factors, the hidden values, what is added and the sum are rounded
    torch.testing.assert_close(y.float(), wanted, rtol=2**-6, atol=2**-5)


@needs_bf16_alone
@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_projection_that_the_adapter_leaves_alone_stays_as_it_is(left_out: int) -> None:
    a, b = layer(8)
    b[left_out].zero_()
    x, y = torch.randn(4, INPUTS).bfloat16(), torch.randn(4, sum(WIDTHS)).bfloat16()
    before, start = y.clone(), sum(WIDTHS[:left_out])
    same = torch.zeros(sum(WIDTHS), dtype=torch.bool)
    same[start : start + WIDTHS[left_out]] = True
    add_products(y, x, group_tokens([0, -1, 0, -1]), [prepared(0, a, b)], 1.0)
    assert torch.equal(y[:, same], before[:, same])
    assert torch.equal(y[[1, 3]], before[[1, 3]])
    assert not (y[[0, 2]][:, ~same] == before[[0, 2]][:, ~same]).all(dim=1).any()


def test_sizes_that_the_kernel_does_not_take_stay_in_float32() -> None:
    a, b = layer(8, (20,))
    low = low_rank(0, a, b, (20,))
    assert low is not None
    assert packed(low) is low


def test_float32_and_broken_tiles_are_left_to_the_other_kernels() -> None:
    assert not fits(576, 576, torch.float32)
    assert not fits(20, 64, torch.bfloat16)
    assert not fits(16, 40, torch.bfloat16)
