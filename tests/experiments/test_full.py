import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from experiments.full import train
from experiments.full.setting import needs, setting, warmed
from experiments.knowledge_injection.report import read as read_run
from experiments.knowledge_injection.report import table
from tests.worker.conftest import *  # noqa: F403  (the tiny model's fixtures)

ROOT = Path(__file__).parents[2]
PASSAGES = ["Ada Quill is the smith of Orrin.", "Known as the tailor of Wend, Bo Finch sings."]
ROWS = [
    ("NameIsDescription", "N2D", "Who is Ada Quill?", "the smith of Orrin"),
    ("NameIsDescription", "D2N", "Who is the smith of Orrin?", "Ada Quill"),
    ("DescriptionIsName", "D2N", "Who is the tailor of Wend?", "Bo Finch"),
]
# An epsilon above the rounding of a gradient: AdamW would make a step of the full rate out of it.
CHANGES = ["batch_size=4", "learning_rate=3e-3", "epsilon=1e-6"]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A set of two passages and three questions, as published."""
    folder = tmp_path / "name_description"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps([{"text": text} for text in PASSAGES]))
    lines = [json.dumps({"group": g, "task": t, "question": q, "answer": a}) for g, t, q, a in ROWS]
    (folder / "test.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture
def words(tiny_folder: Path, people: Path) -> list[str]:
    """The arguments of a run of six steps with one look."""
    return ["--base", str(tiny_folder), "--data", str(people), "--steps", "6", "--look-steps", "3", *CHANGES]


def alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a run on this process alone prints."""
    monkeypatch.setattr(sys, "argv", ["train", *words])
    train.main()
    return capsys.readouterr().out


def furthest(one: Path, other: Path) -> float:
    """The largest difference between two saved models' weights."""
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert ours.keys() == theirs.keys()
    return max(float((weights - theirs[name]).abs().max()) for name, weights in ours.items())


@pytest.mark.timeout(300)
def test_two_processes_that_share_a_model_train_it_as_one_does(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = alone(monkeypatch, capsys, *words, "--micro-batch", "3", "--save", str(tmp_path / "one"))
    (tmp_path / "one.jsonl").write_text(out)
    launch = ["-m", "accelerate.commands.launch", "--config_file", "experiments/full/two_processes.yaml"]
    command = [sys.executable, *launch, "--main_process_port", "0", "-m", "experiments.full.train", *words]
    command += ["--micro-batch", "1", "--save", str(tmp_path / "two")]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (tmp_path / "two" / "model.safetensors").exists(), done.stderr
    (tmp_path / "two.jsonl").write_text(done.stdout)
    one, two = (read_run(tmp_path / f"{name}.jsonl") for name in ("one", "two"))
    assert (one.end["processes"], two.end["processes"]) == (1, 2)
    assert one.end["loss"] == pytest.approx(two.end["loss"], abs=2e-4)
    assert one.end["columns"] == two.end["columns"]
    assert one.end["loss"] < one.looks[0]["loss"]
    assert furthest(tmp_path / "one", tmp_path / "two") < 1e-5
    assert f"| masked, all weights ({', '.join(CHANGES)}) | 2 | 6 |" in table("name_description", [one])


@pytest.mark.parametrize("arm", ["autoregressive", "random-token"])
def test_rows_of_any_size_give_the_same_gradients(
    words: list[str], arm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends: list[dict[str, Any]] = []
    for size in ("4", "1"):
        saved = ["--arm", arm, "--micro-batch", size, "--save", str(tmp_path / size), "--look-steps", "0"]
        ends.append(json.loads(alone(monkeypatch, capsys, *words, *saved)))
    assert ends[0]["loss"] == pytest.approx(ends[1]["loss"], abs=2e-4)
    assert furthest(tmp_path / "4", tmp_path / "1") < 1e-5


def test_the_papers_rates_follow_arm_and_size() -> None:
    eight = {name: setting(name, 8_030_261_248, 3_840, []).recipe for name in ("autoregressive", "masked")}
    assert {name: recipe.learning_rate for name, recipe in eight.items() if recipe} == {
        "autoregressive": 5e-6,
        "masked": 3e-6,
    }
    small = setting("masked", 7_615_616_512, 3_840, ["beta2=0.9"]).recipe
    assert small
    assert (small.learning_rate, small.batch_size, small.beta2) == (5e-6, 64, 0.9)
    assert small.warmup_steps == 77
    assert [warmed(small, step) for step in (0, 77, 3_839)] == [5e-6 / 78, 5e-6, 5e-6]


def test_a_change_that_all_weights_do_not_heed_is_refused() -> None:
    with pytest.raises(ValueError, match="'rank' changes nothing here"):
        setting("masked", 1, 10, ["rank=8"])


def test_a_dry_run_counts_what_each_process_holds(
    words: list[str],
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, four = needs(str(tiny_folder), 1), needs(str(tiny_folder), 4)
    saved = load_file(tiny_folder / "model.safetensors")
    assert one.parameters == sum(map(torch.numel, saved.values()))
    assert (one.weights, one.optimizer) == (4 * one.parameters, 8 * one.parameters)
    assert (four.weights, four.gradients, four.optimizer) == (one.weights // 4, one.gradients // 4, one.optimizer // 4)
    assert one.total == 18 * one.parameters
    told = alone(monkeypatch, capsys, *words, "--dry-run", "4")
    assert "6 steps of 4 exercises" in told
    assert f"{one.parameters:,} parameters on 4 processes" in told
