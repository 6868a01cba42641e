"""Merged weights: right, within their memory, and never those of an adapter that has left its slot."""

from dataclasses import dataclass, field
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inference.vllm_plugin import slots as module  # noqa: E402
from inference.vllm_plugin.products import add_products, group_tokens  # noqa: E402
from inference.vllm_plugin.slots import Slots  # noqa: E402

INPUTS, RANK, WIDTHS, SLOTS = 24, 4, (16, 8), 3
LAYER_BYTES = INPUTS * sum(WIDTHS) * 4


@dataclass
class Layer:
    """A linear layer with its adapters as vLLM keeps them, whose base weights cannot be read: they are packed."""

    seed: int = 0
    packed: int = 0
    a: tuple[Any, ...] = field(init=False)
    b: tuple[Any, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.random = torch.Generator().manual_seed(self.seed)
        self._weights = torch.randn(sum(WIDTHS), INPUTS, generator=self.random)
        self.a = tuple(torch.zeros(SLOTS, 1, RANK, INPUTS) for _ in WIDTHS)
        self.b = tuple(torch.zeros(SLOTS, 1, width, RANK) for width in WIDTHS)

    def write(self, slot: int) -> None:
        """Puts another adapter into a slot."""
        for one in (*self.a, *self.b):
            one[slot] = torch.randn(one[slot].shape, generator=self.random)

    def base(self, x: Any, bias: Any) -> Any:
        return torch.nn.functional.linear(x, self._weights, bias)

    def pack(self, weights: Any) -> Any:
        self.packed += 1
        return lambda x, bias: torch.nn.functional.linear(x, weights, bias)

    def exact(self, rows: list[int], x: Any) -> Any:
        """What the batch must come out as, token by token."""
        y = self.base(x, None)
        for row, slot in enumerate(rows):
            if slot >= 0:
                adds = [(x[row] @ a[slot, 0].T) @ b[slot, 0].T for a, b in zip(self.a, self.b, strict=True)]
                y[row] += torch.cat(adds)
        return y


def step(slots: Slots, layers: list[Layer], rows: list[int]) -> int:
    """One step of the server through all layers, each checked; returns how many layers used merged weights."""
    batch, merged_layers = group_tokens(rows), 0
    slots.batch_is(batch, len(rows))
    slots.begin_step()
    for layer in layers:
        x = torch.randn(len(rows), INPUTS, generator=layer.random)
        key = module.layer_key(layer.a)
        merged = slots.merged(key)
        if slots.untouched(key):
            y = layer.base(x, None)
        elif merged is not None:
            merged_layers += 1
            y = merged(x, None)
        else:
            y = layer.base(x, None)
            lows = [slots.low(slot, layer.a, layer.b, WIDTHS) for slot, _ in batch.groups]
            add_products(y, x, batch, lows, 1.0)
            slots.merge(layer.a, layer.base, layer.pack, INPUTS, torch.float32)
        torch.testing.assert_close(y, layer.exact(rows, x), rtol=1e-4, atol=1e-4)
    return merged_layers


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS_BEFORE_MERGING", 2)


@pytest.fixture
def layers() -> list[Layer]:
    made = [Layer(seed) for seed in range(3)]
    for layer in made:
        for slot in range(SLOTS):
            layer.write(slot)
    return made


def fill(slots: Slots, layers: list[Layer], slot: int, steps: int = 6) -> int:
    return [step(slots, layers, [slot] * 4) for _ in range(steps)][-1]


def test_an_adapter_that_fills_batches_is_merged_one_layer_a_step(layers: list[Layer]) -> None:
    slots = Slots(10 * LAYER_BYTES)
    assert [step(slots, layers, [1, 1]) for _ in range(7)] == [0, 0, 0, 1, 2, 3, 3]
    assert [layer.packed for layer in layers] == [1, 1, 1]


def test_a_mixed_batch_after_a_merge_gives_each_token_its_own_adapter_or_the_base(layers: list[Layer]) -> None:
    slots = Slots(10 * LAYER_BYTES)
    assert fill(slots, layers, 1) == 3
    for rows in ([1, 0, -1, 1], [1, 1, -1], [-1, -1], [0, 0], [-1, 1]):
        assert step(slots, layers, rows) == 0
    assert step(slots, layers, [1, 1, 1]) == 3


def test_a_slot_given_to_another_adapter_never_answers_with_the_first_one_s_weights(layers: list[Layer]) -> None:
    slots = Slots(10 * LAYER_BYTES)
    assert fill(slots, layers, 1) == 3
    for layer in layers:
        layer.write(1)
    slots.forget(1)
    assert step(slots, layers, [1, 1]) == 0
    assert fill(slots, layers, 1) == 3


def test_these_tests_see_weights_that_outlive_their_adapter(layers: list[Layer]) -> None:
    slots = Slots(10 * LAYER_BYTES)
    assert fill(slots, layers, 1) == 3
    for layer in layers:
        layer.write(1)
    with pytest.raises(AssertionError, match="not close"):
        step(slots, layers, [1, 1])


def test_an_adapter_that_is_unloaded_frees_its_memory(layers: list[Layer]) -> None:
    slots = Slots(3 * LAYER_BYTES)
    assert fill(slots, layers, 1) == 3
    slots.forget(1)
    assert fill(slots, layers, 2) == 3


def test_merged_weights_stay_within_their_memory(layers: list[Layer]) -> None:
    slots = Slots(2 * LAYER_BYTES + 100)
    assert fill(slots, layers, 1, 20) == 2
    assert [layer.packed for layer in layers] == [1, 1, 0]
    assert fill(Slots(0), layers, 1, 20) == 0


def test_the_adapter_that_fills_twice_as_many_batches_takes_the_memory_of_another(layers: list[Layer]) -> None:
    slots = Slots(3 * LAYER_BYTES)
    assert fill(slots, layers, 1, 10) == 3
    assert fill(slots, layers, 2, 10) == 0
    assert fill(slots, layers, 2, 16) == 3
    assert step(slots, layers, [1, 1]) == 0


def test_a_layer_that_the_adapter_leaves_alone_is_not_merged(layers: list[Layer]) -> None:
    for one in layers[0].b:
        one[1] = 0
    assert fill(Slots(10 * LAYER_BYTES), layers, 1) == 2
    assert [layer.packed for layer in layers] == [0, 1, 1]


def test_the_merge_of_a_slot_asked_now_and_then_waits(layers: list[Layer]) -> None:
    slots = Slots(10 * LAYER_BYTES)
    for _ in range(10):
        step(slots, layers, [1, -1])
    assert [layer.packed for layer in layers] == [0, 0, 0]


def test_a_batch_without_an_adapter_is_idle_and_no_other_is() -> None:
    slots = Slots(0)
    assert not slots.idle, "nothing is known before the first batch"
    found = []
    for rows in ([-1, -1], [0, -1], [1, 1], [-1]):
        slots.batch_is(group_tokens(rows), len(rows))
        found.append(slots.idle)
    assert found == [True, False, False, True]


def test_a_layer_is_untouched_where_the_adapter_that_fills_the_batch_leaves_it_alone(layers: list[Layer]) -> None:
    for one in layers[0].b:
        one[1] = 0
    slots, keys = Slots(0), [module.layer_key(layer.a) for layer in layers]
    step(slots, layers, [1, 1])
    assert [slots.untouched(key) for key in keys] == [True, False, False]
    step(slots, layers, [1, -1])
    assert [slots.untouched(key) for key in keys] == [False, False, False]
    step(slots, layers, [-1, -1])
    assert [slots.untouched(key) for key in keys] == [True, True, True]
    layers[0].write(1)
    slots.forget(1)
    step(slots, layers, [1, 1])
    assert [slots.untouched(key) for key in keys] == [False, False, False]
