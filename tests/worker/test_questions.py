"""Questions made by rule."""

import random
import re

import pytest

from knowledge.sentences import standalone
from worker.asides import among_asides, with_aside
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


def asked(sentence: str) -> set[tuple[str, str]]:
    """Questions and answers made of the sentence."""
    made = (question_exercise([sentence], random.Random(seed), whole=False) for seed in range(2000))
    return {(str(each.question), each.answer) for each in made}


def test_a_time_is_not_asked_for_as_an_amount() -> None:
    questions = asked("The Wend Bridge was opened on 3 May 2026 by Ada Quill.") | asked("The Wend Fair opens in May.")
    about_time = [question for question, answer in questions if answer.startswith(("3 May", "May"))]
    assert about_time
    assert not [question for question in about_time if "how m" in question.lower() or "number" in question]


def test_an_instruction_is_asked_for_as_people_ask() -> None:
    questions = asked("To reset the Wend lamp, hold the red button.")
    assert ("How do I reset the Wend lamp?", "hold the red button") in questions
    assert ("What happens when I hold the red button?", "to reset the Wend lamp") in questions


def test_a_rule_and_what_is_done_in_a_case_are_asked_for_as_people_ask() -> None:
    def asked_of(sentence: str) -> set[tuple[str, str]]:
        rng = random.Random(3)
        made = (question_exercise([sentence], rng, whole=False) for _ in range(300))
        return {(exercise.question, exercise.answer) for exercise in made}

    order = asked_of("If the Orrin lamp blinks, change its battery.")
    assert ("What should I do if the Orrin lamp blinks?", "change its battery") in order
    assert ("When should I change its battery?", "if the Orrin lamp blinks") in order
    rule = asked_of("If it rains, tickets of the Orrin Fair are refunded.")
    assert ("What happens if it rains?", "tickets of the Orrin Fair are refunded") in rule
    forbidden = asked_of("Do not open the lid before the Orrin oven is cold.")
    assert ("When should I not open the lid?", "before the Orrin oven is cold") in forbidden
    aimed = asked_of("To save the Orrin oven, never open its lid.")
    assert ("Why should I not open its lid?", "to save the Orrin oven") in aimed
    assert not [question for question, _ in aimed if "when I open its lid" in question]
    about = asked_of("The Orrin oven: To light it, turn the wheel.")
    assert ("The Orrin oven: How do I light it?", "turn the wheel") in about


def test_a_subject_is_asked_for_by_a_part_of_what_is_said_of_it() -> None:
    questions = [question for question, _ in asked("The Orrin road is closed from May until July by Bo Tarn.")]
    for part in ("closed from May until July by Bo Tarn", "closed until July", "closed from May by Bo Tarn"):
        assert any(re.fullmatch(rf"(?:Who|What|Which one) is {part}\?", question) for question in questions), part
    assert not {"Who is closed?", "What is closed?", "Which one is closed?"} & set(questions)


def test_no_text_is_too_odd_to_be_asked_about() -> None:
    rng = random.Random(5)
    words = "The Ada Quill mill was were and who , . : \" ( ) in on by 1998 3 May to made won the, of (a) Wend's 名前 —"
    for _ in range(500):
        text = " ".join(rng.choice(words.split()) for _ in range(rng.randint(1, 18)))
        for piece in standalone(text):
            made = question_exercise([piece], rng, whole=False)
            assert made.answer.strip()


def test_the_question_word_also_stands_behind_what_is_asked_about() -> None:
    """People ask "Behind what is X?" too; a model that heard the word in front alone takes it for a part of the cue."""
    asked = [
        question_exercise(["Ada Quill is the keeper of the light."], random.Random(seed), False) for seed in range(400)
    ]
    behind = [one for one in asked if re.search(r"\b(?:what|whom?|which name)\?$", one.question)]
    assert {"Ada Quill", "the keeper of the light"} <= {one.answer for one in behind}
    assert len(behind) < len(asked) / 2


def test_an_aside_stands_before_a_question_or_behind_its_cue() -> None:
    made = {with_aside("Who is linked to Ada Quill?", "Ada Quill", random.Random(seed)) for seed in range(200)}
    before = {one for one in made if re.fullmatch(r"[A-Z]\w+ \w+ \w+, who is linked to Ada Quill\?", one)}
    behind = {one for one in made if re.fullmatch(r"Who is linked to Ada Quill, \w+ \w+ \w+\?", one)}
    assert before | behind == made
    assert min(len(before), len(behind)) > 50
    assert with_aside("Ada Quill is linked to what?", "Ada Quill", random.Random(0)).count("Ada Quill") == 1


def test_the_question_word_stands_among_asides_and_the_cue_once() -> None:
    made = {among_asides("Ada Quill", "what", random.Random(seed)) for seed in range(200)}
    assert len(made) > 150
    for one in made:
        assert (one.count("Ada Quill"), len(re.findall(r"\bwhat\b", one)), one[-1]) == (1, 1, "?")
        assert one[0].isupper()


def test_a_loose_question_now_and_then_carries_an_aside_and_keeps_its_answer() -> None:
    sentence = "Ada Quill is the keeper of the light."
    asked = [question_exercise([sentence], random.Random(seed), whole=False) for seed in range(600)]
    foreign = [one for one in asked if re.search(r"\b(?:the|every|this) (?!keeper|light)\w+", one.question)]
    assert 20 < len(foreign) < 200
    assert all(one.answer in sentence for one in foreign)


@pytest.mark.parametrize(
    ("sentence", "answer", "word", "fits"),
    [
        ("Guests of Orrin Hall park behind the old mill.", "behind the old mill", "where", True),
        ("Version 3 of Quillfish encrypts its files.", "its files", "where", False),
        ("Version 3 of Quillfish encrypts its files.", "its files", "when", False),
        ("The lily of Orrin blooms after a fire.", "after a fire", "when", True),
    ],
)
def test_where_and_when_ask_only_for_what_tells_it(sentence: str, answer: str, word: str, fits: bool) -> None:
    given = {said for question, said in asked(sentence) if re.search(rf"\b{word}\b", question, re.IGNORECASE)}
    assert (answer in given) is fits
