"""Questions asked of the model in this process: greedy answers.

Legend: B questions in a batch, T tokens.
"""

from collections.abc import Sequence as Items

import torch

from worker.demasking import ChatForm


def answers(model: torch.nn.Module, chat: ChatForm, questions: Items[str], max_tokens: int = 32) -> list[str]:
    """Greedy answers in the plain chat form, in the questions' order, of at most `max_tokens` tokens each.

    All questions run as one batch, padded on the left; about 1 s for 12 questions on two cores.
    """
    if not questions:
        return []
    found = answer_tokens(model, chat, [chat.prompt(question) for question in questions], max_tokens)
    return [chat.text(ids).strip() for ids in found]


@torch.inference_mode()
def answer_tokens(
    model: torch.nn.Module, chat: ChatForm, prompts: Items[list[int]], max_tokens: int
) -> list[list[int]]:
    """Greedy tokens after each prompt, without the end of turn."""
    device = next(model.parameters()).device
    longest = max(map(len, prompts))
    (end,) = chat.after_answer
    ids_BT = torch.tensor([[end] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
    attention_BT = torch.tensor(
        [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device
    )
    out_BT = model.generate(  # type: ignore[operator]
        input_ids=ids_BT,
        attention_mask=attention_BT,
        max_new_tokens=max_tokens,
        do_sample=False,
        eos_token_id=end,
        pad_token_id=end,
    )
    return [_until(row[longest:], end) for row in out_BT.tolist()]


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
