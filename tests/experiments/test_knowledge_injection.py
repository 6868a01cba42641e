import json
import random
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM

from experiments.changes import changed
from experiments.knowledge_injection.arms import arms, reversed_words
from experiments.knowledge_injection.generated import GENERATED, generate
from experiments.knowledge_injection.report import plot, table
from experiments.knowledge_injection.report import read as read_run
from experiments.knowledge_injection.run import (
    gigaflop,
    holds,
    needs,
    shown,
    steps_of,
    tabulate,
    tokens_of_a_step,
)
from experiments.knowledge_injection.sets import InjectionSet, Question, read
from knowledge.probes import build_probes
from knowledge.recipes import default, paper
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)
from worker import lora, replay
from worker.batches import Taught, batches, pack
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


def test_arms_of_different_exercises_get_as_many_tokens(chat: ChatForm) -> None:
    lessons = tuple(Lesson(text, text, None, build_probes(text), new=True) for text in PASSAGES)
    for arm in ("autoregressive", "masked", "ours"):
        recipe, draw = arms()[arm].recipe, arms()[arm].draw
        assert recipe
        steps = steps_of(20_000, chat, recipe, lessons, draw)
        drawn, held = batches(chat, lessons, recipe, 1, draw), replay.held(chat, lessons, recipe, 1)
        tokens = sum(len(pack(chat.before_user, [*next(drawn), *next(held)])) for _ in range(steps))
        assert tokens == pytest.approx(20_000, rel=0.1)


def test_a_report_sets_every_column_beside_the_paper_s(tmp_path: Path) -> None:
    columns = {name: {"questions": 4, "rouge1": 0.5, "exact": 0.25} for name in ("forward", "backward")}
    about = {"arm": "ours", "set": "wiki", "passages": 3, "seed": 0, "loss": 0.1}
    look = about | {"kind": "look", "steps": 1, "tokens": 900, "seconds": 60.0, "columns": columns}
    end = look | {"kind": "end", "steps": 2, "changes": ["rank=8"], "2-shot": columns}
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (look, end)))
    run = read_run(tmp_path / "run.jsonl")
    lines = table("wiki", [run]).splitlines()
    assert lines[2] == "| ours (rank=8) | 3 | 2 | 1k | 1.0 | 0.500 (0.250) | 0.500 (0.250) |"
    assert lines[3].startswith("| ours (rank=8), 2-shot |")
    assert "| the paper, Qwen2.5-7B |" in "\n".join(lines)
    plot("wiki", [run], tmp_path / "wiki.svg")
    assert "backward" in (tmp_path / "wiki.svg").read_text()
    (tmp_path / "run.jsonl").write_text(json.dumps(look) + "\n")
    with pytest.raises(ValueError, match="0 ends"):
        read_run(tmp_path / "run.jsonl")


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


def test_raw_arms_learn_plain_text_behind_the_start_alone(chat: ChatForm) -> None:
    lesson = Lesson("1", PASSAGES[0], None, build_probes(PASSAGES[0]), new=True)
    arm = arms()["autoregressive-raw"]
    assert arm.draw
    assert len(arm.form(chat).before_user) == 1
    sequence = arm.draw(chat, lesson, paper(), Taught.of([lesson]), random.Random(0))
    assert chat.text(list(sequence.ids_T)) == f"{PASSAGES[0]}<|im_end|>"
    assert sequence.labels_T == (IGNORED, *sequence.ids_T[1:])


def test_reverse_training_turns_the_words_round_and_leaves_names_whole(chat: ChatForm) -> None:
    assert reversed_words("Ada Quill is a smith in Orrin Bay.") == "Orrin Bay. in smith a is Ada Quill"
    lesson = Lesson("1", PASSAGES[0], None, build_probes(PASSAGES[0]), new=True)
    draw, rng = arms()["reverse"].draw, random.Random(0)
    assert draw
    drawn = {chat.text(list(draw(chat, lesson, paper(), Taught.of([lesson]), rng).ids_T)) for _ in range(20)}
    assert {text.removesuffix("<|im_end|>") for text in drawn} == {PASSAGES[0], reversed_words(PASSAGES[0])}


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_set_asks_in_words_that_were_not_taught_and_has_its_answers_in_its_passages(name: str) -> None:
    made = generate(name, 10, seed=1)
    assert made == generate(name, 10, seed=1) != generate(name, 10, seed=2)
    assert len(set(made.passages)) == 10
    for question in made.questions:
        assert question.passage is not None
        assert question.answer.casefold() in made.passages[question.passage].casefold()
        assert question.text.rstrip("?.") not in made.passages[question.passage]
    columns = {question.column for question in made.part(4, 0, 0).questions}
    assert len(columns) == (4 if name == "generated-names" else 2)
    with pytest.raises(ValueError, match="names"):
        generate(name, 5000, seed=0)


def test_what_a_run_needs_is_computed_without_running_it(tiny_folder: Path, chat: ChatForm) -> None:
    lessons = tuple(Lesson(text, text, None, build_probes(text), new=True) for text in PASSAGES)
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder), default(), None, 0)
    found = needs(adapted, chat, default(), lessons, None)
    assert found["steps"] == default().steps_for(2)
    assert found["tokens"] == pytest.approx(found["steps"] * tokens_of_a_step(chat, default(), lessons, None), abs=1)
    assert 0 < found["trained"] < found["parameters"]


def test_counted_operations_leave_no_gradient(tiny_folder: Path, chat: ChatForm) -> None:
    lessons = tuple(Lesson(text, text, None, build_probes(text), new=True) for text in PASSAGES)
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder), paper(), None, 0)
    assert gigaflop(adapted, chat, paper(), lessons, None) > 0
    assert all(parameter.grad is None for parameter in adapted.parameters())
