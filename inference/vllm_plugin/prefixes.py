"""Prompts share the tokens that they begin with, up to the token in which they part; vLLM shares whole blocks alone.

vLLM's prefix cache can end a hit inside a block: hashes are finer than blocks, and what is shared of the last one is
copied before the step that writes into the copy. In 0.32 it does so for models with a state (Mamba). Here full
attention does so too, and a block is found by each of its tokens, not only by where a prompt ended.
"""

from collections.abc import Callable
from typing import Any

from vllm.v1.core import kv_cache_coordinator
from vllm.v1.core.kv_cache_coordinator import UnitaryKVCacheCoordinator
from vllm.v1.core.kv_cache_utils import KVCacheBlock
from vllm.v1.engine import core
from vllm.v1.kv_cache_interface import FullAttentionSpec
from vllm.v1.request import Request

Hits = tuple[tuple[list[KVCacheBlock], ...], int, int]
"""Blocks of each attention group, their tokens, and vLLM's number for groups that lag (0 with one group)."""


def install() -> None:
    """Makes engines that start from now on share to the token, where their model and their settings allow."""
    core.resolve_kv_cache_block_sizes = with_finer_hashes(core.resolve_kv_cache_block_sizes)
    kv_cache_coordinator.UnitaryKVCacheCoordinator = TokenSharing


def with_finer_hashes(stock: Callable[[Any, Any], tuple[int, int]]) -> Callable[[Any, Any], tuple[int, int]]:
    """Scheduler's block size and hashed tokens: stock where anybody else but the scheduler's cache reads the hashes."""

    def resolve(kv_cache: Any, config: Any) -> tuple[int, int]:
        block, hashed = stock(kv_cache, config)
        groups, parallel = kv_cache.kv_cache_groups, config.parallel_config
        alone = config.kv_transfer_config is None and config.speculative_config is None
        undivided = parallel.decode_context_parallel_size == parallel.prefill_context_parallel_size == 1
        if alone and undivided and config.cache_config.enable_prefix_caching and len(groups) == 1:
            hashed = 1 if type(groups[0].kv_cache_spec) is FullAttentionSpec else hashed
        return block, hashed

    return resolve


class TokenSharing(UnitaryKVCacheCoordinator):
    """vLLM's coordinator of a model with one kind of attention; with hashes as long as blocks it is the stock one."""

    def __init__(self, *args: Any, scheduler_block_size: int, hash_block_size: int, **options: Any) -> None:
        """The stock one insists on hashes as long as blocks, and keeps as `block_size` where a hit may end."""
        super().__init__(
            *args, scheduler_block_size=scheduler_block_size, hash_block_size=scheduler_block_size, **options
        )
        self._manager = self.single_type_managers[0]
        self._block_tokens = int(self._manager.block_size)
        self._finer = hash_block_size < scheduler_block_size
        if self._finer:
            self.block_size = self.block_pool.hash_block_size = hash_block_size
        self._written: dict[int, int] = {}  # blocks that this step writes, and the first token that it writes there

    def new_step_starts(self) -> None:
        """What the last step wrote may be copied from now on: it is computed before the copies of this one."""
        self._written.clear()
        super().new_step_starts()

    def find_longest_cache_hit(self, block_hashes: Any, max_cache_hit_length: int) -> Hits:
        """As stock; what this very step writes cannot be copied yet."""
        (blocks,), tokens, lagging = super().find_longest_cache_hit(block_hashes, max_cache_hit_length)
        beyond = tokens % self._block_tokens
        if beyond:
            there = min(beyond, self._written.get(blocks[-1].block_id, beyond))
            blocks, tokens = blocks if there else blocks[:-1], tokens - beyond + there
        return (blocks,), tokens, lagging

    def cache_blocks(self, request: Request, num_computed_tokens: int) -> None:
        """As stock; full blocks, and a prompt's last one, are found by each of their tokens."""
        manager, size = self._manager, self._block_tokens
        start = manager.num_cached_block.get(request.request_id, 0)
        super().cache_blocks(request, num_computed_tokens)
        if not self._finer:
            return
        blocks = manager.req_to_blocks[request.request_id]
        written = max(request.num_computed_tokens, start * size)
        for index in range(written // size, -(-num_computed_tokens // size)):
            self._written[blocks[index].block_id] = max(0, written - index * size)
        end = manager.num_cached_block.get(request.request_id, 0) * size
        if request.num_computed_tokens < request.num_prompt_tokens:
            end = max(end, min(num_computed_tokens, request.num_prompt_tokens))
        for tokens in range(end, start * size, -1):  # the longest first: a shorter one is added to it
            if tokens % size:
                self.block_pool.cache_partial_block(
                    request=request,
                    block=blocks[tokens // size],
                    num_tokens=tokens,
                    kv_cache_group_id=0,
                    block_size=size,
                )
