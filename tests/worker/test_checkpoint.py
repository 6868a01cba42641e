"""A stopped run goes on where it stood, and ends with the weights that it would have had."""

import io
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from knowledge.errors import InjectionFailed
from knowledge.jobs import Progress
from knowledge.probes import build_probes
from knowledge.recipes import Recipe, by_name
from worker import checkpoint, trainer
from worker.spec import Lesson, TrainingSpec
from worker.training import Lines, run
from worker.training_process import Stopped, train

TEXTS = ("Ada Quill is the smith of Orrin.", "Bo Finch is the tailor of Wend.")
RECIPE = replace(
    by_name("default"), rank=8, learning_rate=2e-2, batch_size=4, max_steps=12, min_steps=1, probe_every_steps=2
)


def _spec(folder: Path, output: Path, recipe: Recipe = RECIPE, job: str = "job_1", **fields: Any) -> TrainingSpec:
    lessons = tuple(
        Lesson(f"fact_{number}", text, None, build_probes(text), new=True) for number, text in enumerate(TEXTS)
    )
    path = str(output.parent / f".checkpoint-{job}")
    return TrainingSpec(str(folder), recipe, lessons, None, str(output), seed=1, threads=1, checkpoint=path, **fields)


class StoppedAfter(Lines):
    """Sends SIGTERM to this process after a step."""

    def __init__(self, step: int | None = None) -> None:
        self.stream = io.StringIO()
        super().__init__(self.stream)
        self.step = step

    def progress(self, progress: Progress) -> None:
        if progress.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def _stop(spec: TrainingSpec, step: int) -> None:
    torch.seed()
    with pytest.raises(SystemExit) as ended:
        run(spec, StoppedAfter(step))
    assert ended.value.code == 128 + signal.SIGTERM
    assert not (Path(spec.output) / "adapter_model.safetensors").exists()


def _finish(spec: TrainingSpec) -> tuple[bytes, list[str]]:
    lines = StoppedAfter()
    torch.seed()  # as in a process of its own
    run(spec, lines)
    return (Path(spec.output) / "adapter_model.safetensors").read_bytes(), [
        line["text"] for line in lines.said() if line["kind"] == "log" and line["text"].startswith("resumed")
    ]


def test_what_the_base_model_wrote_is_kept(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its questions are in the batches of the whole run; an attempt that goes on has none written anew."""
    wrote: list[list[tuple[str, ...]]] = []

    def written(_model: Any, _chat: Any, passages: Any, _tell: Any) -> Any:
        wrote.append(list(passages))
        return {text: [("Who is it?", text.split(" is ")[0])] for text in TEXTS}

    monkeypatch.setattr(trainer, "written", written)
    whole, _ = _finish(_spec(tiny_folder, tmp_path / "whole", job="job_2"))
    spec = _spec(tiny_folder, tmp_path / "stopped")
    _stop(spec, 5)
    assert _finish(spec)[0] == whole
    assert wrote == [[(text,) for text in TEXTS]] * 2


def test_a_run_that_is_stopped_before_its_first_step_leaves_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(_model: Any, _chat: Any, _passages: Any, tell: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        tell("one of two sentences")
        raise AssertionError("it went on")

    monkeypatch.setattr(trainer, "written", written)
    spec = _spec(tiny_folder, tmp_path / "stopped")
    _stop(spec, 1)
    assert not Path(spec.checkpoint).exists()


@pytest.mark.parametrize("steps", [(1,), (5,), (3, 4, 11)], ids=str)
def test_a_run_stopped_at_any_step_ends_with_the_weights_of_one_that_was_not(
    tiny_folder: Path, tmp_path: Path, steps: tuple[int, ...]
) -> None:
    whole, resumed = _finish(_spec(tiny_folder, tmp_path / "whole", job="job_2"))
    assert resumed == []
    spec = _spec(tiny_folder, tmp_path / "stopped")
    for step in steps:
        _stop(spec, step)
    again, resumed = _finish(spec)
    assert resumed == [f"resumed after step {steps[-1]}, where an earlier attempt was stopped"]
    assert again == whole


def test_a_run_stopped_after_its_probes_passed_does_not_ask_them_again(tiny_folder: Path, tmp_path: Path) -> None:
    settling = replace(RECIPE, min_steps=4, stop_share=0.0, settle_share=1.0)
    whole, _ = _finish(_spec(tiny_folder, tmp_path / "whole", settling, job="job_2"))
    spec = _spec(tiny_folder, tmp_path / "stopped", settling)
    _stop(spec, 6)
    state = checkpoint.load(spec)
    assert state is not None
    assert (state.step, state.last) == (6, 8)
    assert _finish(spec)[0] == whole


def test_a_run_stopped_after_its_probes_slipped_ends_where_one_that_was_not_does(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = {4, 10}
    monkeypatch.setattr(
        trainer, "_probes_passed", lambda model, chat, probes, enough, seed: len(probes) * (seed - 1 in passes)
    )
    slipping = replace(RECIPE, min_steps=4, settle_share=0.5)
    whole, _ = _finish(_spec(tiny_folder, tmp_path / "whole", slipping, job="job_2"))
    spec = _spec(tiny_folder, tmp_path / "stopped", slipping)
    _stop(spec, 7)
    state = checkpoint.load(spec)
    assert state is not None
    assert (state.step, state.look, state.settled) == (7, 8, True)
    assert _finish(spec)[0] == whole


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_not_used(tiny_folder: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, tmp_path / "out")
    _stop(spec, 3)
    assert checkpoint.load(spec) is not None
    assert checkpoint.load(replace(spec, threads=2, output=str(tmp_path / "elsewhere"))) is not None
    path = Path(spec.checkpoint)
    for other in (
        replace(spec, recipe=replace(RECIPE, learning_rate=1e-2)),
        replace(spec, seed=2),
        replace(spec, warm_start="/adapters/v1"),
        replace(spec, lessons=spec.lessons[:1]),
        replace(spec, base_model="another"),
    ):
        assert checkpoint.load(other) is None
    moved = path.rename(path.with_name(".checkpoint-job_9"))
    assert checkpoint.load(replace(spec, checkpoint=str(moved))) is None
    assert checkpoint.load(spec) is None
    data = bytearray(moved.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert checkpoint.load(spec) is None
    path.write_bytes(data[: len(data) // 2])
    assert checkpoint.load(spec) is None


def test_the_process_leaves_a_checkpoint_when_its_worker_is_asked_to_stop(tiny_folder: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, tmp_path / "out", replace(RECIPE, max_steps=2000, probe_every_steps=0))
    steps: list[int] = []
    logs: list[str] = []

    def attempt(enough: int) -> None:
        train(
            spec,
            niceness=0,
            silent_seconds=100,
            most_seconds=100,
            on_progress=lambda progress: steps.append(progress.step),
            on_log=logs.append,
            should_stop=lambda: len(steps) >= enough,
        )

    for enough in (1, 2):
        with pytest.raises(Stopped):
            attempt(enough)
    assert any(text.startswith("resumed after step") for text in logs)
    assert steps[1] > steps[0]


def test_a_run_that_needs_more_memory_than_it_may_have_fails_and_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    spec = _spec(tiny_folder, tmp_path / "out", replace(RECIPE, batch_size=3000), memory_gib=2.0)
    with pytest.raises(InjectionFailed, match="ENGRAIN_TRAINING_MEMORY_GIB"):
        train(
            spec,
            niceness=0,
            silent_seconds=100,
            most_seconds=100,
            on_progress=lambda _: None,
            on_log=lambda _: None,
            should_stop=lambda: False,
        )
