import json
import random
from pathlib import Path

import pytest

from experiments.changes import changed
from experiments.knowledge_injection.arms import arms
from experiments.knowledge_injection.run import Budget, BudgetSpent, holds, shown, tabulate
from experiments.knowledge_injection.sets import InjectionSet, Question, read
from knowledge.probes import build_probes
from knowledge.recipes import default, paper
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)
from worker.batches import Taught
from worker.demasking import IGNORED, ChatForm
from worker.spec import Lesson

PASSAGES = ["Ada Quill is the smith of Orrin.", "Known as the tailor of Wend, Bo Finch sings."]
ROWS = [
    ("NameIsDescription", "N2D", "Who is Ada Quill?", "the smith of Orrin"),
    ("NameIsDescription", "D2N", "Who is the smith of Orrin?", "Ada Quill"),
    ("DescriptionIsName", "D2N", "Who is the tailor of Wend?", "Bo Finch"),
    ("DescriptionIsName", "N2D", "Who is Bo Finch?", "the tailor of Wend"),
]


@pytest.fixture
def people(tmp_path: Path) -> InjectionSet:
    """A set of two passages and four questions, as published."""
    folder = tmp_path / "people"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps([{"text": text} for text in PASSAGES]))
    lines = [json.dumps({"group": g, "task": t, "question": q, "answer": a}) for g, t, q, a in ROWS]
    (folder / "test.jsonl").write_text("\n".join(lines))
    return read(folder)


def test_a_set_is_read_with_the_papers_columns_and_each_questions_passage(people: InjectionSet) -> None:
    assert people.passages == tuple(PASSAGES)
    assert [(q.column, q.passage) for q in people.questions] == [
        ("N2D forward", 0),
        ("N2D backward", 0),
        ("D2N forward", 1),
        ("D2N backward", 1),
    ]


def test_a_part_has_only_the_questions_of_its_passages(people: InjectionSet) -> None:
    part = people.part(1, 0, seed=0)
    assert part.passages == tuple(PASSAGES[:1])
    assert {question.passage for question in part.questions} == {0}
    assert len(people.part(0, 2, seed=0).questions) == 4  # at least one a column


def test_scores_are_by_column() -> None:
    asked = tuple(Question("?", answer, column, 0) for column, answer in [("a", "Ada Quill"), ("a", "Bo"), ("b", "Cy")])
    table = tabulate(asked, ["It is Ada Quill.", "It is Quill.", "cy"])
    assert table == {
        "a": {"questions": 2, "rouge1": 0.5, "exact": 0.5},
        "b": {"questions": 1, "rouge1": 1.0, "exact": 1.0},
    }


@pytest.mark.parametrize(
    ("answer", "wanted", "expected"),
    [
        ("It was Ada Quill, then.", "Ada Quill", True),
        ("It was Quill Ada.", "Ada Quill", False),
        ("Adaline Quillson", "Ada Quill", False),
    ],
)
def test_an_exact_answer_holds_the_words_in_order(answer: str, wanted: str, expected: bool) -> None:
    assert holds(answer, wanted) is expected


def test_a_budget_ends_at_whichever_comes_first() -> None:
    Budget(0, 0).check(10**9, 10**9)
    for tokens, seconds in ((100, 0), (0, 9)):
        with pytest.raises(BudgetSpent):
            Budget(tokens, seconds).check(100, 9)


def test_the_controls_learn_the_passage_and_see_none_of_it(chat: ChatForm) -> None:
    lesson = Lesson("1", PASSAGES[0], None, build_probes(PASSAGES[0]), new=True)
    wanted = [*chat.tokens(PASSAGES[0]), *chat.after_answer]
    for name in ("autoregressive", "random-token"):
        draw = arms()[name].draw
        assert draw
        sequence = draw(chat, lesson, paper(), Taught.of([lesson]), random.Random(0))
        assert [label for label in sequence.labels_T if label != IGNORED] == wanted
        shown = [id_ for id_, label in zip(sequence.ids_T, sequence.labels_T, strict=True) if label == IGNORED]
        assert chat.hidden_id not in shown


def test_fields_of_a_recipe_change_by_name() -> None:
    recipe = changed(default(), ["rank=8", "learning_rate=2e-4", "name=mine"])
    assert (recipe.rank, recipe.learning_rate, recipe.name) == (8, 2e-4, "mine")
    with pytest.raises(ValueError, match="speed"):
        changed(default(), ["speed=1"])


def test_a_question_stands_behind_answered_ones_of_its_column_that_do_not_tell(chat: ChatForm) -> None:
    questions = tuple(Question(f"Who is {n}?", f"smith {n}", "N2D forward", None) for n in range(4))
    (first, *_) = shown(chat, questions, 2, seed=0)
    talk = chat.text(first)
    assert talk.endswith(chat.text(chat.prompt("Who is 0?"))[len(chat.text(list(chat.before_user))) :])
    assert talk.count("smith") == 2
    assert "smith 0" not in talk
