"""The processes of a run, and the model that they share between them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator, PartialState  # type: ignore[import-untyped]
from accelerate.utils import (  # type: ignore[import-untyped]
    DistributedType,
    FullyShardedDataParallelPlugin,
    InitProcessGroupKwargs,
)
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy

PATIENCE = timedelta(hours=2)
"""So long do processes wait for each other: the first one saves 32 GB while the others stand by."""


def start() -> Accelerator:
    """Joins the processes as `accelerate launch` was told; without it this process is the only one.

    accelerate shards on accelerators alone. torch also does on processors, so a dry run there is told to here.
    """
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)]
    )
    wanted = os.environ.get("ACCELERATE_USE_FSDP", "false") == "true"
    if wanted and accelerator.distributed_type is DistributedType.MULTI_CPU:
        for state in (PartialState(), accelerator.state):
            state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin()
    if accelerator.is_fsdp2 and accelerator.mixed_precision == "bf16":
        # accelerate would also add gradients up in bf16.
        accelerator.state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32
        )
    return accelerator


@contextmanager
def whole(model: torch.nn.Module) -> Iterator[None]:
    """Meanwhile each process holds all weights, to compute what the others do not; nothing may be learnt."""
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(True, recurse=False)
