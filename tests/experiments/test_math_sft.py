import json
import random
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.math_sft import generated, problems
from experiments.math_sft.arms import arms, asked, masked, restored, sft
from experiments.math_sft.generated import LEVELS, SITUATIONS, Problem
from experiments.math_sft.report import compared, single
from experiments.math_sft.report import read as read_run
from experiments.math_sft.run import batches, main, mean_loss, planned
from experiments.math_sft.scoring import Verdict, boxed, judge
from knowledge.recipes import paper
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)
from worker.batches import pack
from worker.demasking import IGNORED, ChatForm, Sequence

PROBLEM = Problem("Ada has 3 tiles and finds 4.", "That makes 3 + 4 = 7 tiles.\n#### 7", "7")
STEP = re.compile(r" (\d+) ([-+*/]) (\d+) = (\d+) ")
OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


def test_gsm8k_is_read_as_published(tmp_path: Path) -> None:
    row = {"question": "How many?", "answer": "6*3=<<6*3=18>>18 eggs.\n#### 1,018"}
    for part in ("train", "test"):
        (tmp_path / f"{part}.jsonl").write_text(json.dumps(row) + "\n\n")
    data = problems.read("gsm8k", tmp_path)
    assert data.train == data.test == (Problem("How many?", row["answer"], "1,018"),)
    assert not data.is_formula
    (tmp_path / "test.jsonl").write_text(json.dumps(row | {"answer": "18"}))
    with pytest.raises(ValueError, match="without a final number"):
        problems.read("gsm8k", tmp_path)


@pytest.mark.parametrize("in_folders", [True, False])
def test_math_is_read_in_both_published_forms(tmp_path: Path, in_folders: bool) -> None:
    row = {"problem": "Find $x$.", "level": "Level 1", "type": "Algebra", "solution": r"So $x=\boxed{\frac{1}{2}}$."}
    for part in ("train", "test"):
        file = tmp_path / part / "algebra" / "1.json" if in_folders else tmp_path / f"{part}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row))
    data = problems.read("math", tmp_path)
    assert data.train == (Problem("Find $x$.", row["solution"], r"\frac{1}{2}"),)
    assert data.is_formula


def test_a_folder_without_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither train\.jsonl nor"):
        problems.read("math", tmp_path)
    with pytest.raises(ValueError, match="--data"):
        problems.read("gsm8k", None)


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_generated_answers_work_the_question_out(level: generated.Level) -> None:
    train, test = generated.problems(level)
    assert (train, test) == generated.problems(level)
    assert (len(train), len(test)) == (generated.TRAIN, generated.TEST)
    steps_seen, operators = set(), set()
    for problem in (*train, *test):
        named = [int(number) for number in re.findall(r"\d+", problem.question)]
        steps = [(int(a), sign, int(b), int(c)) for a, sign, b, c in STEP.findall(problem.answer)]
        now = named[0]
        for (a, sign, b, result), by in zip(steps, named[1:], strict=True):
            assert (a, b) == (now, by)
            assert sign != "/" or a % b == 0
            now = OPERATIONS[sign](a, b)
            assert result == now
            operators.add(sign)
        assert problem.answer.endswith(f"\n#### {now}")
        assert problem.final == str(now)
        steps_seen.add(len(steps))
    assert steps_seen == set(range(1, level.steps + 1))
    assert operators == set(OPERATIONS)


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_generated_test_problems_have_their_own_numbers_and_some_their_own_situations(level: generated.Level) -> None:
    train, test = generated.problems(level)
    numbers = [{tuple(sorted(re.findall(r"\d+", one.question))) for one in part} for part in (train, test)]
    assert not numbers[0] & numbers[1]
    asks = [re.compile(re.sub(r"\{\w+\}", ".+", one.asked)) for one in SITUATIONS[-generated.NEW :]]
    of_new = [[any(ask.search(one.question) for ask in asks) for one in part] for part in (train, test)]
    assert not any(of_new[0])
    assert of_new[1] == [one.new_situation for one in test]
    assert sum(of_new[1]) == len(test) // 2


def test_sft_learns_the_whole_answer_and_its_end(chat: ChatForm) -> None:
    sequence = sft(chat, PROBLEM, paper(), random.Random(0))
    assert learnt(sequence) == [*chat.tokens(PROBLEM.answer), *chat.after_answer]
    assert [*chat.before_user, *sequence.ids_T][: len(prompt := chat.prompt(asked(PROBLEM.question)))] == prompt
    assert not any(sequence.hidden_T)


def test_masked_sft_learns_exactly_what_was_hidden(chat: ChatForm) -> None:
    answer = chat.tokens(PROBLEM.answer)
    sequence = restored(chat, PROBLEM, 0.5, random.Random(1))
    question = chat.tokens(f"{asked(PROBLEM.question)} ")
    shown, copy = slice(len(question), len(question) + len(answer)), slice(-len(answer), None)
    hidden = sequence.hidden_T[shown]
    assert 0 < sum(hidden) == sum(sequence.hidden_T) < len(answer)
    assert list(sequence.ids_T[copy]) == answer
    assert list(sequence.labels_T[copy]) == [i if h else IGNORED for i, h in zip(answer, hidden, strict=True)]
    assert set(sequence.labels_T[: -len(answer)]) == {IGNORED}
    assert list(sequence.ids_T[shown]) == [chat.hidden_id if h else i for i, h in zip(answer, hidden, strict=True)]


