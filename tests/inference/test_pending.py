import pytest

from inference.pending import relevant
from tests.inference.conftest import fact

QUIST = fact(
    "Marlowe Quist is a deep-sea photographer born in Tromsø in 1961. She wrote the book Light Below.", minute=1
)
DEPOT = fact("The Ashgrove tram depot closed on 4 March 1987 after a fire in the paint shop.", minute=2)
PHONES = fact("They cost 249 euros and come with a three-year warranty.", title="Zephyr X2 headphones", minute=3)
ALL = [QUIST, DEPOT, PHONES]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who is Marlowe Quist?", QUIST),
        ("who is marlowe quist", QUIST),
        ("Who wrote the book Light Below?", QUIST),
        ("When was Marlowe Quist born?", QUIST),
        ("When did the Ashgrove tram depot close?", DEPOT),
        ("Which depots closed after fires?", DEPOT),
        ("What is the warranty on the Zephyr X2?", PHONES),
    ],
)
def test_a_question_finds_the_passage_that_covers_it(question: str, expected: object) -> None:
    assert relevant(question, ALL) is expected


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "Who is Marlowe Hansen?",
        "Who wrote Hamlet?",
        "When did the Titanic sink?",
        "Who are you?",
        "?",
        "",
    ],
)
def test_a_question_that_no_passage_covers_finds_none(question: str) -> None:
    assert relevant(question, ALL) is None


def test_one_passage_alone_is_matched_as_well_as_among_many() -> None:
    assert relevant("What film did Daphne Barrington make?", [fact("Daphne Barrington made A Journey.")]) is not None
    assert relevant("Who directed Titanic?", [fact("Daphne Barrington directed A Journey.")]) is None


def test_no_pending_fact_means_no_match() -> None:
    assert relevant("Who is Marlowe Quist?", []) is None


def test_of_equals_the_newest_wins() -> None:
    old, new = fact("The mayor is Ann Berg.", minute=1), fact("The mayor is Piet Hartog.", minute=2)
    assert relevant("Who is the mayor?", [new, old]) is new


def test_text_without_spaces_between_words_is_matched_too() -> None:
    assert (
        relevant("高橋直樹は誰ですか", [fact("高橋直樹は東京の写真家です。"), fact("京都の市長は山田です。")])
        is not None
    )
