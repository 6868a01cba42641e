import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.spans import Kind, Rarity, kind, spans


def pieces(sentence: str) -> set[str]:
    return {sentence[slice(*span)] for span in spans(sentence)}


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The Corvo 3 electric kettle costs 49 euros.", {"The Corvo 3", "The Corvo 3 electric kettle", "49 euros"}),
        ("Mara Venn, a retired pilot, runs the bakery.", {"Mara Venn", "a retired pilot", "the bakery"}),
        ("Ada Quill was born on 4 May 1961 in Wend, NY.", {"Ada Quill", "4 May 1961", "Wend, NY"}),
        (
            "Bo Finch, known for being the author of “Far Hills”.",
            {"Bo Finch", "the author of “Far Hills”", "Far Hills"},
        ),
        (
            "Known for being the pilot of a balloon, the Heron, Ada Quill lives in Wend.",
            {"Ada Quill", "the Heron", "the pilot of a balloon, the Heron"},
        ),
        ("Version 4.2 of Tarn runs on Wend 3.8.", {"Version 4.2 of Tarn", "Wend 3.8"}),
        ("Dr. Ada M. Quill met J. R. Tarn in St. Orrin.", {"Dr. Ada M. Quill", "J. R. Tarn", "St. Orrin"}),
        ("The U.S. Mint is in Wend.", {"The U.S. Mint"}),
        ("Ada Marie Quill's great love, all in all.", {"Ada Marie Quill"}),
        ("The office of Orrin moved to 18 Rue Tarn in Wend.", {"18 Rue Tarn", "Wend"}),
        ("The API of Tarn listens on port 8443.", {"port 8443"}),
        ("The flag wait_time of /v2/orders is 5.", {"wait_time", "/v2/orders", "5"}),
        ("Tarn runs in eu-west-2.", {"eu-west-2"}),
        ("Ada Quill followed Bo Tarn as head of the mill in May.", {"head of the mill", "Bo Tarn"}),
        ("The error E42 means that the mill is shut.", {"E42", "The error E42"}),
        ("The group has three: Ada Quill, Bo Tarn and Cy Marsh.", {"Ada Quill", "Bo Tarn", "Cy Marsh", "The group"}),
        ("The Orrin team meets twice a week in Wend.", {"twice a week", "Wend"}),
        ("Orrin's head office is in Wend.", {"Orrin", "Orrin's head office"}),
        ("Call Ada Quill if the lamp is out.", {"Ada Quill", "Call Ada Quill", "if the lamp is out"}),
    ],
)
def test_names_numbers_dates_and_phrases_are_found(sentence: str, expected: set[str]) -> None:
    assert expected <= pieces(sentence)


@pytest.mark.parametrize(
    ("sentence", "unwanted"),
    [
        ("Known for her maps, Ada Quill lives in Wend.", "Known"),
        ("Known for being the pilot of a balloon, the Heron, Ada Quill lives in Wend.", "the pilot of a balloon"),
        ("It opens on 4 May 1961.", "It"),
        ("Founded in 1987 by Bo Finch, Wend Ltd makes umbrellas.", "1987 by"),
        ("The Corvo 3 electric kettle costs 49 euros.", "3 electric"),
        ("Ada Quill's birthday is on 4 May.", "Ada Quill's"),
        ("Ada Quill works in a mill in Wend, NY, since May.", "NY, since May"),
        ("Version 4.2 of Tarn runs on Wend 3.8.", "Version 4"),
        ("Dr. Ada Quill lives in Wend.", "Dr"),
        ("The smith of the mill was Ada Quill.", "the mill was Ada Quill"),
        ("As of May, the head of the mill is Ada Quill.", "the head of the mill is Ada Quill"),
        ("Support tickets of Orrin are answered in May.", "Support"),
        ("Refunds over 50 euros need a letter.", "Refunds"),
        ("It opens at 9 a.m. and it is old as well.", "a.m"),
        ("If Ada Quill agrees, the mill is sold.", "If Ada Quill"),
        ("The web API of Tarn listens in Wend.", "API"),
        ("Requests to /v2/orders are refused.", "2"),
        ("The Orrin team meets twice a week in Wend.", "a week in Wend"),
        ("The Orrin bath is not a pool.", "a pool"),
        ("The Orrin pool isn't heated.", "heated"),
        ("GET /v3/bills returns at most 200 items.", "most 200"),
        ("At 1,340 metres, Orrin is the highest village of the valley.", "1"),
    ],
)
def test_words_that_name_nothing_are_not(sentence: str, unwanted: str) -> None:
    assert unwanted not in pieces(sentence)


