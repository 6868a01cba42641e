"""The diffusion objective: hide tokens at a random ratio, restore them, weigh by one over the ratio.

    loss = mean over the batch of 1 / (t L) · Σ over hidden tokens of −log p(x₀ | x_t),    t ~ U(.05, .95)

Eq. 1 of arXiv 2510.09885, after LLaDA (arXiv 2502.09992). L counts the tokens that can be hidden, as the authors' code
does. Deviation: t is drawn for each sequence, as in LLaDA; the authors' code draws one for the batch of a device.

Legend: B sequences, T tokens, N hidden tokens of the batch, V vocabulary.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from experiments.diffusion.denoiser import Denoiser
from worker.demasking import ChatForm

LOWEST_RATIO, HIGHEST_RATIO = 0.05, 0.95
TRIED_AT_ONCE = 16


@dataclass(frozen=True)
class Example:
    """Tokens to train on, of which the first `shown` are never hidden."""

    ids: tuple[int, ...]
    shown: int


@dataclass(frozen=True)
class Batch:
    """Examples padded on the right. `seen_BT` is false for padding, `open_BT` true where a token can be hidden."""

    ids_BT: torch.Tensor
    seen_BT: torch.Tensor
    open_BT: torch.Tensor


@dataclass(frozen=True)
class Noised:
    """A batch with tokens hidden: each open one with its sequence's probability `ratio_B`."""

    ids_BT: torch.Tensor
    hidden_BT: torch.Tensor
    ratio_B: torch.Tensor


def passage(chat: ChatForm, text: str, ended: bool = True) -> Example:
    """Raw text between the tokenizer's first and last token, the paper's form; the first is never hidden."""
    tokenizer = chat.tokenizer
    end = tokenizer.eos_token_id
    begin = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return Example((int(begin), *chat.tokens(text), *((int(end),) if ended else ())), 1)


def reply(chat: ChatForm, question: str, answer: str, ends: int = 1) -> Example:
    """A question of which only the answer is hidden, and `ends` end tokens behind it.

    Several ends teach that an answer may be shorter than the room it is given (LLaDA, section 2.3).
    """
    prompt = chat.prompt(question)
    return Example((*prompt, *chat.tokens(answer), *chat.after_answer * ends), len(prompt))


def collate(examples: Items[Example], device: torch.device) -> Batch:
    """Pads with zeros, which no token sees."""
    longest = max(len(example.ids) for example in examples)
    places_T = torch.arange(longest)
    lengths_B = torch.tensor([len(example.ids) for example in examples])
    shown_B = torch.tensor([example.shown for example in examples])
    seen_BT = places_T < lengths_B[:, None]
    ids_BT = torch.tensor([[*example.ids, *[0] * (longest - len(example.ids))] for example in examples])
    open_BT = seen_BT & (places_T >= shown_B[:, None])
    return Batch(ids_BT.to(device), seen_BT.to(device), open_BT.to(device))


def noise(batch: Batch, mask_id: int, generator: torch.Generator, ratio: float | None = None) -> Noised:
    """Hides tokens at one `ratio`, or at a random one for each sequence.

    `generator` is on the CPU, so that a seed hides the same tokens everywhere.
    """
    count, length = batch.ids_BT.shape
    drawn_B = torch.rand(count, generator=generator) * (HIGHEST_RATIO - LOWEST_RATIO) + LOWEST_RATIO
    ratio_B = drawn_B if ratio is None else torch.full((count,), ratio)
    falls_BT = torch.rand(count, length, generator=generator) < ratio_B[:, None]
    hidden_BT = falls_BT.to(batch.ids_BT.device) & batch.open_BT
    return Noised(batch.ids_BT.masked_fill(hidden_BT, mask_id), hidden_BT, ratio_B.to(batch.ids_BT.device))


def loss(denoiser: Denoiser, batch: Batch, noised: Noised, sight_TT: torch.Tensor | None = None) -> torch.Tensor:
    """The objective in nats a token, a scalar; 0 without gradient where nothing is hidden."""
    hidden_BT = noised.hidden_BT
    logits_NV = denoiser.logits(noised.ids_BT, batch.seen_BT, sight_TT)[hidden_BT].float()
    surprise_N = cross_entropy(logits_NV, batch.ids_BT[hidden_BT], reduction="none")
    weight_B = 1 / (noised.ratio_B * batch.open_BT.sum(dim=1))
    return (surprise_N * weight_B[:, None].expand_as(hidden_BT)[hidden_BT]).sum() / len(weight_B)


@torch.no_grad()
def restored(denoiser: Denoiser, examples: Items[Example], ratio: float, seed: int, causal: bool = False) -> float:
    """Share of hidden tokens whose likeliest restoration is right, at this ratio; of none: 0.

    `causal` lets each token see only what is before it.
    """
    generator = torch.Generator().manual_seed(seed)
    right = hidden = 0
    for start in range(0, len(examples), TRIED_AT_ONCE):
        batch = collate(examples[start : start + TRIED_AT_ONCE], denoiser.device)
        noised = noise(batch, denoiser.mask_id, generator, ratio)
        length = batch.ids_BT.shape[1]
        sight_TT = torch.ones(length, length, dtype=torch.bool, device=denoiser.device).tril() if causal else None
        best_BT = denoiser.logits(noised.ids_BT, batch.seen_BT, sight_TT).argmax(dim=-1)
        right += int((best_BT == batch.ids_BT)[noised.hidden_BT].sum())
        hidden += int(noised.hidden_BT.sum())
    return right / hidden if hidden else 0.0
