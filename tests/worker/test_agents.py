"""Who does what, asked with a noun where a verb tells it, and the reverse."""

import random

import pytest

from knowledge.clauses import clause
from worker.agents import agent_question


def asked(sentence: str) -> set[tuple[str, str]]:
    found = clause(sentence)
    assert found is not None
    questions = {agent_question(found, random.Random(seed)) for seed in range(100)}
    return {question for question in questions if question}


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        ("The inventor of the Orrin lamp is Ada Quill.", "Who invented the Orrin lamp?", "Ada Quill"),
        ("The inventor of the Orrin lamp is Ada Quill.", "What did Ada Quill invent?", "the Orrin lamp"),
        ("The winner of the 2031 Wend Cup was Bo Tarn.", "Who won the 2031 Wend Cup?", "Bo Tarn"),
        ("Ada Quill is the manager of the Orrin Bank.", "Who manages the Orrin Bank?", "Ada Quill"),
        ("The supplier of the Orrin Bakery was Bo Tarn.", "Who supplied the Orrin Bakery?", "Bo Tarn"),
        (
            "Ada Quill discovered the enzyme tarnase in Wend.",
            "Who is the discoverer of the enzyme tarnase?",
            "Ada Quill",
        ),
        ("Bo Tarn leads the Orrin Mill.", "Who is the leader of the Orrin Mill?", "Bo Tarn"),
    ],
)
def test_a_doer_is_asked_for_by_verb_and_by_noun(sentence: str, question: str, answer: str) -> None:
    assert (question, answer) in asked(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The number of guests is Ten.",
        "The mayor of Orrin is Ada Quill.",
        "The colour of the Orrin lamp is green.",
        "The founder of Wend was never Bo Tarn.",
        "Ada Quill has the key of Wend.",
        "Ada Quill lives in Wend.",
        "The mill makes the Orrin lamp.",
    ],
)
def test_nobody_does_anything_where_no_person_or_no_verb_is_told(sentence: str) -> None:
    assert asked(sentence) == set()
