"""Prompts share to the token: vLLM's block manager with our coordinator, and a worker whose values are the tokens.

Needs vLLM's scheduler: ten seconds of imports. tests/inference/test_real_vllm.py asks the same of a server.
"""

import random
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.flow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # of vLLM's own imports
]

BLOCK, LONGEST = 16, 256


def spec(kind: str = "FullAttentionSpec", **more: Any) -> Any:
    from vllm.v1 import kv_cache_interface

    return getattr(kv_cache_interface, kind)(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32, **more)


class Worker:
    """A server without a model: the cache's values are the tokens themselves, so that it sees what is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, blocks: int, hashed: int = 1) -> None:
        from vllm.utils.hashing import sha256
        from vllm.v1.core import kv_cache_coordinator, kv_cache_utils
        from vllm.v1.core.kv_cache_manager import KVCacheManager
        from vllm.v1.kv_cache_interface import KVCacheConfig, KVCacheGroupSpec

        from inference.vllm_plugin.prefixes import TokenSharing

        kv_cache_utils.init_none_hash(sha256)
        monkeypatch.setattr(kv_cache_coordinator, "UnitaryKVCacheCoordinator", TokenSharing)
        self.hasher = kv_cache_utils.get_request_block_hasher(hashed, sha256)
        config = KVCacheConfig(blocks, [], [KVCacheGroupSpec(["layer"], spec())])
        self.manager = KVCacheManager(
            config, LONGEST, scheduler_block_size=BLOCK, hash_block_size=hashed, enable_caching=True
        )
        self.values: dict[int, list[int]] = {}
        self.running: list[Any] = []

    def request(self, name: str, prompt: list[int], salt: str | None = None) -> Any:
        from vllm.sampling_params import SamplingParams
        from vllm.v1.request import Request

        return Request(
            name, prompt, SamplingParams(max_tokens=LONGEST), None, cache_salt=salt, block_hasher=self.hasher
        )

    def step(self, *new: Any, chunk: int = LONGEST) -> list[int | None]:
        """Schedules and computes one step; how many tokens each new request shares, None where it found no room."""
        manager, scheduled, shared = self.manager, [], []
        manager.new_step_starts()
        for request in [*self.running, *new]:
            hit, blocks = 0, None
            if request in new:
                blocks, hit, _ = manager.get_computed_blocks(request)
            start = request.num_computed_tokens + hit
            count = min(chunk, request.num_tokens - start)
            found = manager.allocate_slots(request, count, hit, blocks)
            if found is not None:
                scheduled.append((request, start, count))
                self.running += [request] if request in new else []
            if request in new:
                shared.append(hit if found is not None else None)
        copies, retained = manager.take_kv_cache_block_copies()
        for copy in copies:
            self.values[copy.dst_block_id] = list(self.values.get(copy.src_block_id, []))
        for request, start, count in scheduled:
            self._compute(request, start, count)
        manager.block_pool.free_blocks(retained)
        return shared

    def finish(self, request: Any) -> None:
        self.running.remove(request)
        self.manager.free(request)

    def _compute(self, request: Any, start: int, count: int) -> None:
        """Writes the values of these tokens, then reads all up to them, as attention does."""
        [ids] = self.manager.get_block_ids(request.request_id)
        tokens = list(request.all_token_ids)
        for place in range(start, start + count):
            row = self.values.setdefault(ids[place // BLOCK], [])
            row[place % BLOCK :] = [tokens[place]]
        read = [self.values[ids[place // BLOCK]][place % BLOCK] for place in range(start + count)]
        assert read == tokens[: start + count], f"{request.request_id} read another request's values"
        request.num_computed_tokens = start + count
        if request.num_computed_tokens == request.num_tokens:
            request.append_output_token_ids([random.Random(f"{tokens}").randrange(1000)])


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(monkeypatch, 64)


def test_a_prompt_shares_every_token_up_to_where_it_parts(worker: Worker) -> None:
    first = list(range(100, 155))
    assert worker.step(worker.request("first", first)) == [0]
    parts_inside = [*first[:24], 7, *first[25:]]
    in_the_last_block = [*first[:51], 7, 7]
    longer = [*first, 7, 7, 7]
    assert worker.step(worker.request("a", parts_inside)) == [24]
    assert worker.step(worker.request("b", in_the_last_block)) == [51]
    assert worker.step(worker.request("c", longer)) == [55]
    assert worker.step(worker.request("again", first)) == [54], "the last token is computed: it gives the next one"
    assert worker.step(worker.request("d", [*parts_inside[:30], 8, 8])) == [30], "from the copy of a block"


def test_nothing_is_shared_that_the_same_step_computes_but_whole_blocks(worker: Worker) -> None:
    prompt = list(range(55))
    twins = [worker.request(name, prompt) for name in ("one", "two", "three")]
    assert worker.step(*twins) == [0, 48, 48]


def test_what_is_salted_is_not_shared(worker: Worker) -> None:
    worker.step(worker.request("first", list(range(40))))
    assert worker.step(worker.request("salted", list(range(40)), salt="mine")) == [0]


def test_answers_are_shared_by_the_next_turn(worker: Worker) -> None:
    first = worker.request("first", list(range(20)))
    for _ in range(30):
        worker.step(*([] if worker.running else [first]))
    answer = list(first.all_token_ids)
    assert worker.step(worker.request("next turn", [*answer[:41], 7, 7])) == [41]


def test_every_block_comes_back(worker: Worker) -> None:
    free = worker.manager.block_pool.get_num_free_blocks()
    for number in range(20):
        worker.step(worker.request(f"r{number}", [*range(24 + number % 5), 500 + number, *range(20)]))
        worker.step()
        worker.finish(worker.running[0])
    assert worker.manager.block_pool.get_num_free_blocks() == free


def test_with_hashes_as_long_as_blocks_it_is_the_stock_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(monkeypatch, 64, hashed=BLOCK)
    worker.step(worker.request("first", list(range(55))))
    assert worker.step(worker.request("second", [*range(40), 7, 7])) == [32]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_each_request_reads_its_own_tokens(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Prompts that share starts of all lengths, chunks, answers, aborts, and a cache that is too small for them."""
    chance = random.Random(seed)
    worker, shared = Worker(monkeypatch, 24), 0
    free = worker.manager.block_pool.get_num_free_blocks()
    family: list[list[int]] = [[]]
    for number in range(300):
        new = []
        for twin in range(chance.randrange(3)):
            start = chance.choice(family[-12:])
            prompt = start[: chance.randint(0, len(start))] + [
                chance.randrange(1000) for _ in range(chance.randint(1, 40))
            ]
            family.append(prompt[:120])
            new.append(worker.request(f"{number}-{twin}", family[-1]))
        shared += sum(hit or 0 for hit in worker.step(*new, chunk=chance.choice([8, 30, LONGEST])))
        for request in list(worker.running):
            if request.num_tokens > 150 or chance.random() < 0.2:
                worker.finish(request)
    for request in list(worker.running):
        worker.finish(request)
    assert worker.manager.block_pool.get_num_free_blocks() == free
    assert shared > 1000


