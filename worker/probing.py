"""Questions asked of the model in this process: greedy answers, and a cheap check that stops training.

Legend: B questions in a batch, T tokens.
"""

from collections.abc import Sequence as Items

import peft
import torch

from worker.batches import logits, pack
from worker.demasking import ChatForm, said


def answers(model: torch.nn.Module, chat: ChatForm, questions: Items[str], max_tokens: int = 32) -> list[str]:
    """Greedy answers in the plain chat form, in the questions' order, of at most `max_tokens` tokens each.

    All questions run as one batch, padded on the left; about 1 s for 12 questions on two cores.
    """
    if not questions:
        return []
    return [chat.text(ids).strip() for ids in answer_tokens(model, chat, questions, max_tokens)]


@torch.inference_mode()
def answer_tokens(model: torch.nn.Module, chat: ChatForm, questions: Items[str], max_tokens: int) -> list[list[int]]:
    """Token ids of `answers`, without the end of turn."""
    device = next(model.parameters()).device
    prompts = [chat.prompt(question) for question in questions]
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


@torch.inference_mode()
def forced(model: peft.PeftModel, chat: ChatForm, pairs: Items[tuple[str, str]]) -> list[bool]:
    """Whether the model, asked each question, would greedily give exactly that answer: one forward pass for all."""
    if not pairs:
        return []
    row = pack(
        chat.before_user,
        [said(chat, question, chat.tokens(answer)) for question, answer in pairs],
        next(model.parameters()).device,
    )
    right_S = logits(model, row).argmax(-1) == row.labels_S
    return [bool(right_S[row.owner_S == number].all()) for number in range(len(pairs))]


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
