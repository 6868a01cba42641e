"""What a statement says beside its main point, and the questions that people ask about it."""

import random

import pytest

from knowledge.clauses import clause
from worker.adjuncts import adjunct_question, object_question, taken_apart
from worker.spans import Kind


def parts(sentence: str) -> list[tuple[str, str, Kind]]:
    found = clause(sentence)
    assert found is not None
    return [(each.preposition, each.told, each.kind) for each in taken_apart(found)[1]]


@pytest.mark.parametrize(
    ("sentence", "adjuncts"),
    [
        (
            "The Wend Bridge was opened on 3 May 2026 by Ada Quill.",
            [("on", "3 May 2026", Kind.DATE), ("by", "Ada Quill", Kind.NAME)],
        ),
        ("Ada Quill has led the Orrin Mill since 2019.", [("since", "2019", Kind.DATE)]),
        ("In 1998, Ada Quill founded the Wend Cup.", [("in", "1998", Kind.DATE)]),
        ("Ada Quill was born in Graz, Austria.", [("in", "Graz, Austria", Kind.PLACE)]),
        ("Ada Quill's birthday is on May 3, 2075.", [("on", "May 3, 2075", Kind.DATE)]),
        (
            "The Wend Cup was held from 8 to 16 May at the Orrin Hall in Wend, and won by Bo Tarn.",
            [("from", "8 to 16 May", Kind.DATE), ("at", "the Orrin Hall in Wend", Kind.PLACE)],
        ),
        ("Ada Quill sold the Orrin Mill to Bo Tarn.", [("to", "Bo Tarn", Kind.NAME)]),
        (
            "The oil of Wend is pressed within six hours of the harvest.",
            [("within", "six hours of the harvest", Kind.DURATION)],
        ),
        (
            "Because the bridge broke, buses of line 14 stop at Orrin.",
            [("at", "Orrin", Kind.PLACE), ("because", "the bridge broke", Kind.REASON)],
        ),
        (
            "Queries against the archive fail after 90 seconds unless the flag is set.",
            [("after", "90 seconds", Kind.DURATION), ("", "unless the flag is set", Kind.CASE)],
        ),
        ("The vote was held in Wend to replace Ada Quill.", [("in", "Wend", Kind.PLACE)]),
        (
            "The games are shown on Wend One, Wend Two, and Orrin.",
            [("on", "Wend One, Wend Two, and Orrin", Kind.PLACE)],
        ),
        (
            "Ada Quill was taught by the Centre for Orrin in Wend.",
            [("by", "the Centre for Orrin", Kind.NAME), ("in", "Wend", Kind.PLACE)],
        ),
        ("Ada Quill played in the 2025 Wend Games.", [("in", "the 2025 Wend Games", Kind.PLACE)]),
        ("Parking in Wend is free after seven in the evening.", [("after", "seven in the evening", Kind.TIME)]),
        ("The bakery opens at five in the morning.", [("at", "five in the morning", Kind.TIME)]),
        ("Bills of Orrin Ltd are due within 21 days.", [("within", "21 days", Kind.DURATION)]),
        ("The pass is open from May.", [("from", "May", Kind.DATE)]),
        ("The code expires after 15 minutes.", [("after", "15 minutes", Kind.DURATION)]),
        ("Bills are paid within ten working days.", [("within", "ten working days", Kind.DURATION)]),
        (
            "The ferry leaves on Mondays at 18:40.",
            [("on", "Mondays", Kind.DATE), ("at", "18:40", Kind.TIME)],
        ),
        ("Ada Quill sold the mill for $3 million.", [("for", "$3 million", Kind.NUMBER)]),
        ("The API of Tarn listens on port 8443.", [("on", "port 8443", Kind.NUMBER)]),
        ("The mill moved to 18 Rue Tarn.", [("to", "18 Rue Tarn", Kind.PLACE)]),
        (
            "The mill was closed in May because the Orrin flooded.",
            [("in", "May", Kind.DATE), ("because", "the Orrin flooded", Kind.REASON)],
        ),
        (
            "Ada Quill banned cars from Wend in order to reduce noise.",
            [("from", "Wend", Kind.PLACE), ("in order", "to reduce noise", Kind.REASON)],
        ),
        (
            "Ada Quill was fired by Orrin Ltd after she had sold the mill.",
            [("by", "Orrin Ltd", Kind.NAME), ("", "after she had sold the mill", Kind.CASE)],
        ),
        ("The warranty lasts five years if it is registered.", [("", "if it is registered", Kind.CASE)]),
        (
            "The prize was given to Ada Quill for her work on kilns.",
            [("to", "Ada Quill", Kind.NAME), ("for", "her work on kilns", Kind.PHRASE)],
        ),
        ("Bo Tarn found the ring in an old mill in Wend.", [("in", "an old mill in Wend", Kind.PLACE)]),
        ("The treaty ended the war between Wend and Orrin.", []),
        ("Lake Oru freezes every January.", [("", "every January", Kind.FREQUENCY)]),
        (
            "Wend Air dropped its route to Orrin last winter.",
            [("to", "Orrin", Kind.NAME), ("", "last winter", Kind.DATE)],
        ),
        ("In the 1960s the village of Orrin was flooded.", [("in", "the 1960s", Kind.DATE)]),
        ("The report found that the dam failed in May.", []),
        ("A fire destroyed the mill on the night of 3 May 1911.", [("on", "the night of 3 May 1911", Kind.DATE)]),
    ],
)
def test_adjuncts_tell_when_where_and_by_whom(sentence: str, adjuncts: list[tuple[str, str, Kind]]) -> None:
    assert parts(sentence) == adjuncts


