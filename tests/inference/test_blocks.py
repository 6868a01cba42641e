"""Which servers get small blocks of the KV cache; tests/inference/test_real_vllm.py shows what is shared by them."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from inference.vllm_plugin.blocks import with_small_blocks


@pytest.mark.parametrize(
    ("found", "asked", "hybrid", "wanted"),
    [(128, False, False, 16), (128, True, False, 128), (128, False, True, 128), (256, False, False, 256)],
    ids=["vLLM's default", "asked for", "a model with state", "what the model needs"],
)
def test_small_blocks_replace_the_default_alone(found: int, asked: bool, hybrid: bool, wanted: int) -> None:
    def stock(_cls: type, config: Any) -> None:
        config.cache_config.block_size = found

    cache = SimpleNamespace(block_size=None, user_specified_block_size=asked)
    config = SimpleNamespace(cache_config=cache, model_config=SimpleNamespace(is_hybrid=hybrid))
    with_small_blocks(stock)(object, config)
    assert cache.block_size == wanted
