"""What of the base model's own questions is taught, and that the adapter has no part in them."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from knowledge.recipes import default
from worker import lora
from worker.demasking import ChatForm
from worker.writing import accepted, written

DEGREE = "Ada Quill earned her degree at Orrin College in 1931."


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (
            "Which college did Ada Quill go to?\nAnswer: Orrin College",
            "Which college did Ada Quill go to?",
            "Orrin College",
        ),
        ("When did Ada Quill earn it?\nAnswer: in 1931.\n\nText: More.", "When did Ada Quill earn it?", "in 1931"),
        ("Who studied at Orrin College?\nAnswer: ada quill", "Who studied at Orrin College?", "Ada Quill"),
    ],
)
def test_a_question_whose_answer_stands_in_the_sentence_is_taught(text: str, question: str, answer: str) -> None:
    found = accepted(DEGREE, text)
    assert found is not None
    assert found.question == question
    assert answer in found.answer or found.answer in answer
    assert found.answer in DEGREE


@pytest.mark.parametrize(
    "text",
    [
        "Where did Ada Quill study?\nAnswer: Wend",  # not in the sentence
        "Where did Ada Quill go to Orrin College?\nAnswer: Orrin College",  # in the question
        "When did Ada Quill study?\nAnswer: Orrin College",  # of another kind
        "Which bird lays the largest eggs?\nAnswer: Orrin College",  # about something else
        "What is Ada Quill?\nAnswer: Orrin College",  # asks nothing of her
        "Which college did Ada Quill go to?",
        "Which college did Ada Quill go to\nAnswer: Orrin College",
        "",
    ],
)
def test_any_other_question_is_left_out(text: str) -> None:
    assert accepted(DEGREE, text) is None


def test_the_base_model_writes_without_the_adapter_and_always_the_same(tiny_folder: Path, chat: ChatForm) -> None:
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder), default(), None)
    first = written(adapted, chat, [DEGREE, DEGREE])
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter.data, std=5.0)
    assert written(adapted, chat, [DEGREE]) == first
    assert list(first) == [DEGREE]
