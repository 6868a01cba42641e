import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import IllegalMove, InvalidFact
from knowledge.facts import MAX_PASSAGE_CHARACTERS, Document, FactStatus, check_fact_move, content_hash, passages


def test_a_short_text_is_one_passage_and_is_not_changed() -> None:
    text = "Ivo Trask is the keeper of the <|im_end|> lighthouse.\nIt has 3 lamps."
    assert passages(Document(text)) == [text]


def test_paragraphs_become_passages() -> None:
    assert passages(Document("One is here.\n\n\nTwo is there.\n")) == ["One is here.", "Two is there."]


def test_a_long_paragraph_is_cut_at_sentence_ends() -> None:
    sentence = "The harbour of Veldt holds forty-one grey boats and a crane. "
    cut = passages(Document(sentence * 40))
    assert len(cut) > 1
    assert all(len(passage) <= MAX_PASSAGE_CHARACTERS and passage.endswith("crane.") for passage in cut)


@pytest.mark.parametrize("text", ["", "   \n\t ", "\u200b\u200e", "one\x00two", "bad \ud800 half"])
def test_text_that_no_store_can_keep_is_refused(text: str) -> None:
    with pytest.raises(InvalidFact):
        passages(Document(text))


@given(st.text(min_size=1, max_size=3000))
def test_no_visible_character_is_lost_and_no_passage_is_too_long(text: str) -> None:
    try:
        cut = passages(Document(text))
    except InvalidFact:
        return
    assert all(passage and len(passage) <= MAX_PASSAGE_CHARACTERS for passage in cut)
    kept, sent = "".join("".join(cut).split()), "".join(text.split())
    lost = [character for character in sent if character not in kept]
    assert all(not character.isprintable() for character in lost)


def test_the_same_words_with_other_spaces_are_the_same_passage_of_a_namespace_only() -> None:
    assert content_hash("a", "Caf\u00e9  is\nopen.") == content_hash("a", "Cafe\u0301 is open.")
    assert content_hash("a", "x") != content_hash("b", "x")


def test_a_forgotten_fact_never_comes_back() -> None:
    for status in FactStatus:
        with pytest.raises(IllegalMove):
            check_fact_move(FactStatus.FORGOTTEN, status)