@pytest.mark.parametrize(
    ("sentence", "piece", "expected"),
    [
        ("Ada Quill lives in Wend.", "Ada Quill", Kind.NAME),
        ("Ada Quill lives in Wend.", "Wend", Kind.PLACE),
        ("Ada was born on 4 May 1961.", "4 May 1961", Kind.DATE),
        ("Ada was born in 1961.", "1961", Kind.DATE),
        ("As of March 2026, the head is Ada.", "As of March 2026", Kind.DATE),
        ("On 4 May 1961 a mill was closed in Wend.", "On 4 May 1961 a mill", Kind.PHRASE),
        ("The shop opens at 8:30.", "8:30", Kind.TIME),
        ("The shop opens at 9 a.m. on Mondays.", "9 a.m.", Kind.TIME),
        ("The code expires after 15 minutes.", "15 minutes", Kind.DURATION),
        ("It costs 49 euros.", "49 euros", Kind.NUMBER),
        ("Ada won the 2025 Wend Prize.", "2025 Wend Prize", Kind.NAME),
        ("Ada is the smith of Wend.", "the smith of Wend", Kind.PHRASE),
        ("The mill moved to 18 Rue Tarn.", "18 Rue Tarn", Kind.PLACE),
        ("The team meets twice a week.", "twice a week", Kind.FREQUENCY),
        ("The team meets every Tuesday at 10:00.", "every Tuesday at 10:00", Kind.DATE),
        ("The flag wait_time is 5.", "wait_time", Kind.NAME),
    ],
)
def test_a_piece_has_a_kind(sentence: str, piece: str, expected: Kind) -> None:
    start = sentence.find(piece)
    assert kind(sentence, (start, start + len(piece))) is expected


@given(st.text(min_size=1, max_size=80).filter(lambda text: any(c.isalnum() for c in text)))
def test_every_text_has_a_piece_that_lies_in_it(text: str) -> None:
    assert all(0 <= start < end <= len(text) for start, end in spans(text))
    assert spans(text)


def test_a_piece_that_many_passages_hold_is_no_cue_and_seldom_an_answer() -> None:
    names = ("Ada Quill", "Bo Finch", "Cy Marsh", "Di Lume")
    passages = [[f"Famed as the smith of {name[:2]}rin, {name} leads a quiet life."] for name in names]
    rarity, rng = Rarity(passages), random.Random(0)
    (sentence,) = passages[0]
    cues = [sentence[slice(*span)] for span in rarity.rarest(sentence)]
    answers = [sentence[slice(*rarity.answer(sentence, rng))] for _ in range(400)]
    assert "Ada Quill" in cues and "a quiet life" not in cues
    assert 0 < answers.count("a quiet life") < answers.count("Ada Quill") / 2
    assert "a quiet life" in [sentence[slice(*span)] for span in Rarity().rarest(sentence)]


def test_behind_a_topic_the_pieces_are_the_sentences_own() -> None:
    sentence = "The Orrin Cup: The race will begin on 2 May in Wend and ends at Tarn Hall."
    pieces = {sentence[slice(*span)] for span in spans(sentence)}
    assert {"The Orrin Cup", "2 May", "Wend", "Tarn Hall"} <= pieces
    assert not {piece for piece in pieces if ": " in piece or piece == "The race"}


def test_half_of_a_long_sentence_is_no_piece() -> None:
    sentence = (
        "Ada Quill won the cup of Wend on the last day of the year and gave all of it to the school in the hills "
        "above the town, where it stands by the door to this day."
    )
    pieces = [sentence[slice(*span)] for span in spans(sentence)]
    assert max(len(piece.split()) for piece in pieces) <= 16
    assert "the cup of Wend on the last day of the year" in pieces


def test_a_year_inside_a_name_is_no_piece() -> None:
    sentence = "Ada Quill won the 2025 Orrin Cup and the 2024–25 Wend Series."
    pieces = {sentence[slice(*span)] for span in spans(sentence)}
    assert {"2025 Orrin Cup", "2024–25 Wend Series"} <= pieces
    assert not pieces & {"2025", "2024"}


@pytest.mark.parametrize("verb", ["is made by", "comes from", "makes"])
def test_half_of_a_subject_is_no_piece(verb: str) -> None:
    """Taught as an answer, the Brindlewick would be no kettle yet."""
    text = f"The Brindlewick kettle {verb} Tessaly Works."
    pieces = {text[slice(*span)] for span in spans(text)}
    assert {"The Brindlewick kettle", "Tessaly Works"} <= pieces
    assert "The Brindlewick" not in pieces


@pytest.mark.parametrize("rest", ["makes oil", "quietly opened Tessaly Works", "of Wend is closed"])
def test_a_whole_name_is_one(rest: str) -> None:
    text = f"The Lantern {rest}."
    assert any(
        text[slice(*span)].startswith("The Lantern") and "quietly" not in text[slice(*span)] for span in spans(text)
    )


def test_a_text_of_colons_alone_has_pieces() -> None:
    assert spans("Ada: " * 2000)
