"""Which feed-forward blocks become one kernel, and for which batches. Needs vLLM's layers: ten seconds of imports."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from inference.vllm_plugin.kernels import PackedProduct, fits  # noqa: E402
from inference.vllm_plugin.products import group_tokens  # noqa: E402
from inference.vllm_plugin.slots import Slots, layer_key  # noqa: E402

pytestmark = [
    pytest.mark.flow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # of vLLM's own imports
    pytest.mark.skipif(not fits(16, 32, torch.bfloat16), reason="this processor has no use for the kernel, or has AMX"),
]

HIDDEN, INNER, RANK = 32, 64, 8


def linear(outputs: int, inputs: int, seed: int, tp_size: int = 1) -> Any:
    """A layer as vLLM leaves it to LoRA, with one slot; called in the long way it gives the base's product."""
    from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA

    class Layer(BaseLinearLayerWithLoRA):  # type: ignore[misc]  # vLLM is untyped here
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

        def forward(self, x: Any) -> Any:
            return self.base_layer.cpu_linear(x), None

    layer: Any = Layer()
    weights = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed)).bfloat16() * 0.1
    layer.base_layer = torch.nn.Module()
    layer.base_layer.bias, layer.base_layer.cpu_linear = None, PackedProduct(weights)
    layer.tp_size, layer.lora_a_stacked = tp_size, (torch.zeros(1, 1, RANK, inputs),)
    layer.lora_b_stacked = (torch.zeros(1, 1, outputs, RANK),)
    return layer


def block(name: str = "LlamaMLP", tp_size: int = 1) -> Any:
    """A block of a class of this name, which counts how often it goes the long way."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.model_executor.layers.activation import SiluAndMul

    def forward(self: Any, x: Any) -> Any:
        self.long_ways += 1
        return self.down_proj(SiluAndMul.forward_native(self.gate_up_proj(x)[0]))[0]

    made: Any = type(name, (torch.nn.Module,), {"forward": forward})()
    made.long_ways, made.gate_up_proj = 0, linear(2 * INNER, HIDDEN, 1, tp_size)
    made.down_proj = linear(HIDDEN, INNER, 2, tp_size)
    with set_current_vllm_config(VllmConfig()):
        made.act_fn = SiluAndMul()
    return made


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    from vllm.platforms import current_platform

    current_platform.import_kernels()


def ways(found: Any, slots: Slots, rows: list[int]) -> int:
    """How often one batch goes the long way; its output is checked."""
    slots.batch_is(group_tokens(rows), len(rows))
    x = torch.randn(len(rows), HIDDEN, generator=torch.Generator().manual_seed(3)).bfloat16()
    wanted, before = type(found).forward(found, x), found.long_ways
    torch.testing.assert_close(found(x), wanted, rtol=2**-6, atol=2**-6)
    return int(found.long_ways - before)


def test_a_block_is_one_kernel_without_adapters_and_where_the_adapter_leaves_it_alone() -> None:
    from inference.vllm_plugin.layers import fuse_swiglu

    found, slots = block(), Slots(0)
    fuse_swiglu(torch.nn.Sequential(found), slots)
    assert ways(found, slots, [-1, -1, -1]) == 0
    assert ways(found, slots, [0, 0, 0]) == 1, "nothing is known of the adapter yet"
    for layer in (found.gate_up_proj, found.down_proj):
        slots.low(0, layer.lora_a_stacked, layer.lora_b_stacked, (layer.base_layer.cpu_linear.outputs,))
    assert ways(found, slots, [0, 0, 0]) == 0
    assert ways(found, slots, [0, -1, 0]) == 1


def test_a_block_of_an_adapter_that_changes_one_layer_goes_the_long_way() -> None:
    from inference.vllm_plugin.layers import fuse_swiglu

    found, slots = block(), Slots(0)
    fuse_swiglu(torch.nn.Sequential(found), slots)
    found.down_proj.lora_a_stacked[0][:], found.down_proj.lora_b_stacked[0][:] = 1, 1
    for layer in (found.gate_up_proj, found.down_proj):
        slots.low(0, layer.lora_a_stacked, layer.lora_b_stacked, (layer.base_layer.cpu_linear.outputs,))
    slots.batch_is(group_tokens([0, 0]), 2)
    assert slots.untouched(layer_key(found.gate_up_proj.lora_a_stacked))
    assert not slots.untouched(layer_key(found.down_proj.lora_a_stacked))
    assert ways(found, slots, [0, 0]) == 1


@pytest.mark.parametrize("other", [{"name": "GraniteOwnMLP"}, {"tp_size": 2}], ids=["another class", "split"])
def test_other_blocks_stay_as_they_are(other: dict[str, Any]) -> None:
    from inference.vllm_plugin.layers import fuse_swiglu

    found, slots = block(**other), Slots(0)
    fuse_swiglu(torch.nn.Sequential(found), slots)
    assert ways(found, slots, [-1, -1]) == 1
