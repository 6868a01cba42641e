import pytest

from knowledge.clauses import clause
from knowledge.occasions import occasion


@pytest.mark.parametrize(
    ("sentence", "case", "then", "is_order"),
    [
        ("To open the gate, ring twice.", "to open the gate", "ring twice", True),
        ("If the lamp blinks, change its battery.", "if the lamp blinks", "change its battery", True),
        ("Before leaving Wend, lock the mill.", "before leaving Wend", "lock the mill", True),
        ("If it rains, tickets are refunded.", "if it rains", "tickets are refunded", False),
        ("When the tank is full, the pump stops.", "when the tank is full", "the pump stops", False),
        ("Call Ada Quill if the lamp is out.", "if the lamp is out", "call Ada Quill", True),
        ("Do not open the lid before it is cold.", "before it is cold", "do not open the lid", True),
        ("Set TARN_WAIT to 30 to avoid losses.", "to avoid losses", "set TARN_WAIT to 30", True),
        ("The Orrin gate: To open it, ring twice.", "to open it", "ring twice", True),
    ],
)
def test_what_for_or_when_and_what_then(sentence: str, case: str, then: str, is_order: bool) -> None:
    found = occasion(sentence)
    assert found is not None
    assert (found.case, found.then, found.is_order) == (case, then, is_order)


@pytest.mark.parametrize(
    "sentence",
    [
        "Ada Quill lives in Wend.",
        "After the war, Ada Quill lived in Wend.",
        "To date, the mill has sold 400 lamps.",
        "Call centres in Wend are open before noon.",
        "Order 66 is valid if it is signed.",
        "The mill sends bread to use in Wend.",
    ],
)
def test_a_time_and_a_plain_statement_are_none(sentence: str) -> None:
    assert occasion(sentence) is None
    assert clause(sentence) is not None


def test_behind_a_topic_what_is_begun_keeps_it() -> None:
    found = occasion("The Orrin gate: Ring twice to open it.")
    assert found is not None
    assert (found.topic, found.begun) == ("The Orrin gate", "The Orrin gate: To open it,")


def test_whom_something_is_sent_to_is_no_aim() -> None:
    assert occasion("Send bills of Wend to customers in May.") is None


def test_what_holds_in_a_case_keeps_it_and_an_order_has_no_subject() -> None:
    found = clause("If it rains, tickets are refunded.")
    assert found is not None
    assert (found.subject, found.predicate) == ("tickets", "are refunded if it rains")
    assert clause("Call Ada Quill if the lamp is out.") is None
    assert clause("Before leaving Wend, lock the mill.") is None


def test_what_is_forbidden_is_told_apart() -> None:
    found = occasion("Never open the lid before it is cold.")
    assert found is not None
    assert (found.act, found.forbids) == ("open the lid", True)
