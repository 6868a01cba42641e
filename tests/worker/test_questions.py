"""Questions made by rule."""

import random

from worker.questions import question_exercise


def test_of_a_long_sentence_a_sparse_question_keeps_the_subject_and_what_is_near() -> None:
    sentence = (
        "Ada Quill won the cup of Wend on the last day of the year and gave all of it to the school in the hills "
        "above the town, where it stands by the door of the hall in Orrin to this day."
    )
    asked = [question_exercise([sentence], random.Random(seed), whole=False) for seed in range(300)]
    sparse = [each.question for each in asked if each.answer == "Orrin" and "hall" in each.question]
    assert sparse
    assert all(len(question.split()) <= 16 for question in sparse)
    assert any("Ada Quill" in question for question in sparse)