@pytest.mark.parametrize(
    "sentence",
    [
        "Ada Quill is the smith of the mill in Wend.",
        "The Wend Cup was never held in Orrin.",
        "Ada Quill, known far and wide for being the first to sing in Wend, lives in peace.",
        'Ada Quill wrote "A Day in Wend".',
        "Refunds take nine days.",
        "The mill was held up by.",
    ],
)
def test_no_adjunct_is_seen_where_it_would_say_something_else(sentence: str) -> None:
    found = clause(sentence)
    assert found is None or taken_apart(found)[1] == ()


def asked(sentence: str) -> set[tuple[str, str]]:
    found = clause(sentence)
    assert found is not None
    questions = {adjunct_question(found, random.Random(seed)) for seed in range(1000)}
    return {question for question in questions if question}


def test_questions_about_a_passive_are_those_that_people_ask() -> None:
    questions = asked("The Wend Bridge was opened on 3 May 2026 by Ada Quill.")
    assert {
        ("When was the Wend Bridge opened?", "3 May 2026"),
        ("On what date was the Wend Bridge opened by Ada Quill?", "3 May 2026"),
        ("By whom was the Wend Bridge opened?", "Ada Quill"),
        ("Who was the Wend Bridge opened on 3 May 2026 by?", "Ada Quill"),
        ("Do you know when the Wend Bridge was opened?", "3 May 2026"),
    } <= questions
    assert all(answer not in question for question, answer in questions)


@pytest.mark.parametrize(
    ("sentence", "wanted", "unwanted"),
    [
        ("The Wend ferry leaves at 18:40.", "at what time", "date"),
        ("Bills are paid within ten working days.", "within how many days", "when "),
        ("The code expires after an hour.", "after how long", "how many"),
        ("The tulip flowers for just eleven days, always in May.", "for how many days", "just"),
        ("The tulip flowers for just eleven days, always in May.", "when does the tulip flower", "always"),
        ("The Orrin app saves its drafts in the folder /var/lamps.", "in which folder", "when"),
        ("Guests of Castle Wend leave their coats at the gate.", "where do guests", "whom"),
        ("Ada Quill sold the mill for 90 euros.", "for how much", "whom"),
        ("The API of Tarn listens on port 8443.", "on which port", "how much"),
    ],
)
def test_times_and_amounts_are_asked_for_by_their_own_words(sentence: str, wanted: str, unwanted: str) -> None:
    questions = [question for question, _ in asked(sentence)]
    assert any(wanted in question.lower() for question in questions)
    assert not [question for question in questions if unwanted in question]


def test_a_question_has_the_verbs_bare_form_and_an_indirect_one_its_own() -> None:
    questions = asked("Ada Quill founded the Wend Cup in 1998.")
    assert ("Do you know in which year Ada Quill founded the Wend Cup?", "1998") in questions
    assert ("In which year did Ada Quill found the Wend Cup?", "1998") in questions
    assert all("Quill founded the" in question or "did Ada Quill found the" in question for question, _ in questions)


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        (
            "Ada Quill discovered the enzyme tarnase while she lived in Wend.",
            "What did Ada Quill discover?",
            "the enzyme tarnase",
        ),
        ("Captain Quill commands the ship Tern.", "What does Captain Quill command?", "the ship Tern"),
        ("Bo Tarn married Ada Quill in Wend in 2019.", "Who did Bo Tarn marry?", "Ada Quill"),
        ("The recipe calls for eggs, flour and salt.", "What does the recipe call for?", "eggs, flour and salt"),
        ("Ada Quill is allergic to nuts.", "What is Ada Quill allergic to?", "nuts"),
        ("Bo Tarn took over the mill on Wend Street.", "What did Bo Tarn take over?", "the mill"),
        ("The Quills have owned the mill since 1871.", "What have the Quills owned?", "the mill"),
        ("The office has 42 desks.", "What does the office have?", "42 desks"),
        ("The office has 42 desks.", "How many desks does the office have?", "42 desks"),
        ("A tenant may hold three guest keys.", "How many guest keys may a tenant hold?", "three guest keys"),
        ("The lamp weighs eleven grams.", "How many grams does the lamp weigh?", "eleven grams"),
        ("Customers who return a lamp receive a refund.", "What do customers who return a lamp receive?", "a refund"),
        ("The warranty lasts five years if it is registered.", "How long does the warranty last?", "five years"),
        ("Bo Tarn must wear a badge.", "What must Bo Tarn wear?", "a badge"),
    ],
)
def test_the_other_side_is_asked_for_as_people_ask(sentence: str, question: str, answer: str) -> None:
    found = clause(sentence)
    assert found is not None
    assert (question, answer) in {object_question(found, random.Random(seed)) for seed in range(200)}


@pytest.mark.parametrize(
    "sentence",
    [
        "Ada Quill lives only in Wend.",
        "Bus 61 stops at Wend, Orrin and Tarn, but not at Elm.",
        "The mill was built by Bo Tarn.",
        "Ada Quill is the smith of Wend.",
        "The tulip flowers for just eleven days.",
    ],
)
def test_where_no_thing_stands_behind_the_verb_none_is_asked_for(sentence: str) -> None:
    found = clause(sentence)
    assert found is not None
    assert {object_question(found, random.Random(seed)) for seed in range(50)} == {None}


def test_behind_a_topic_the_subject_is_the_topics() -> None:
    questions = asked("The Wend Cup: The winner was paid by Orrin Ltd.")
    assert ("By whom was the winner of the Wend Cup paid?", "Orrin Ltd") in questions


def test_a_statement_without_adjuncts_gives_no_question() -> None:
    found = clause("Ada Quill leads the Orrin Mill.")
    assert found is not None
    assert adjunct_question(found, random.Random(0)) is None
