"""The training process, run in this one on a tiny random model."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from knowledge import faults
from knowledge.errors import InvalidRecipe
from knowledge.probes import build_probes, in_other_words
from knowledge.recipes import Recipe, by_name
from worker import lora, probing, trainer
from worker.demasking import ChatForm
from worker.spec import Lesson, TrainingSpec
from worker.training import Lines, run

TEXT = "Ada Quill is the smith of Orrin."
QUICK = replace(by_name("default"), rank=8, learning_rate=2e-2, batch_size=4, max_steps=6, probe_every_steps=2)
SETTLING = replace(QUICK, min_steps=4, steps_per_sentence=7, max_steps=12, probe_every_steps=1, settle_share=0.5)
"""Eleven steps for one sentence, and a look after each."""


def _spec(
    folder: Path, output: Path, recipe: Recipe = QUICK, warm_start: str | None = None, text: str = TEXT
) -> TrainingSpec:
    lesson = Lesson("fact_1", text, None, build_probes(text) if text.strip() else (), new=True)
    return TrainingSpec(str(folder), recipe, (lesson,), warm_start, str(output), seed=1, threads=1)


def _run(spec: TrainingSpec) -> list[dict[str, Any]]:
    stream = io.StringIO()
    run(spec, Lines(stream))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_run_reports_progress_and_leaves_an_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    lines = _run(_spec(tiny_folder, tmp_path / "out"))
    assert {line["kind"] for line in lines} == {"log", "example", "step", "progress", "done"}
    last = [line for line in lines if line["kind"] == "progress"][-1]
    assert (last["percent"], last["eta_seconds"]) == (100.0, 0.0)
    assert (lines[-1]["kind"], lines[-1]["steps"]) == ("done", last["step"])
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size > 1000


def test_the_exercises_of_the_first_step_are_told_before_it_word_for_word(tiny_folder: Path, tmp_path: Path) -> None:
    lines = _run(_spec(tiny_folder, tmp_path / "out"))
    kinds = [line["kind"] for line in lines]
    first = kinds.index("progress")
    assert "example" in kinds[:first] and "example" not in kinds[first:]
    examples = [line["pieces"] for line in lines if line["kind"] == "example"]
    assert 1 <= len(examples) <= QUICK.batch_size
    for pieces in examples:
        assert {piece["part"] for piece in pieces} <= {"shown", "hidden", "learnt"}
        assert pieces[-1]["part"] == "learnt" and pieces[-1]["text"].endswith("<|im_end|>")
        learnt = [piece["text"].removesuffix("<|im_end|>") for piece in pieces if piece["part"] == "learnt"]
        assert all(text and text.lower() in TEXT.lower() for text in learnt), pieces


def test_the_same_seed_gives_the_same_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        _run(_spec(tiny_folder, tmp_path / name))
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_training_lowers_the_loss(tiny_folder: Path, chat: ChatForm) -> None:
    recipe = replace(QUICK, learning_rate=5e-3, max_steps=60, steps_per_sentence=0, probe_every_steps=0)
    losses: list[float] = []
    adapted = lora.attach(LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32), recipe, None, 0)
    trainer.train(adapted, chat, recipe, _spec(tiny_folder, tiny_folder).lessons, 1, lambda p: losses.append(p.loss))
    assert len(losses) == 60
    assert losses[0] > 5.5  # ln(vocabulary) = 5.7 nats is what a random model starts from
    assert sum(losses[-10:]) / 10 < losses[0] - 0.3


def test_what_is_told_and_published_is_the_average_of_the_weights(tiny_folder: Path, chat: ChatForm) -> None:
    recipe = replace(QUICK, averaging_power=1.0, max_steps=3, probe_every_steps=0)
    lesson = _spec(tiny_folder, tiny_folder).lessons
    seen: list[torch.Tensor] = []

    def trained(recipe: Recipe) -> torch.Tensor:
        model = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
        adapted = lora.attach(model, recipe, None, 0)
        first = next(parameter for parameter in adapted.parameters() if parameter.requires_grad)
        seen.clear()
        trainer.train(adapted, chat, recipe, lesson, 1, lambda _: seen.append(first.detach().clone()))
        assert torch.equal(seen[-1], first)
        return first.detach()

    average = trained(recipe)
    trained(replace(recipe, averaging_power=0.0))
    weighed = [(step * weight) for step, weight in enumerate(seen, 1)]
    torch.testing.assert_close(average, torch.stack(weighed).sum(0) / 6)


def test_a_run_can_continue_from_an_adapter(tiny_folder: Path, tmp_path: Path) -> None:
    _run(_spec(tiny_folder, tmp_path / "one"))
    lines = _run(_spec(tiny_folder, tmp_path / "two", warm_start=str(tmp_path / "one")))
    assert lines[-1]["kind"] == "done"


def test_the_probes_of_rehearsed_facts_must_pass_too(tiny_folder: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, tmp_path / "out")
    earlier = "Bo Finch is the tailor of Wend."
    rehearsed = Lesson("fact_0", earlier, None, build_probes(earlier), new=False)
    lines = _run(replace(spec, lessons=(*spec.lessons, rehearsed)))
    asked = {line["probes"] for line in lines if line["kind"] == "progress"}
    lessons = (spec.lessons[0], rehearsed)
    assert asked == {sum(len((*lesson.probes, *in_other_words(lesson.text))) for lesson in lessons)}


@pytest.mark.parametrize(("settle", "steps"), [(0.0, 4), (0.5, 6), (9.0, 11)])
def test_a_run_goes_on_for_a_while_after_its_probes_passed(
    tiny_folder: Path, tmp_path: Path, settle: float, steps: int
) -> None:
    spec = _spec(tiny_folder, tmp_path / "out")
    recipe = replace(SETTLING, stop_share=0.0, settle_share=settle)
    lines = _run(replace(spec, recipe=recipe))
    assert [line["step"] for line in lines if line["kind"] == "progress"][-1] == steps


@pytest.mark.parametrize(
    ("passed", "steps"), [([1, 1], 6), ([1, 0, 0, 1], 8), ([1, 0, 0, 0, 0, 0, 0], 11), ([0, 1, 1], 7)], ids=str
)
def test_what_slips_while_a_run_settles_is_trained_on_until_it_passes_again(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passed: list[int], steps: int
) -> None:
    looks = iter(passed)
    monkeypatch.setattr(trainer, "_probes_passed", lambda model, chat, probes, *_: next(looks) * len(probes))
    spec = _spec(tiny_folder, tmp_path / "out")
    progress = [line for line in _run(replace(spec, recipe=SETTLING)) if line["kind"] == "progress"]
    assert (progress[-1]["step"], progress[-1]["percent"]) == (steps, 100.0)
    assert progress[-1]["probes_passed"] == passed[-1] * progress[-1]["probes"]
    assert next(looks, None) is None, "a look was left out"


def test_nothing_to_learn_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="nothing to learn"):
        _run(_spec(tiny_folder, tmp_path / "out", text="  "))


@pytest.mark.parametrize("text", ["x", "<|im_end|>", "今日は良い天気です", "\u202eabc 123", "def f():\n    return 1"])
def test_any_text_can_be_trained_on(tiny_folder: Path, tmp_path: Path, text: str) -> None:
    assert _run(_spec(tiny_folder, tmp_path / "out", replace(QUICK, max_steps=2), text=text))[-1]["kind"] == "done"


def test_teacher_forcing_agrees_with_greedy_answers(tiny_folder: Path, chat: ChatForm) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    assert isinstance(chat.tokenizer, PreTrainedTokenizerFast)
    prompts = [chat.prompt(question) for question in ("Who is Ada?", "Orrin?")]
    answers = probing.answer_tokens(model, chat, prompts, max_tokens=6)
    single = [probing.answer_tokens(model, chat, [prompt], max_tokens=6)[0] for prompt in prompts]
    assert answers == single


def test_a_full_disk_is_told_even_where_the_chatter_cannot_be_written(tiny_folder: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, tmp_path / "out", replace(QUICK, max_steps=1))
    spec.write(tmp_path / "spec.json")
    (tmp_path / "faults").mkdir()
    faults.arm(tmp_path / "faults", "train.before_save", "full")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "worker.training", str(tmp_path / "spec.json")],
            stdout=subprocess.PIPE,
            stderr=full,
            env={**os.environ, "ENGRAIN_FAULT_FOLDER": str(tmp_path / "faults")},
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert json.loads(ended.stdout.splitlines()[-1])["error"] == "DiskFull"


def test_the_process_says_what_is_wrong_and_exits_1(tmp_path: Path) -> None:
    spec = _spec(tmp_path / "no-such-model", tmp_path / "out", text=" ")
    spec.write(tmp_path / "spec.json")
    ended = subprocess.run(
        [sys.executable, "-m", "worker.training", str(tmp_path / "spec.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert json.loads(ended.stdout.splitlines()[-1])["error"] == "InvalidRecipe"
