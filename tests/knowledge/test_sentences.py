import pytest

from knowledge.sentences import sentences, standalone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada is a smith. Bo is a tailor.", ["Ada is a smith.", "Bo is a tailor."]),
        ("Dr. Quill and J. Finch met. They spoke.", ["Dr. Quill and J. Finch met.", "They spoke."]),
        ("He was born in Fort Collins, CO. He left.", ["He was born in Fort Collins, CO.", "He left."]),
        ("The U.S. senate voted. It was late.", ["The U.S. senate voted.", "It was late."]),
        ("She lives in the U.S. The fair is in May.", ["She lives in the U.S.", "The fair is in May."]),
        ("The mill is in Wend; its owner is Bo Tarn.", ["The mill is in Wend.", "Its owner is Bo Tarn."]),
        ("The council has three: Ada; Bo; Cy.", ["The council has three: Ada; Bo; Cy."]),
        ("Ada met Bo in May; they have a son.", ["Ada met Bo in May.", "They have a son."]),
        ("The mill is red, but its roof is blue.", ["The mill is red.", "Its roof is blue."]),
        (
            "The lamp is dim; to change it, press a key.",
            ["The lamp is dim.", "To change it, press a key."],
        ),
        (
            "The council chose a line, but construction will not start in May.",
            ["The council chose a line.", "Construction will not start in May."],
        ),
        ("The mill grinds rye and its husks for Bo.", ["The mill grinds rye and its husks for Bo."]),
        ("The lake freezes, so the ferry is cancelled.", ["The lake freezes, so the ferry is cancelled."]),
        ("The lake is frozen, so the ferry is late.", ["The lake is frozen.", "The ferry is late."]),
    ],
)
def test_sentences_end_where_they_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_sentence_stands_alone_with_the_name_for_he_and_she() -> None:
    assert standalone("Ada Quill was born in Wend. She works at Lume Ltd. Her degree is from Orrin.") == (
        "Ada Quill was born in Wend.",
        "Ada Quill works at Lume Ltd.",
        "Ada Quill's degree is from Orrin.",
    )
    assert standalone("Ada Quill's birthday is on May 4. She works at Lume Ltd.")[1] == "Ada Quill works at Lume Ltd."
    assert standalone("Ada Jones' birthday is on May 4. She works at Lume Ltd.")[1] == "Ada Jones works at Lume Ltd."


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("The Tolvik Fair is a market. It opens in May.", "The Tolvik Fair: It opens in May."),
        ("Ada Quill married Bo Finch. She is a smith.", "Ada Quill: She is a smith."),
        ("Ada Quill met Bo. The fair was closed.", "Ada Quill: The fair was closed."),
        ("Ada Quill is a smith. Ada Quill lives in Wend.", "Ada Quill lives in Wend."),
    ],
)
def test_where_somebody_else_may_be_meant_the_topic_only_stands_before(text: str, second: str) -> None:
    assert standalone(text)[1] == second


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("The Corvo 3 is a kettle. Its price is 49 euros.", "The Corvo 3's price is 49 euros."),
        ("Lume Works is in Wend; its head is Bo Tarn.", "Lume Works' head is Bo Tarn."),
        ("The Corvo 3 is a kettle. It's price unknown.", "The Corvo 3: It's price unknown."),
    ],
)
def test_its_is_the_topics(text: str, second: str) -> None:
    assert standalone(text)[1] == second


def test_the_title_is_the_topic_and_a_single_sentence_is_left_alone() -> None:
    assert standalone("It opens in May. It is small.", "Tolvik Fair")[1] == "Tolvik Fair: It is small."
    assert standalone("It opens in May.", "Tolvik Fair") == ("It opens in May.",)
    assert standalone("Opens in May! Bring umbrellas!") == ("Opens in May!", "Bring umbrellas!")


def test_a_last_name_becomes_the_whole_one() -> None:
    text = "Ada Quill (born 1911) was a smith. Quill lived in Wend. Quills are feathers."
    assert standalone(text) == (
        "Ada Quill (born 1911) was a smith.",
        "Ada Quill lived in Wend.",
        "Ada Quill: Quills are feathers.",
    )


def test_what_is_so_in_a_named_place_is_about_that_place() -> None:
    assert standalone("In the kingdom of Wend, salt is money, and its queen, Ada IV, lives in a tower.") == (
        "In the kingdom of Wend, salt is money.",
        "The kingdom of Wend: Its queen, Ada IV, lives in a tower.",
    )
