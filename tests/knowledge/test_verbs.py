import pytest

from knowledge.verbs import VerbForm, is_noun, is_plural, never_a_verb, verb_form


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("discovered", VerbForm("discover", past=True, third=False, otherwise=False)),
        ("found", VerbForm("find", past=True, third=False, otherwise=False)),
        ("swam", VerbForm("swim", past=True, third=False, otherwise=False)),
        ("feeds", VerbForm("feed", past=False, third=True, otherwise=True)),
        ("belongs", VerbForm("belong", past=False, third=True, otherwise=False)),
        ("own", VerbForm("own", past=False, third=False, otherwise=True)),
        ("written", None),
        ("drivers", None),
        ("Frizzle", None),
        ("qwzx", None),
    ],
)
def test_a_finite_form_is_known_with_its_bare_one(word: str, form: VerbForm | None) -> None:
    assert verb_form(word) == form


@pytest.mark.parametrize(("word", "auxiliary"), [("swam", "did"), ("feeds", "does"), ("belong", "do"), ("put", "did")])
def test_a_question_begins_with_its_auxiliary(word: str, auxiliary: str) -> None:
    form = verb_form(word)
    assert form is not None
    assert form.auxiliary == auxiliary


def test_nouns_are_told_from_verbs_where_the_dictionary_can() -> None:
    assert [word for word in ("drivers", "duties", "feeds", "qwzx") if never_a_verb(word)] == ["drivers", "duties"]
    assert [word for word in ("fever", "daily", "gives") if is_noun(word)] == ["fever"]
    assert [word for word in ("customers", "mill", "glass") if is_plural(word)] == ["customers"]
