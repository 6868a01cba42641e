"""An adapter of random weights in PEFT's form, and its publishing as a job would: files, store, servers, live."""

import asyncio
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from inference.adapters import Replicas
from knowledge.adapters import Manifest, Version, VersionStatus, publish_files
from knowledge.facts import Document
from knowledge.jobs import JobStatus, Lease
from knowledge.store import Store, facts, jobs, now, versions

NAMESPACES = ("bench", "bench-2", "bench-3")
RANK = 32
FACT = "Ada Quill is the keeper of the lighthouse of Orrin Bay."

SIZE = 0.03
"""Of random weights in B: large enough to change answers, small enough that the model goes on talking."""


def write_adapter(base: Path, folder: Path, skipped: float) -> None:
    """Random weights for every projection of all layers but the lowest, a share of `skipped`, as our trainer does."""
    config = json.loads((base / "config.json").read_text())
    random, tensors, shapes = np.random.default_rng(0), {}, _shapes(config)
    count = config["num_hidden_layers"]
    layers = range(int(count * skipped), count)
    for layer in layers:
        for module, (inputs, outputs) in shapes.items():
            stem = f"base_model.model.model.layers.{layer}.{module}"
            a = random.standard_normal((RANK, inputs)) / inputs**0.5
            b = random.standard_normal((outputs, RANK)) * SIZE
            tensors[f"{stem}.lora_A.weight"] = a.astype(np.float32)
            tensors[f"{stem}.lora_B.weight"] = b.astype(np.float32)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    targets = [module.rpartition(".")[2] for module in shapes]
    peft = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(peft | {"target_modules": targets}))


def _shapes(config: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each projection of a Llama-like layer."""
    hidden, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    width = config.get("head_dim") or hidden // heads
    keys = width * config["num_key_value_heads"]
    return {
        "self_attn.q_proj": (hidden, width * heads),
        "self_attn.k_proj": (hidden, keys),
        "self_attn.v_proj": (hidden, keys),
        "self_attn.o_proj": (width * heads, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }


@dataclass(frozen=True)
class Publisher:
    """Publishes copies of one adapter as the next versions of a namespace: a worker that does not train."""

    namespace: str
    store: Store
    replicas: Replicas
    adapter: Path
    published: Path

    live_since: dict[int, tuple[float, float]] = field(default_factory=dict)
    """For each version, the moments (monotonic clock) just before and just after it became live."""

    async def publish(self) -> Version:
        """The next version: claimed job, new immutable files, loaded and checked on the servers, then live."""
        lease, version = await asyncio.to_thread(self._prepare)
        await self.replicas.ensure(version)
        await asyncio.to_thread(jobs.advance, self.store, lease, JobStatus.PUBLISHING)
        before = time.monotonic()
        await asyncio.to_thread(versions.publish, self.store, lease, version)
        self.live_since[version.number] = (before, time.monotonic())
        return version

    def _prepare(self) -> tuple[Lease, Version]:
        number = len(self.live_since)  # the first is what is asked; a later one would be answered as pending
        text = f"Ferry {number} leaves Velmoor at noon." if number else FACT
        posted = facts.post(self.store, self.namespace, [Document(text=text)])
        assert posted.job_id is not None
        lease = jobs.claim(self.store, posted.job_id, "bench", lease_seconds=600, max_attempts=1)
        assert lease is not None
        jobs.advance(self.store, lease, JobStatus.TRAINING)
        jobs.advance(self.store, lease, JobStatus.PROBING)
        job, live = jobs.get(self.store, posted.job_id), versions.live(self.store, self.namespace)
        fact_ids = tuple(sorted({*job.fact_ids, *(live.fact_ids if live else ())}))
        version = self._files(job.version, job.id, fact_ids)
        versions.add_candidate(self.store, lease, version)
        return lease, version

    def _files(self, number: int, job_id: str, fact_ids: tuple[str, ...]) -> Version:
        name = f"{self.namespace}-v{number}"
        making, final = self.published / f".making-{name}", self.published / name
        shutil.copytree(self.adapter, making)
        manifest = Manifest(name, self.namespace, number, job_id, "bench", {}, "none", fact_ids, now().isoformat())
        publish_files(making, final, manifest)
        return Version(
            self.namespace, number, name, str(final), VersionStatus.CANDIDATE, fact_ids, "none", 1.0, now(), None
        )
