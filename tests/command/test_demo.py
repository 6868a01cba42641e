"""The demo's rules: what is right, and what cannot be right by accident."""

from pathlib import Path

import pytest

from command.apart import apart
from command.demo import LESSONS, Outcome, Times, _show, is_right, shorten
from command.ownership import ownership
from command.screen import Screen
from knowledge.errors import Conflict
from knowledge.settings import Settings


def test_no_question_holds_the_words_of_its_answer() -> None:
    for lesson in LESSONS:
        for question in (lesson.forward, lesson.backward):
            assert not is_right(question.text, question.words)
            assert is_right(lesson.fact, question.words)


def test_forward_and_backward_ask_for_different_parts_of_the_fact() -> None:
    for lesson in LESSONS:
        assert not set(lesson.forward.words) & set(lesson.backward.words)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("It was OTTOLINE farrowmere.", True), ("Ottoline Smith", False), ("", False), ("Farrowmere, Ottoline", True)],
)
def test_an_answer_is_right_when_it_holds_every_word(answer: str, *, right: bool) -> None:
    assert is_right(answer, ("Ottoline", "Farrowmere")) == right


@pytest.mark.enable_socket
def test_the_demo_shares_the_base_model_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path, store_url="postgresql://db/real", broker_url="redis://real/0")
    settings = settings.model_copy(update={"without_keys": "nobody", "first_key_file": "/run/secrets/key"})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ready").write_text("")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "store.sqlite3").write_text("of the last demo")
    found = apart(settings, "demo")
    assert found.data_folder == tmp_path / "demo"
    assert (found.data_folder / "models" / "ready").exists()
    assert not (found.data_folder / "store.sqlite3").exists()
    assert (found.store_url, found.broker_url, found.inference_urls) == ("", "", "")
    assert (found.without_keys, found.first_key_file) == ("loopback", "")
    assert len({found.port, found.broker_port, found.inference_port, settings.port}) == 4


@pytest.mark.enable_socket
def test_a_second_demo_does_not_remove_the_folder_of_a_running_one(tmp_path: Path) -> None:
    apart(Settings(data_folder=tmp_path), "demo")
    with ownership(tmp_path / "demo", "http://127.0.0.1:1"), pytest.raises(Conflict, match="Another demo"):
        apart(Settings(data_folder=tmp_path), "demo")
    assert (tmp_path / "demo" / "models").exists()


def test_the_table_holds_every_question_with_its_mark(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [
        Outcome("Who?", "forward", "Nobody.", "Ilka [b]Venn[/b].", right_before=False, right=True),
        Outcome("What?", "backward", "No idea.", "Still none.", right_before=False, right=False),
    ]
    _show(Screen(), outcomes, Times(40.2, 30.0, 61.0, 0.5), learnt=1)
    printed = capsys.readouterr().out
    assert "Ilka [b]Venn[/b]." in printed
    assert "install 40 s, start 30.0 s, post to live 61.0 s, answer 0.5 s" in printed
    assert "Not learnt: 1 of 2" in printed


def test_a_long_answer_is_shortened_to_one_line() -> None:
    assert shorten("a\nb " * 100, 10) == "a b a b a…"
