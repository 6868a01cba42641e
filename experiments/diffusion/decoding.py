"""Answers from a denoiser: blocks from left to right, in each the surest tokens first, greedily.

The low-confidence remasking of LLaDA (arXiv 2502.09992, section 2.4) in its block-wise form at temperature 0; answers
of 128 tokens in 128 steps with blocks of 4 are arXiv 2510.09885's. Deviations: the hidden token itself is never an
answer, and a sequence that has ended is computed no further, which changes nothing of what is before its end.

Prompts of unequal length are not padded: those of one length run together. So an answer never depends on how well a
model's code masks padding nor on its neighbours in the batch, at the price of more and smaller batches.

Legend: B sequences, T tokens of prompt and answer, L tokens of a block, V vocabulary.
"""

from collections.abc import Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch

ASKED_AT_ONCE = 40


class Restores(Protocol):
    """What decoding needs of a denoiser."""

    @property
    def mask_id(self) -> int:
        """What stands where a token is hidden."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    def logits(self, ids_BT: torch.Tensor, /) -> torch.Tensor:
        """Logits (B, T, V) at the places that they predict."""


@dataclass(frozen=True)
class Decoding:
    """An answer's room in tokens, the steps it is filled in, and the tokens of a block."""

    tokens: int = 128
    steps: int = 128
    block: int = 4

    def __post_init__(self) -> None:
        """Raises `ValueError` where steps and tokens cannot be shared out evenly over blocks."""
        if min(self.tokens, self.steps, self.block) < 1 or self.tokens % self.block:
            raise ValueError("An answer must be a whole number of blocks.")
        if self.steps % self.blocks or self.steps > self.tokens:
            raise ValueError("Every block must have the same number of steps, at most one for each token.")

    @property
    def blocks(self) -> int:
        """How many blocks an answer has."""
        return self.tokens // self.block

    @property
    def fixed(self) -> tuple[int, ...]:
        """How many tokens each step of a block fixes; where it does not come out even, the first fix one more."""
        steps = self.steps // self.blocks
        return tuple(self.block // steps + (step < self.block % steps) for step in range(steps))


def answers(
    denoiser: Restores, prompts: Items[list[int]], ends: Iterable[int], how: Decoding | None = None
) -> list[list[int]]:
    """The tokens of each prompt's answer, in the prompts' order, without end token and what follows it."""
    how, ends = how or Decoding(), set(ends)
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found: list[list[int]] = [[] for _ in prompts]
    for _, group in groupby(order, key=lambda place: len(prompts[place])):
        alike = list(group)
        for start in range(0, len(alike), ASKED_AT_ONCE):
            places = alike[start : start + ASKED_AT_ONCE]
            prompts_BT = torch.tensor([prompts[place] for place in places], device=denoiser.device)
            for place, ids in zip(places, decode(denoiser, prompts_BT, ends, how), strict=True):
                found[place] = ids
    return found


@torch.inference_mode()
def decode(denoiser: Restores, prompts_BT: torch.Tensor, ends: set[int], how: Decoding) -> list[list[int]]:
    """Answers to prompts of one length, each cut at its first end token."""
    count, start = prompts_BT.shape
    room_BT = torch.full((count, how.tokens), denoiser.mask_id, device=prompts_BT.device)
    ids_BT = torch.cat((prompts_BT, room_BT), dim=1)
    ends_E = torch.tensor(sorted(ends), device=prompts_BT.device, dtype=ids_BT.dtype)
    found: dict[int, list[int]] = {}
    running = torch.arange(count, device=prompts_BT.device)
    for begin in range(start, start + how.tokens, how.block):
        _fill(denoiser, ids_BT, slice(begin, begin + how.block), how.fixed)
        last = begin + how.block == start + how.tokens
        over_B = torch.isin(ids_BT[:, begin : begin + how.block], ends_E).any(dim=1) | last
        for row, ids in zip(running[over_B].tolist(), ids_BT[over_B, start:].tolist(), strict=True):
            found[row] = _until(ids, ends)
        running, ids_BT = running[~over_B], ids_BT[~over_B]
        if not len(running):
            break
    return [found[row] for row in range(count)]


def _fill(denoiser: Restores, ids_BT: torch.Tensor, block: slice, fixed: Iterable[int]) -> None:
    """Fills a hidden block in place: each step fixes so many of the surest tokens, given those fixed before."""
    block_BL = ids_BT[:, block]
    hidden_BL = torch.ones_like(block_BL, dtype=torch.bool)
    for count in fixed:
        shares_BLV = denoiser.logits(ids_BT)[:, block].float().softmax(dim=-1)
        shares_BLV[..., denoiser.mask_id] = 0
        sure_BL, best_BL = shares_BLV.max(dim=-1)
        chosen_BK = sure_BL.masked_fill(~hidden_BL, -1.0).topk(count, dim=1).indices
        block_BL.scatter_(1, chosen_BK, best_BL.gather(1, chosen_BK))
        hidden_BL.scatter_(1, chosen_BK, value=False)


def _until(ids: list[int], ends: set[int]) -> list[int]:
    return ids[: next((place for place, id_ in enumerate(ids) if id_ in ends), len(ids))]
