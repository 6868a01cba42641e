"""The training loop of a denoiser's adapter, for adapting and for teaching alike.

Legend: T tokens.
"""

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Items
from itertools import islice
from typing import TypeVar

import torch

from experiments.diffusion.denoiser import Denoiser
from experiments.diffusion.objective import Example, collate, loss, noise

Item = TypeVar("Item")

CLIP = 1.0
"""Longest gradient, as in arXiv 2510.09885."""

SMOOTHED_STEPS = 20

Pace = Callable[[int], tuple[float, float]]
"""From a step (the first is 0) to its learning rate and the share of later tokens that a token sees."""

Report = Callable[[int, int, float], bool]
"""Gets steps, tokens (padding included) and loss so far, and says whether to go on."""


def train(
    denoiser: Denoiser,
    batches: Iterator[Items[Example]],
    pace: Pace,
    report: Report,
    seed: int,
    ratio: float | None = None,
) -> None:
    """Trains the adapter in place until `report` says to end, or raises.

    The reported loss is a mean of the last twenty steps or so: one over the ratio makes that of a single step jump.
    AdamW, its weight decay and the clipping are arXiv 2510.09885's.
    """
    weights = [parameter for parameter in denoiser.model.parameters() if parameter.requires_grad]
    assert weights, "nothing to train"
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.95), weight_decay=0.1)
    generator = torch.Generator().manual_seed(seed)
    tokens, smoothed = 0, 0.0
    for step, examples in enumerate(batches):
        rate, share = pace(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = collate(examples, denoiser.device)
        noised = noise(batch, denoiser.mask_id, generator, ratio)
        found = loss(denoiser, batch, noised, sight(batch.ids_BT.shape[1], share, generator, denoiser.device))
        found.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += batch.ids_BT.numel()
        smoothed += (float(found.detach()) - smoothed) / min(step + 1, SMOOTHED_STEPS)
        if not report(step + 1, tokens, smoothed):
            return


def sight(length: int, share: float, generator: torch.Generator, device: torch.device) -> torch.Tensor | None:
    """Who sees whom, (T, T): everything before it and itself, and of what is after it a random share; None for all.

    From causal to full attention this is the annealing of arXiv 2410.17891.
    """
    if share >= 1:
        return None
    before_TT = torch.ones(length, length, dtype=torch.bool).tril()
    return (before_TT | (torch.rand(length, length, generator=generator) < share)).to(device)


def in_batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """Endless items, `size` at a time."""
    while True:
        yield list(islice(items, size))
