"""Our LoRA operators against vLLM's own, loaded from its file: importing all of vLLM would take ten seconds."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inference.vllm_plugin.products import Batch, add_products, group_tokens, low_rank  # noqa: E402

INPUTS, RANK, WIDTHS, SLOTS = 96, 16, (64, 32, 32), 4
MIXED = [0, 0, -1, 2, 0, -1, 1, 1, 1, 2]


@pytest.fixture(scope="module")
def stock() -> ModuleType:
    vllm = importlib.util.find_spec("vllm")
    assert vllm is not None, "vLLM is part of the lock: run make install"
    assert vllm.submodule_search_locations
    path = Path(next(iter(vllm.submodule_search_locations))) / "lora/ops/torch_ops/lora_ops.py"
    spec = importlib.util.spec_from_file_location("stock_lora_ops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layer(tokens: int, dtype: Any) -> tuple[Any, Any, tuple[Any, ...], tuple[Any, ...]]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(tokens, INPUTS, generator=generator).bfloat16()
    y = torch.randn(tokens, sum(WIDTHS), generator=generator).bfloat16()
    a = tuple((torch.randn(SLOTS, 1, RANK, INPUTS, generator=generator) * 0.1).to(dtype) for _ in WIDTHS)
    b = tuple((torch.randn(SLOTS, 1, width, RANK, generator=generator) * 0.1).to(dtype) for width in WIDTHS)
    return x, y, a, b


def by_stock(stock: ModuleType, slots: list[int], x: Any, y: Any, a: Any, b: Any, scale: float) -> Any:
    """The stock operators on the tokens that have an adapter: they give the others the last slot's weights."""
    y = y.clone()
    rows = [row for row, slot in enumerate(slots) if slot >= 0]
    indices = torch.tensor([slots[row] for row in rows])
    out, start = y[rows], 0
    for a_one, b_one, width in zip(a, b, WIDTHS, strict=True):
        buffer = torch.zeros(len(rows), RANK)
        stock.bgmv_shrink(x[rows], a_one, buffer, indices, scale)
        stock.bgmv_expand_slice(buffer, b_one, out, indices, start, width, add_inputs=True)
        start += width
    y[rows] = out
    return y


def add(slots: list[int], y: Any, x: Any, a: Any, b: Any, scale: float) -> None:
    """Our operators on a whole batch."""
    batch = group_tokens(slots)
    add_products(y, x, batch, [low_rank(slot, a, b, WIDTHS) for slot, _ in batch.groups], scale)


@pytest.mark.parametrize("weights", ["bfloat16", "float32"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_mixed_batch_comes_out_as_from_the_stock_operators(stock: ModuleType, weights: str, scale: float) -> None:
    x, y, a, b = layer(len(MIXED), getattr(torch, weights))
    expected = by_stock(stock, MIXED, x, y, a, b, scale)
    add(MIXED, y, x, a, b, scale)
    # bf16 keeps 8 bits: one rounding of the hidden values and two of the sum
    torch.testing.assert_close(y, expected, rtol=2**-7, atol=2**-5)


def test_float32_weights_are_nearer_to_the_exact_product_than_the_stock_operators(stock: ModuleType) -> None:
    x, y, a, b = layer(len(MIXED), torch.float32)
    exact = y.double()
    for row, slot in enumerate(MIXED):
        if slot >= 0:
            exact[row] += torch.cat(
                [x[row].double() @ a1[slot, 0].double().T @ b1[slot, 0].double().T for a1, b1 in zip(a, b, strict=True)]
            )
    stock_error = (by_stock(stock, MIXED, x, y, a, b, 1.0).double() - exact).abs().mean()
    add(MIXED, y, x, a, b, 1.0)
    assert (y.double() - exact).abs().mean() < stock_error


def test_tokens_without_an_adapter_are_not_touched() -> None:
    x, y, a, b = layer(len(MIXED), torch.bfloat16)
    before = y.clone()
    add(MIXED, y, x, a, b, 1.0)
    changed = (y != before).any(dim=1).tolist()
    assert changed == [slot >= 0 for slot in MIXED]


def test_a_token_gets_the_same_whether_its_adapter_is_alone_or_mixed() -> None:
    x, y, a, b = layer(len(MIXED), torch.float32)
    alone = y.clone()
    add([2] * len(MIXED), alone, x, a, b, 1.0)
    add(MIXED, y, x, a, b, 1.0)
    rows = [row for row, slot in enumerate(MIXED) if slot == 2]
    torch.testing.assert_close(y[rows], alone[rows], rtol=2**-7, atol=2**-5)


def test_an_adapter_of_a_lower_rank_or_with_projections_left_out_adds_the_same_with_less_work(
    stock: ModuleType,
) -> None:
    x, y, a, b = layer(len(MIXED), torch.float32)
    x, y = x.float(), y.float()
    for one_a, one_b in zip(a, b, strict=True):
        one_a[:, :, 5:], one_b[:, :, :, 5:] = 0, 0
    b[1][0] = 0
    expected = by_stock(stock, MIXED, x, y, a, b, 1.0)
    low = low_rank(0, a, b, WIDTHS)
    assert low is not None
    assert [(part.ranks, part.outputs) for part in low.parts] == [
        (slice(0, 5), slice(0, 64)),
        (slice(5, 10), slice(96, 128)),
    ]
    add(MIXED, y, x, a, b, 1.0)
    torch.testing.assert_close(y, expected)


def test_a_layer_that_the_adapter_leaves_alone_costs_nothing() -> None:
    _, _, a, b = layer(1, torch.float32)
    for one_b in b:
        one_b[1] = 0
    assert low_rank(1, a, b, WIDTHS) is None


def test_an_adapter_beside_one_that_leaves_the_layer_alone_changes_its_own_tokens_alone(stock: ModuleType) -> None:
    x, y, a, b = layer(len(MIXED), torch.float32)
    x, y = x.float(), y.float()
    for one_b in b:
        one_b[1] = 0
    expected = by_stock(stock, MIXED, x, y, a, b, 1.0)
    add(MIXED, y, x, a, b, 1.0)
    torch.testing.assert_close(y, expected)


def test_tokens_that_lie_sorted_are_taken_without_a_copy_and_others_are_gathered_once() -> None:
    assert group_tokens([-1, 3, 3, 1]) == Batch(slice(1, 4), ((3, slice(0, 2)), (1, slice(2, 3))))
    assert group_tokens([-1, -1]) == Batch(slice(0, 0), ())
    scattered = group_tokens([1, -1, 0, 1])
    assert isinstance(scattered.rows, torch.Tensor)
    assert scattered.rows.tolist() == [0, 3, 2]
    assert scattered.groups == ((1, slice(0, 2)), (0, slice(2, 3)))


def test_a_part_names_its_rows_of_the_batch() -> None:
    assert group_tokens([-1, 3, 3, 1]).rows_of(slice(2, 3)) == slice(3, 4)
    rows = group_tokens([1, -1, 0, 1]).rows_of(slice(0, 2))
    assert isinstance(rows, torch.Tensor)
    assert rows.tolist() == [0, 3]