@pytest.fixture
def plain_config() -> Any:
    parallel = SimpleNamespace(decode_context_parallel_size=1, prefill_context_parallel_size=1)
    return SimpleNamespace(
        cache_config=SimpleNamespace(enable_prefix_caching=True),
        parallel_config=parallel,
        kv_transfer_config=None,
        speculative_config=None,
    )


def hashed(config: Any, *specs: Any) -> int:
    from inference.vllm_plugin.prefixes import with_finer_hashes

    groups = [SimpleNamespace(kv_cache_spec=one) for one in specs]
    block, found = with_finer_hashes(lambda *_: (BLOCK, BLOCK))(SimpleNamespace(kv_cache_groups=groups), config)
    assert block == BLOCK
    return found


def test_one_kind_of_full_attention_is_hashed_by_token(plain_config: Any) -> None:
    assert hashed(plain_config, spec()) == 1
    assert hashed(plain_config, spec(), spec()) == BLOCK
    assert hashed(plain_config, spec("SlidingWindowSpec", sliding_window=32)) == BLOCK


@pytest.mark.parametrize("reader", ["kv_transfer_config", "speculative_config"])
def test_others_who_read_the_hashes_get_them_as_they_are(plain_config: Any, reader: str) -> None:
    setattr(plain_config, reader, object())
    assert hashed(plain_config, spec()) == BLOCK


def test_without_a_prefix_cache_hashes_stay(plain_config: Any) -> None:
    plain_config.cache_config.enable_prefix_caching = False
    assert hashed(plain_config, spec()) == BLOCK
