"""Questions asked of the model in this process: greedy answers.

Legend: B rows of a batch, T tokens of a row, W likeliest first tokens.
"""

from collections.abc import Callable
from collections.abc import Sequence as Items
from itertools import takewhile
from typing import Any

import torch

from worker.demasking import ChatForm


def answers(model: torch.nn.Module, chat: ChatForm, questions: Items[str], max_tokens: int = 32) -> list[str]:
    """Greedy answers in the plain chat form, in the questions' order, of at most `max_tokens` tokens each.

    All questions run as one batch; about 1 s for 12 questions on two cores.
    """
    found = answer_tokens(model, chat, [chat.prompt(question) for question in questions], max_tokens)
    return [chat.text(ids).strip() for ids in found]


def answer_tokens(
    model: torch.nn.Module, chat: ChatForm, prompts: Items[list[int]], max_tokens: int
) -> list[list[int]]:
    """Greedy tokens after each prompt, without the end of turn."""
    (end,) = chat.after_answer
    found = goes_on(model, prompts, max_tokens, lambda ids: ids[-1] == end)
    return [ids[:-1] if ids[-1] == end else ids for ids in found]


@torch.inference_mode()
def goes_on(
    model: torch.nn.Module,
    prompts: Items[list[int]],
    most: int,
    ended: Callable[[list[int]], bool],
    wordings: Items[int] | None = None,
) -> list[list[int]]:
    """Tokens behind each prompt, at most so many: greedy, from the likeliest first token on.

    `wordings` says from how many of a prompt's likeliest first tokens to go on; each gives a row of the result.
    `ended` tells of a row's tokens whether they are enough. What all prompts begin with is computed once, and nothing
    for a row that has ended: the longest answer of a batch is often five times as long as most.
    """
    if not prompts:
        return []
    device = next(model.parameters()).device
    shared = _beginning(prompts)[: min(map(len, prompts)) - 1]
    longest = max(map(len, prompts)) - len(shared)
    gaps = [longest - len(prompt) + len(shared) for prompt in prompts]
    rows = [[*[0] * gap, *prompt[len(shared) :]] for gap, prompt in zip(gaps, prompts, strict=True)]
    ids_BT = torch.tensor(rows, device=device)
    seen_BT = torch.ones(len(prompts), len(shared) + longest, dtype=torch.long, device=device)
    for row, gap in zip(seen_BT, gaps, strict=True):
        row[len(shared) : len(shared) + gap] = 0
    cache = None
    if shared:
        cache = model(input_ids=torch.tensor([shared], device=device), use_cache=True, logits_to_keep=1).past_key_values
        cache.batch_repeat_interleave(len(prompts))
    out = _forward(model, ids_BT, seen_BT, cache)
    counts = wordings or [1] * len(prompts)
    first_BW = out.logits[:, -1].topk(max(counts)).indices.tolist()
    given = [[token] for tokens, count in zip(first_BW, counts, strict=True) for token in tokens[:count]]
    rows_B = torch.tensor([row for row, count in enumerate(counts) for _ in range(count)], device=device)
    cache, seen_BT = out.past_key_values, seen_BT[rows_B]
    cache.batch_select_indices(rows_B)
    live = list(range(len(given)))
    for _ in range(most - 1):
        places = [place for place, row in enumerate(live) if not ended(given[row])]
        if not places:
            break
        if len(places) < len(live):
            places_B = torch.tensor(places, device=device)
            live, seen_BT = [live[place] for place in places], seen_BT[places_B]
            cache.batch_select_indices(places_B)
        seen_BT = torch.cat((seen_BT, seen_BT.new_ones(len(live), 1)), dim=1)
        last_BT = torch.tensor([[given[row][-1]] for row in live], device=device)
        out = _forward(model, last_BT, seen_BT, cache)
        for row, token in zip(live, out.logits[:, -1].argmax(-1).tolist(), strict=True):
            given[row].append(token)
    return given


def _forward(model: torch.nn.Module, ids_BT: torch.Tensor, seen_BT: torch.Tensor, cache: object) -> Any:
    """One pass over the tokens behind a cache; `seen_BT` is 0 at the padding of the whole row, cache included."""
    positions_BT = (seen_BT.cumsum(1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :]
    return model(
        input_ids=ids_BT,
        attention_mask=seen_BT,
        position_ids=positions_BT,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )


def _beginning(prompts: Items[list[int]]) -> list[int]:
    """What all of them begin with."""
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False))]