def test_the_end_of_the_turn_is_learnt_where_it_is_asked_for(chat: ChatForm) -> None:
    plain, ended = (arms()[name] for name in ("masked", "masked-and-end"))
    assert plain
    assert ended
    without, with_end = (draw(chat, PROBLEM, paper(), random.Random(1)) for draw in (plain, ended))
    assert learnt(with_end) == [*learnt(without), *chat.after_answer]
    assert with_end.ids_T == without.ids_T + chat.after_answer


def test_masked_sft_has_the_papers_form(chat: ChatForm) -> None:
    text = chat.text(list(restored(chat, PROBLEM, 0.0, random.Random(0)).ids_T))
    user, _, assistant = text.partition(chat.text(list(chat.before_answer)))
    assert user == f"Question:\n {PROBLEM.question} \nAnswer:\n {PROBLEM.answer}\nReturn the recovered masked answer."
    assert assistant.endswith(PROBLEM.answer)


def test_nothing_hidden_is_nothing_learnt_and_no_gradient(chat: ChatForm) -> None:
    sequence = restored(chat, PROBLEM, 0.0, random.Random(0))
    assert learnt(sequence) == []
    row = pack(chat.before_user, [sequence])
    logits_SV = torch.randn(0, 320, requires_grad=True)
    loss = mean_loss(logits_SV + 0, row.labels_S)
    loss.backward()
    assert loss.item() == 0
    assert logits_SV.grad is not None
    assert logits_SV.grad.numel() == 0


@pytest.mark.parametrize("arm", ["sft", "masked", "masked-and-end"])
def test_the_loss_is_the_mean_cross_entropy_of_the_learnt_tokens_of_the_batch(chat: ChatForm, arm: str) -> None:
    draw = arms()[arm]
    assert draw
    rng = random.Random(3)
    sequences = [draw(chat, replace(PROBLEM, answer=f"It is {n * '1'}.\n#### 1"), paper(), rng) for n in (1, 9)]
    row = pack(chat.before_user, sequences)
    logits_TV = torch.randn(len(row), 320, generator=torch.Generator().manual_seed(0))
    labels_T = torch.tensor([IGNORED] * len(chat.before_user) + [id_ for one in sequences for id_ in one.labels_T])
    reference = cross_entropy(logits_TV[:-1], labels_T[1:], ignore_index=IGNORED)
    torch.testing.assert_close(mean_loss(logits_TV[row.learnt_S], row.labels_S), reference)


def test_the_hidden_ratio_is_drawn_anew_from_the_whole_interval(chat: ChatForm) -> None:
    rng, long = random.Random(0), replace(PROBLEM, answer=" ".join(map(str, range(300))))
    length = len(chat.tokens(long.answer))
    ratios = [sum(masked(chat, long, paper(), rng).hidden_T) / length for _ in range(200)]
    assert min(ratios) < 0.15
    assert max(ratios) > 0.85
    assert sum(ratios) / len(ratios) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("arm", ["sft", "masked"])
