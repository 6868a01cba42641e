"""Starts vLLM from `Settings`: `python -m inference.server`, or the command for a supervisor.

Choices, measured on two cores with SmolLM2-135M, a rank 32 adapter and 24 new tokens a request (tokens a second at
1 and at 8 requests at once; `docs/decisions.md` has the whole table):

- engine forked, and its own worker: ready after 16 to 19 s instead of 42 s, 2 processes instead of 4;
- no garbage collection while importing (`vllm_plugin/serve.py`): 8.3 processor seconds instead of 10.8;
- merged weights for an adapter that fills batches (`vllm_plugin/slots.py`) and norms of one kernel (`norms.py`): 1.06
  to 1.17 of bare vLLM's speed on two threads with AMX;
- products by the kernel for packed weights (`kernels.py`) and blocks of 16 tokens (`blocks.py`): 1.35 to 1.44 of
  bare vLLM's speed on two threads with AVX-512's bf16 instructions;
- decoder layers that call their kernels directly (`decoder.py`) and prompts that share to the token (`prefixes.py`):
  1.6 to 2.0 of it;
- eager mode: vLLM turns compilation off on a CPU as soon as LoRA is on (vllm/platforms/cpu.py);
- float32 on a processor without bf16 instructions: 59 tokens/s at 8 requests on two AVX2 cores, bf16 19;
- all cores but one, never all: with the trainer beside it at niceness 10, two threads on two cores made 12 tokens/s
  at both loads, one thread 21 and 51, because OpenMP's threads wait for each other in turn.
"""

import os
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil

from inference.client import BASE
from knowledge.processor import float_type
from knowledge.settings import Settings


def command(settings: Settings, environment: Mapping[str, str] = os.environ) -> tuple[list[str], dict[str, str]]:
    """The argument vector and the whole environment of the vLLM that these settings describe.

    What the caller's environment sets of `OMP_NUM_THREADS`, `LD_PRELOAD` and `VLLM_…` wins, but for the switches
    without which nothing works.
    """
    arguments = {
        "model": settings.base_model_folder,
        "served-model-name": BASE,
        "host": settings.inference_host,
        "port": settings.inference_port,
        "max-model-len": settings.max_model_tokens,
        "max-loras": settings.max_loaded_adapters,
        "max-cpu-loras": settings.max_cached_adapters,
        "max-lora-rank": settings.max_lora_rank,
        "generation-config": "vllm",  # no sampling defaults from the model's folder: answers are greedy
    }
    env = {
        "VLLM_LOGGING_LEVEL": "WARNING",
        "TOKENIZERS_PARALLELISM": "false",
        **environment,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if Path(settings.base_model_folder).is_dir():
        env["HF_HUB_OFFLINE"] = "1"
    if on_cpu():
        arguments |= {"distributed-executor-backend": "uni", "dtype": float_type()}
        env |= {"VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib), "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        env["ENGRAIN_MERGED_WEIGHTS_GIB"] = str(settings.merged_weights_gib)  # read by inference/vllm_plugin/grouped.py
        env.setdefault(
            "TORCHDYNAMO_DISABLE", "1"
        )  # vLLM compiles a counting of ranks for logprobs: 20 s, and needs g++
        env.setdefault("OMP_NUM_THREADS", str(serving_threads()))
        env.setdefault("LD_PRELOAD", preloads())
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    switches = ["--enable-lora", "--disable-uvicorn-access-log", *(["--enforce-eager"] if on_cpu() else [])]
    return [sys.executable, "-m", "inference.vllm_plugin.serve", *words, *switches], env


def on_cpu() -> bool:
    """Whether the installed vLLM is a CPU build, as vLLM itself tells it: by the distribution (vllm/platforms)."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return True


def serving_threads() -> int:
    """Processor threads of the model: this process's physical cores but one, which serves HTTP and trains."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed) - 1)


def preloads() -> str:
    """Libraries to load first, as `LD_PRELOAD` wants them: PyTorch's OpenMP, so that vLLM's kernels use the same one.

    Two OpenMP runtimes in one process make two pools of threads (vllm#27369). tcmalloc is used where a system
    has it.
    """
    torch = find_spec("torch")
    folders = [Path(folder) / "lib" for folder in (torch.submodule_search_locations or ())] if torch else []
    found = [next(iter(sorted(folder.glob("libgomp*.so*"))), None) for folder in folders]
    system = [Path(f"/usr/lib/{machine}-linux-gnu") for machine in ("x86_64", "aarch64")]
    found += [next(iter(sorted(folder.glob("libtcmalloc_minimal.so*"))), None) for folder in system]
    return ":".join(str(path) for path in found if path)


def main() -> None:
    """Becomes vLLM: the process id stays, so that a supervisor's signals reach it."""
    argv, env = command(Settings.read())
    os.execve(argv[0], argv, env)  # noqa: S606 (a list of our own words, and no shell)


if __name__ == "__main__":
    main()
