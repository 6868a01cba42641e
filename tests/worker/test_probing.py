"""Greedy answers of a batch are those of each question alone, and those of transformers' own `generate`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from worker import attention, probing
from worker.demasking import ChatForm

QUESTIONS = ("Who is Ada?", "Orrin?", "Where is the smith of Orrin, and what does Ada do there?", "Orrin?")
TOKENS = 9


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Any:
    """With our attention, as `base_model.load` sets it."""
    model: Any = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    model.set_attn_implementation(attention.NAME)
    return model


def test_a_batch_answers_as_generate_does_alone(model: Any, tiny_folder: Path, chat: ChatForm) -> None:
    stock: Any = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    prompts = [chat.prompt(question) for question in QUESTIONS]
    alone = []
    for prompt in prompts:
        ids = stock.generate(torch.tensor([prompt]), max_new_tokens=TOKENS, do_sample=False, eos_token_id=[])
        alone.append(ids[0, len(prompt) :].tolist())
    assert probing.goes_on(model, prompts, TOKENS, lambda _: False) == alone


@pytest.mark.parametrize("prompts", [[[5, 6, 7]], [[5, 6, 7], [5, 6]], [[5], [6, 7, 8]]])
def test_prompts_may_be_one_or_begin_in_any_way(model: Any, prompts: list[list[int]]) -> None:
    alone = [probing.goes_on(model, [prompt], TOKENS, lambda _: False)[0] for prompt in prompts]
    assert probing.goes_on(model, prompts, TOKENS, lambda _: False) == alone


def test_a_row_ends_by_itself_and_the_others_go_on(model: Any, chat: ChatForm) -> None:
    prompts = [chat.prompt(question) for question in QUESTIONS]
    whole = probing.goes_on(model, prompts, TOKENS, lambda _: False)
    stop = whole[0][2]
    expected = [ids[: ids.index(stop) + 1] if stop in ids else ids for ids in whole]
    assert probing.goes_on(model, prompts, TOKENS, lambda ids: ids[-1] == stop) == expected


def test_wordings_begin_with_the_likeliest_tokens_and_go_on_greedily(model: Any, chat: ChatForm) -> None:
    prompts = [chat.prompt(question) for question in QUESTIONS[:2]]
    found = probing.goes_on(model, prompts, TOKENS, lambda _: False, wordings=[3, 1])
    for prompt, rows in zip(prompts, (found[:3], found[3:]), strict=True):
        first = model(torch.tensor([prompt])).logits[0, -1].topk(len(rows)).indices.tolist()
        assert [ids[0] for ids in rows] == first
        again = probing.goes_on(model, [[*prompt, token] for token in first], TOKENS - 1, lambda _: False)
        assert [ids[1:] for ids in rows] == again


def test_nothing_asked_is_nothing_answered(model: Any, chat: ChatForm) -> None:
    assert probing.answers(model, chat, []) == []
