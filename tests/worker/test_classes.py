"""What sort of thing a name belongs to."""

import random
import re

import pytest

from knowledge.clauses import Clause, clause
from worker.classes import class_at, class_of, kind_question, post_question
from worker.questions import question_exercise


def parsed(sentence: str) -> Clause:
    found = clause(sentence)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sentence", "name", "noun"),
    [
        ("Ada Quill studied at Orrin State University.", "Orrin State University", "university"),
        ("Ada Quill studied at the University of Wend.", "the University of Wend", "university"),
        ("The Quill 500 washing machine weighs 62 kilograms.", "The Quill 500 washing machine", "washing machine"),
        ("Ada Quill sailed her ship Tern to Wend.", "Tern", "ship"),
        ("Ada Quill lives in Castle Orrin.", "Castle Orrin", "castle"),
        ("Ada Quill bought a mill.", "Ada Quill", ""),
        ("Ada Quill bought a mill.", "a mill", ""),
        ("The Orrin Prize for translation went to Ada Quill.", "The Orrin Prize for translation", ""),
        ("Ada Quill taught kiln work at Orrin University.", "kiln work at Orrin University", ""),
    ],
)
def test_a_name_is_asked_for_by_its_noun(sentence: str, name: str, noun: str) -> None:
    start = sentence.index(name)

    assert class_at(sentence, start, start + len(name)) == noun


def test_a_statement_says_what_its_subject_is() -> None:
    assert class_of(parsed("The Wend Mile is a running race held in Orrin each May.")) == "running race"
    assert class_of(parsed("The Wend Mile is long.")) == ""


def test_a_race_is_asked_for_as_a_race_and_its_place_by_where() -> None:
    rng = random.Random(0)
    sentence = "The Wend Mile is a running race held in Orrin each May."
    asked = [question_exercise([sentence], rng, whole=False) for _ in range(400)]
    answers = {exercise.question: exercise.answer for exercise in asked}

    assert answers["Where is the Wend Mile held?"] == "Orrin"
    assert answers["Which running race is held in Orrin each May?"] == "The Wend Mile"
    assert answers["What kind of thing is the Wend Mile?"] == "running race"
    assert answers["In which month is the Wend Mile held?"] == "each May"


def test_a_university_is_asked_for_as_one() -> None:
    rng = random.Random(0)
    asked = [question_exercise(["Ada Quill studied at Orrin State University."], rng, whole=False) for _ in range(400)]

    assert "Which university did Ada Quill study at?" in {exercise.question for exercise in asked}


@pytest.mark.parametrize(
    ("sentence", "question", "noun"),
    [
        (
            "The Quill 500 washing machine weighs 62 kilograms.",
            "What kind of thing is the Quill 500?",
            "washing machine",
        ),
        ("Ada Quill sailed her ship Tern to Wend.", "What kind of thing is Tern?", "ship"),
    ],
)
def test_a_name_beside_its_noun_is_asked_for_what_it_is(sentence: str, question: str, noun: str) -> None:
    rng = random.Random(0)
    asked = {kind_question(sentence, rng) for _ in range(60)}

    assert (question, noun) in asked
    assert {each[1] for each in asked if each} == {noun}
    assert (question, noun) in {
        (each.question, each.answer) for each in (question_exercise([sentence], rng, whole=False) for _ in range(600))
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "The Wend Bridge was opened in May.",
        "Ada Quill bought a mill.",
        "The Orrin Prize for translation went to Ada Quill.",
        "The Orrin Observatory's dome was paid for by Ada Quill.",
    ],
)
def test_a_name_that_tells_its_kind_or_has_none_is_not(sentence: str) -> None:
    assert kind_question(sentence, random.Random(0)) is None


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("The head nurse at Wend Clinic is Ada Quill.", "The head nurse at Wend Clinic"),
        ("Ada Quill was the mayor of Wend.", "the mayor of Wend"),
    ],
)
def test_a_person_is_asked_for_a_post(sentence: str, answer: str) -> None:
    rng = random.Random(0)
    asked = {post_question(parsed(sentence), rng) for _ in range(60)}
    verb = "was" if "was" in sentence else "is"

    assert (f"What {verb} Ada Quill's job?", answer) in asked


def test_kin_is_no_post() -> None:
    rng = random.Random(0)
    asked = {post_question(parsed("Ada Quill is the sister of Bo Wend."), rng) for _ in range(60)}

    assert {each[1] for each in asked if each} == {"Bo Wend"}


@pytest.mark.parametrize(
    ("sentence", "questions", "answer"),
    [
        (
            "The architect of the Orrin Library is Ada Quill.",
            {"Which library is Ada Quill the architect of?", "Ada Quill is the architect of what library?"},
            "the Orrin Library",
        ),
        ("Ada Quill was the mayor of Wend.", {"What was Ada Quill the mayor of?"}, "Wend"),
    ],
)
def test_a_post_is_asked_for_by_what_it_is_of(sentence: str, questions: set[str], answer: str) -> None:
    rng = random.Random(0)
    asked = {post_question(parsed(sentence), rng) for _ in range(60)}

    assert {(question, answer) for question in questions} <= asked
    of_post = re.compile("the (?:architect|mayor) of")
    assert {each[1] for each in asked if each and of_post.search(each[0])} == {answer}


@pytest.mark.parametrize(
    "sentence",
    [
        "The first person to cross the Orr was Ada Quill.",
        "The mayor of Wend is ill.",
        "She is the mayor of Wend.",
        "Ada Quill is not the mayor of Wend.",
        "Ada Quill bought the mill of Wend.",
    ],
)
def test_what_is_no_post_is_not_asked_for_as_one(sentence: str) -> None:
    assert post_question(parsed(sentence), random.Random(0)) is None
