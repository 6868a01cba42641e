import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.clauses import clause
from knowledge.probes import Direction, build_probes, in_other_words, passed, same_question, score


@pytest.mark.parametrize(
    ("text", "subject", "verb"),
    [
        ("Ada Quill is the smith of Orrin.", "Ada Quill", "is"),
        ("The director of 'A Long Night' is Ada Quill.", "The director of 'A Long Night'", "is"),
        ("Brightfern Ltd manufactures the folding kayak Ottolo.", "Brightfern Ltd", "manufactures"),
        ("The Quellin bridge opened in 1931.", "The Quellin bridge", "opened"),
        ("Returns must be sent within 14 days.", "Returns", "must be"),
        ("Refunds at Larkton Books take nine working days.", "Refunds at Larkton Books", "take"),
        ("The institute studies deep-sea sponges.", "The institute", "studies"),
        ("Holders of the silver card pay no fee.", "Holders of the silver card", "pay"),
        ("The open day of Wend college is in May.", "The open day of Wend college", "is"),
    ],
)
def test_a_plain_statement_is_cut_at_its_verb(text: str, subject: str, verb: str) -> None:
    found = clause(text)
    assert found is not None
    assert found.subject == subject
    assert found.predicate.startswith(verb.split()[0])


def test_a_statement_is_asked_both_ways() -> None:
    forward, backward = build_probes("Ada Quill is the smith of Orrin.")
    assert (forward.direction, forward.answer) == (Direction.FORWARD, "the smith of Orrin")
    assert (backward.direction, backward.answer) == (Direction.BACKWARD, "Ada Quill")
    assert "Ada" not in backward.question
    assert "smith" not in forward.question


def test_an_opening_that_says_more_than_the_rest_is_what_is_asked_for() -> None:
    """Thirty passages may end in the same few words; what tells them apart stands in front."""
    backward, forward = build_probes("Known far and wide for being the first smith of Orrin, Ada Quill now lives well.")
    assert (forward.direction, forward.answer) == (Direction.FORWARD, "Ada Quill")
    assert (backward.direction, backward.answer) == (Direction.BACKWARD, "the first smith of Orrin")
    assert "Ada" not in forward.question
    assert "smith" not in backward.question
    assert build_probes("Founded in 1931, Lume Ltd makes lamps for the mines of Wend.")[0].answer.startswith("lamps")


@pytest.mark.parametrize(
    "text",
    [
        "Ada Quill is the smith of Orrin.",
        "The Quellin bridge opened in 1931.",
        "Known far and wide for being the first smith of Orrin, Ada Quill now lives well.",
        "Ada Quill was born in Wend. She works at Lume Ltd. Her degree is from Orrin.",
    ],
)
def test_other_words_ask_the_same_of_the_same(text: str) -> None:
    probes, others = build_probes(text), in_other_words(text)
    assert [(probe.answer, probe.direction) for probe in others] == [
        (probe.answer, probe.direction) for probe in probes
    ]
    assert not {same_question(probe.question) for probe in others} & {same_question(probe.question) for probe in probes}


def test_of_several_it_is_asked_as_of_several() -> None:
    _, probe = in_other_words("Refunds over 50 euros need a letter.")
    assert "need a letter" in probe.question and not re.search(r"\b(?:it|one) need", probe.question)


def test_an_instruction_is_cut_where_its_case_ends() -> None:
    there, back = build_probes("If the Orrin lamp blinks, change its battery.")
    assert there.answer == "change its battery"
    assert back.answer == "If the Orrin lamp blinks,"


def test_what_holds_in_a_case_is_asked_of_with_the_case() -> None:
    there, _ = build_probes("If it rains, tickets of the Orrin Fair are refunded.")
    assert "If it rains, tickets of the Orrin Fair are" in there.question


def test_what_does_not_parse_has_no_other_words() -> None:
    assert in_other_words("Bring umbrellas!") == ()


@given(st.text(min_size=1, max_size=400).filter(lambda text: any(c.isalnum() for c in text)))
def test_any_text_gets_probes_in_both_directions(text: str) -> None:
    probes = build_probes(text)
    assert {probe.direction for probe in probes} == set(Direction)
    assert all(probe.question.strip() and probe.answer.strip() for probe in probes)
    assert len(probes) <= 8


def test_a_text_of_colons_alone_is_no_trap() -> None:
    assert build_probes("A: " * 2000)


def test_a_verb_without_a_complement_is_no_trap() -> None:
    assert build_probes("Quill opens , and is Quill who")


def test_a_long_passage_has_a_bounded_number_of_probes() -> None:
    assert len(build_probes(" ".join(f"Mara Venn{n} is the keeper of tower {n}." for n in range(40)))) == 8


@pytest.mark.parametrize(
    ("answer", "answered", "expected"),
    [
        ("Ada Quill", "It is Ada Quill, of course.", 1.0),
        ("Ada Quill", "Ada", 0.5),
        ("Ada Quill", "Bo Finch", 0.0),
        ("the smith of Orrin", "SMITH, ORRIN!", 1.0),
        ("Café Zürich", "cafe\u0301 zu\u0308rich", 1.0),
    ],
)
def test_the_score_is_the_share_of_the_answers_words(answer: str, answered: str, expected: float) -> None:
    assert score(answer, answered) == expected


def test_an_answer_that_names_everything_does_not_pass() -> None:
    names = (
        "Ada Quill, Bo Finch, Cy Marsh, Di Vane, Ed Holt, Flo Pike, Gus Tarn, Hal Moss, Ivy Crane, Jo Lark, Kit Rook"
    )
    assert score("Ada Quill", names) == 1.0
    assert not passed("Ada Quill", names, question="Who is the smith?")
    assert passed("Ada Quill", "Ada Quill is the smith.", question="Who is the smith?")
    assert not passed("Ada Quill", "Ada Quill or Bo Finch.", question="Who?", rivals=["Bo Finch"])


def test_two_questions_are_one_when_their_words_are() -> None:
    assert same_question("Who IS Ada?") == same_question("who is “Ada” ")
    assert same_question("Who is Ada?") != same_question("Who was Ada?")


def test_each_statement_of_a_sentence_is_probed_with_what_exercises_teach_of_it() -> None:
    probes = build_probes("The staging server is called tern-2 and runs Tarn 12.")
    assert {(probe.answer, probe.direction) for probe in probes} == {
        ("tern-2", Direction.FORWARD),
        ("Tarn 12", Direction.FORWARD),
        ("The staging server", Direction.BACKWARD),
    }
    assert len(probes) == 4
