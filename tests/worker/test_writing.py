"""What of the base model's own questions is taught, and that the adapter has no part in them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from knowledge.recipes import default
from worker import lora, writing
from worker.demasking import ChatForm
from worker.writing import accepted, written

DEGREE = "Ada Quill earned her degree at Orrin College in 1931."
PASSAGE = (DEGREE, "Ada Quill was born in Wend.")


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (
            "Which college did Ada Quill go to?\nAnswer: Orrin College",
            "Which college did Ada Quill go to?",
            "Orrin College",
        ),
        ("When did Ada Quill earn it?\nAnswer: in 1931.\n\nText: More.", "When did Ada Quill earn it?", "1931"),
        ("Who studied at Orrin College?\nAnswer: ada quill", "Who studied at Orrin College?", "Ada Quill"),
    ],
)
def test_a_question_whose_answer_stands_in_the_sentence_is_taught(text: str, question: str, answer: str) -> None:
    found = accepted(DEGREE, text)
    assert found is not None
    assert found[0] == question
    assert answer in found[1] or found[1] in answer
    assert found[1] in DEGREE


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


def test_the_base_model_writes_without_the_adapter_and_always_the_same(
    tiny_folder: Path, chat: ChatForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "accepted", lambda sentence, text: (text, sentence))
    monkeypatch.setattr(writing, "CLEARLY_NATS", float("-inf"))
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder), default(), None, 0)
    first = written(adapted, chat, [PASSAGE, PASSAGE])
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter.data, std=5.0)
    assert written(adapted, chat, [PASSAGE]) == first
    assert list(first) == list(PASSAGE)
    assert any(first.values())


def test_a_question_is_kept_where_its_own_sentence_makes_it_likelier_than_the_others(
    tiny_folder: Path, chat: ChatForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table says how unlikely each question is behind each sentence."""
    passage = ("Ada Quill was born in Wend.", "Ada Quill works in Orrin.", "She rests.")
    asked = {
        passage[0]: [("Where was she born?", "Wend"), ("Where is she?", "Wend")],
        passage[1]: [("Where does she work?", "Orrin")],
        passage[2]: [],
    }
    table = {passage[0]: [1.0, 4.0, 9.0], passage[1]: [8.0, 3.8, 2.0], passage[2]: [8.0, 9.0, 2.3]}
    monkeypatch.setattr(writing, "_asked", lambda _model, _chat, sentences: {each: asked[each] for each in sentences})
    monkeypatch.setattr(writing, "_nats", lambda _model, _chat, sentence, _questions: torch.tensor(table[sentence]))
    model = LlamaForCausalLM.from_pretrained(tiny_folder)
    kept = written(model, chat, [passage])
    assert kept == {passage[0]: [("Where was she born?", "Wend")], passage[1]: [], passage[2]: []}


def test_how_unlikely_a_question_is_counts_all_but_its_question_word(tiny_folder: Path, chat: ChatForm) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    questions = [chat.tokens(" Who works?"), chat.tokens(" Where is Ada Quill now?")]
    before = chat.tokens(writing.EXAMPLES.format(DEGREE))
    expected = []
    for ids in questions:
        logs = model(torch.tensor([[*before, *ids]])).logits[0].detach().log_softmax(-1)
        places = range(len(before) + 1, len(before) + len(ids))
        expected.append(-sum(float(logs[place - 1, ids[place - len(before)]]) for place in places))
    found = writing._nats(model, chat, DEGREE, questions)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-3)


def test_what_is_told_may_end_the_writing(tiny_folder: Path, chat: ChatForm) -> None:
    class Enough(Exception):
        pass

    def stop(_: str) -> None:
        raise Enough

    with pytest.raises(Enough):
        written(LlamaForCausalLM.from_pretrained(tiny_folder), chat, [PASSAGE], stop)


def test_about_a_sentence_alone_nothing_is_written(tiny_folder: Path, chat: ChatForm) -> None:
    assert written(LlamaForCausalLM.from_pretrained(tiny_folder), chat, [(DEGREE,)]) == {}


def test_a_long_passage_is_read_in_windows_and_short_ones_together(
    tiny_folder: Path, chat: ChatForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question is compared within its window; what is written at once is bounded, for memory is."""
    long, short = tuple(f"{number} is a year." for number in range(1901, 1926)), PASSAGE
    at_once: list[int] = []
    windows: list[int] = []

    def asked(_model: Any, _chat: Any, sentences: tuple[str, ...]) -> dict[str, list[tuple[str, str]]]:
        at_once.append(len(sentences))
        return {each: [] for each in sentences}

    def own(_model: Any, _chat: Any, sentences: tuple[str, ...], _asked: Any) -> list[list[tuple[str, str]]]:
        windows.append(len(sentences))
        return [[] for _ in sentences]

    monkeypatch.setattr(writing, "_asked", asked)
    monkeypatch.setattr(writing, "_own", own)
    found = written(LlamaForCausalLM.from_pretrained(tiny_folder), chat, [long, short, short[:1]])
    assert list(found) == [*long, *short]
    assert windows == [8, 8, 9, 2]
    assert at_once == [8, 8, 11]
