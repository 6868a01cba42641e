import random

import pytest

from knowledge.claims import claims, contradicts
from knowledge.probes import Direction, Probe
from tests.knowledge.contradictions import COMPATIBLE, CONTRADICTIONS


def conflict(one: str, other: str) -> bool:
    known = {claim.question: claim.answer for claim in claims(one)}
    return any(claim.question in known and contradicts(claim.answer, known[claim.question]) for claim in claims(other))


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_cannot_both_be_true_is_seen_whichever_came_first(name: str) -> None:
    one, other = CONTRADICTIONS[name]
    assert conflict(one, other) and conflict(other, one)


@pytest.mark.parametrize("name", COMPATIBLE)
def test_what_may_both_be_true_raises_no_alarm(name: str) -> None:
    one, other = COMPATIBLE[name]
    assert not conflict(one, other) and not conflict(other, one)


@pytest.mark.parametrize("pair", [*CONTRADICTIONS.values(), *COMPATIBLE.values()])
def test_no_statement_contradicts_itself(pair: tuple[str, str]) -> None:
    assert not any(conflict(text, text) for text in pair)


def test_the_clients_own_questions_have_one_answer_unless_they_ask_for_a_description() -> None:
    def asked(question: str) -> list[str]:
        found = claims("The fare rose.", probes=[Probe(question, "4 crowns", Direction.FORWARD)])
        return [claim.answer for claim in found if claim.question.startswith("?")]

    assert asked("What does the ferry to Wend cost?") == asked("Who is the mayor of Wend?") == ["4 crowns"]
    assert asked("Who is Ada Quill?") == asked("What is Wend?") == []


@pytest.mark.parametrize(
    ("one", "other", "excluded"),
    [
        ("Ada", "Ada Quill", False),
        ("1,200", "1200", False),
        ("three crowns", "3 crowns", False),
        ("3 May 1990", "May 1990", False),
        ("19 euros a month for each seat and year", "29 euros a month for each seat and year", True),
        ("Ada Quill", "Ada Venn", True),
    ],
)
def test_an_answer_that_says_more_excludes_nothing(one: str, other: str, excluded: bool) -> None:
    assert contradicts(one, other) == contradicts(other, one) == excluded


def test_no_text_is_too_odd_to_be_compared() -> None:
    assert claims("' of Wend is Ada Quill.")  # a statement, whatever it says
    rng = random.Random(4)
    words = (
        "If To Call ' of The mill is are isn't no longer Ada Quill 18 at 9:30 5 as head ; : , . ( ) `x` 名前".split()
    )
    for _ in range(500):
        claims(" ".join(rng.choice(words) for _ in range(rng.randint(1, 18))))
