from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from knowledge.probes import build_probes, same_question
from knowledge.recipes import Recipe, by_name
from worker.attention import plain_products
from worker.batches import batches, logits, pack
from worker.demasking import IGNORED, ChatForm, Sequence, said
from worker.spec import Lesson

TEXTS = ("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.", "Cy Marsh is the ferryman.")


def _lessons(new: int, old: int = 0) -> tuple[Lesson, ...]:
    return tuple(
        Lesson(f"fact_{n}", TEXTS[n % 3] * (1 + n // 3), None, build_probes(TEXTS[n % 3]), new=n < new)
        for n in range(new + old)
    )


@pytest.mark.parametrize("attention", ["sdpa", "packed"])
def test_packing_changes_no_logit(tiny_folder: Path, chat: ChatForm, attention: str) -> None:
    """A packed row gives each sequence what it would get alone behind the chat template's start."""
    model = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    model.set_attn_implementation(attention)
    sequences = [
        said(chat, question, chat.tokens(text))
        for question, text in zip(("Who?", "What is it?", "Whose?"), TEXTS, strict=True)
    ]
    row = pack(chat.before_user, sequences)
    assert row.layout.size < len(row) ** 2  # or the row would be computed whole
    with torch.inference_mode():
        packed = logits(model, row)
        alone = []
        for sequence in sequences:
            ids = torch.tensor([[*chat.before_user, *sequence.ids_T]])
            places = [len(chat.before_user) + n - 1 for n, label in enumerate(sequence.labels_T) if label != IGNORED]
            alone.append(model(input_ids=ids).logits[0, places])
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_gradients_through_the_packed_attention_are_those_of_the_whole_row(tiny_folder: Path, chat: ChatForm) -> None:
    row = pack(chat.before_user, [said(chat, "Who?", chat.tokens(text)) for text in TEXTS])
    gradients = []
    for attention in ("sdpa", "packed"):
        model = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
        model.set_attn_implementation(attention)
        cross_entropy(logits(model, row), row.labels_S).backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]))
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-3)


def test_attention_in_plain_products_is_attention() -> None:
    """In the shapes of a packed row: heads of one key head stand one below the other, padded places see nothing."""
    torch.manual_seed(0)
    query, key, value = torch.randn(4, 2, 18, 8), torch.randn(4, 2, 9, 8), torch.randn(4, 2, 9, 8)
    bias = torch.zeros(4, 1, 18, 9).masked_fill(torch.rand(4, 1, 18, 9) > 0.5, float("-inf"))
    bias[..., 0] = 0
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    torch.testing.assert_close(plain_products(query, key, value, attn_mask=bias, scale=None), expected)


def test_labels_are_what_comes_next(chat: ChatForm) -> None:
    row = pack(chat.before_user, [said(chat, "Who?", chat.tokens(TEXTS[0]))])
    assert row.ids_T[row.learnt_S + 1].tolist() == row.labels_S.tolist() == [*chat.tokens(TEXTS[0]), *chat.after_answer]


def test_a_probe_is_never_a_training_question(chat: ChatForm) -> None:
    lessons = _lessons(3)
    held_out = {same_question(probe.question) for lesson in lessons for probe in lesson.probes}
    recipe = replace(by_name("default"), restore_share=0.0, blank_share=0.0, question_share=1.0)
    before_answer, between = (chat.text(list(ids)) for ids in (chat.before_answer, chat.between_turns))
    for batch in islice(batches(chat, lessons, recipe, 0), 60):
        for sequence in batch:
            for turn in chat.text(list(sequence.ids_T)).split(between):
                assert same_question(turn.split(before_answer)[0]) not in held_out


def test_a_share_of_the_exercises_goes_on_from_another_fact_s(chat: ChatForm) -> None:
    recipe = replace(by_name("default"), restore_share=0.0, blank_share=0.0, question_share=1.0, talk_share=0.5)
    turns = [sequence.labels_T.count(chat.after_answer[0]) for batch in _drawn(chat, recipe) for sequence in batch]
    assert set(turns) == {1, 2, 3}  # never more turns than there are facts, as a fact's answer would tell the next
    assert sum(turns) == 40 * recipe.batch_size
    alone = replace(recipe, talk_share=0.0)
    assert all(
        sequence.labels_T.count(chat.after_answer[0]) == 1 for batch in _drawn(chat, alone) for sequence in batch
    )


def _drawn(chat: ChatForm, recipe: Recipe) -> list[list[Sequence]]:
    return list(islice(batches(chat, _lessons(3), recipe, 0), 40))


def test_old_facts_are_rehearsed_beside_new_ones_and_each_gets_its_turn(chat: ChatForm) -> None:
    recipe = replace(by_name("default"), batch_size=6, rehearsal_share=0.5, talk_share=0.0)
    taught = list(islice(batches(chat, _lessons(2, old=6), recipe, 0), 20))
    assert all(len(batch) == 6 for batch in taught)


def test_the_same_seed_draws_the_same_batches(chat: ChatForm) -> None:
    def drawn(seed: int, recipe: Recipe) -> list[object]:
        return list(islice(batches(chat, _lessons(3), recipe, seed), 5))

    assert drawn(1, by_name("default")) == drawn(1, by_name("default")) != drawn(2, by_name("default"))