def test_a_seed_gives_the_same_batches_and_an_epoch_every_problem(chat: ChatForm, arm: str) -> None:
    draw = arms()[arm]
    assert draw
    train = tuple(replace(PROBLEM, question=f"Is it {n}?") for n in range(6))
    recipe = replace(paper(), batch_size=3)
    drawn = [list(islice(batches(chat, recipe, train, draw, seed), 4)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    texts = "".join(chat.text(list(one.ids_T)) for batch in drawn[0][:2] for one in batch)
    assert all(texts.count(one.question) == 1 for one in train)


@pytest.mark.parametrize(
    ("wanted", "answer", "strict", "flexible"),
    [
        ("18", "It is 6 * 3 = 18 eggs.\n#### 18", True, True),
        ("1,018", "#### $1018.", True, True),
        ("18", "She has 18 eggs.", False, True),
        ("18", "#### 18\n#### 20", True, False),
        ("18", "It is 17. Question: what is 18?", False, False),
        ("-3", "It costs $5, which leaves -3", False, True),
        ("18", "I do not know.", False, False),
    ],
)
def test_numbers_are_right_by_their_mark_or_as_the_last(wanted: str, answer: str, strict: bool, flexible: bool) -> None:
    assert judge(wanted, answer, is_formula=False) == Verdict(strict, flexible)


@pytest.mark.parametrize(
    ("wanted", "answer", "strict", "flexible"),
    [
        (r"\frac{1}{2}", r"So $\boxed{x}$, hence $\boxed{\dfrac12}$.", True, True),
        (r"\frac{3}{56}", r"\boxed{3/56}", True, True),
        (r"10{,}000", r"\boxed{10,\!000\text{ cm}}", True, True),
        (r"\left(3, \frac{\pi}{2} \right)", r"$\boxed{(3,\frac{\pi}{2})}$", True, True),
        (r"\sqrt{2}", r"\boxed{x = \sqrt2}", True, True),
        ("90^\\circ", "$\\boxed 90$", True, True),
        (r"\text{Evelyn}", r"\boxed{Evelyn}", True, True),
        ("5", "It is 5.", False, True),
        ("5", r"\boxed{4} and 5", False, False),
        ("5", r"\boxed{5", False, True),
    ],
)
def test_formulas_are_right_by_their_last_box(wanted: str, answer: str, strict: bool, flexible: bool) -> None:
    assert judge(wanted, answer, is_formula=True) == Verdict(strict, flexible)
    assert boxed("none") is None


@pytest.mark.parametrize("arm", ["untrained", "sft", "masked"])
def test_a_run_trains_asks_and_is_reported(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arm: str
) -> None:
    words = ["--base", str(tiny_folder), "--arm", arm, "--tokens", "1500", "--batch-size", "2", "--questions", "3"]
    main([*words, "--answers", str(tmp_path / "answers.jsonl")])
    out = capsys.readouterr().out
    *looks, end = [json.loads(line) for line in out.splitlines()]
    assert {"kind", "arm", "set", "model", "seed", "steps", "tokens", "seconds", "loss", "strict", "flexible"} <= set(
        end
    )
    assert (end["kind"], end["set"], end["questions"]) == ("end", "generated", 3)
    assert [look["kind"] for look in looks] == ["look"] * len(looks)
    assert bool(looks) == (arm != "untrained")
    assert arm == "untrained" or end["tokens"] == pytest.approx(1500, rel=0.3)
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 3
    (tmp_path / "run.jsonl").write_text(out)
    run = read_run(tmp_path / "run.jsonl")
    assert f"| generated | {tiny_folder.name} |" in compared([run])
    assert f"| {arm} | 0 |" in single([run])


def test_training_lowers_the_loss(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--base", str(tiny_folder), "--arm", "sft", "--tokens", "6000", "--batch-size", "2", "--rate", "1e-2"]
    main([*words, "--questions", "1"])
    losses = [json.loads(line)["loss"] for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < losses[0] - 0.05


def test_a_dry_run_says_what_is_needed_and_what_is_missing(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--base", str(tiny_folder), "--dry-run"])
    told = json.loads(capsys.readouterr().out)
    assert (told["steps"], told["missing"]) == (875, [])  # 7 epochs of 4000 problems in batches of 32
    assert told["memory_gib"] > 0
    main(["--base", str(tmp_path / "no model"), "--set", "math", "--data", str(tmp_path), "--dry-run"])
    told = json.loads(capsys.readouterr().out)
    assert told["batch_size"] == 16
    assert [line.split(":")[0] for line in told["missing"]] == ["problems", "base model"]


def test_the_budget_makes_the_steps_and_their_warm_up(chat: ChatForm) -> None:
    class Arguments:
        tokens, epochs = 0, 3.0

    train = (PROBLEM,) * 200
    recipe = planned(replace(paper(), batch_size=4), chat, train, sft, Arguments)  # type: ignore[arg-type]
    assert (recipe.max_steps, recipe.warmup_steps) == (150, 3)


def test_a_report_says_what_was_not_run_and_takes_means_over_seeds(tmp_path: Path) -> None:
    end = {"kind": "end", "arm": "sft", "set": "gsm8k", "model": "small", "seed": 0, "steps": 9, "tokens": 9000}
    end |= {"budget": "7 epochs", "batch_size": 32, "rate": 5e-4, "seconds": 90.0, "loss": 0.5, "strict": 0.2}
    end |= {"flexible": 0.4, "strict_new_situations": None, "questions": 10}
    ends = [end, end | {"seed": 1, "strict": 0.4}, end | {"arm": "untrained", "budget": None, "strict": 0.1}]
    table = compared(ends)
    trained = "7 epochs, batch 32, rate 0.0005"
    assert f"| gsm8k | small | {trained} | 0.100 / 0.400 | 0.300 / 0.400 (2 runs) | not run yet |" in table
    assert "| math | not run yet |" in table
    assert "| gsm8k | the paper, Llama-3.2-3B | all weights | 0.686 | 0.686 | 0.735 |  |" in table
    assert f"| gsm8k | small | sft | 0 | {trained} | 9 | 9k | 1.5 | 0.500 | 0.200 | 0.400 |  | 10 |" in single(ends)
    (tmp_path / "run.jsonl").write_text("")
    with pytest.raises(ValueError, match="0 ends"):
        read_run(tmp_path / "run.jsonl")


def learnt(sequence: Sequence) -> list[int]:
    return [label for label in sequence.labels_T if label != IGNORED]
