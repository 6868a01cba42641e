from pathlib import Path

import pytest

from experiments.serving import arms
from experiments.serving.arms import Arm
from experiments.serving.load import Cell, Taken, length, quantile
from experiments.serving.publishing import Watch
from knowledge.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path, base_model=str(tmp_path), inference_port=8123)


def test_bare_and_stock_vllm_run_without_a_line_of_ours_and_with_our_flags(settings: Settings) -> None:
    argv, env, url = arms.ours(settings)
    for lora in (False, True):
        words, other, _ = arms.stock(settings, lora=lora)
        assert "inference.vllm_plugin.serve" not in words
        assert other["VLLM_PLUGINS"] == ""
        assert other["OMP_NUM_THREADS"] == env["OMP_NUM_THREADS"]
        assert ("--enable-lora" in words) == lora
        assert words[words.index("--dtype") + 1] == argv[argv.index("--dtype") + 1]
    assert url == "http://127.0.0.1:8123"


def test_an_arm_of_several_models_asks_them_in_turn() -> None:
    arm = Arm("mixed", (), "/v1/chat/completions", "base,taught")
    assert [arm.body("?", number, 4)["model"] for number in range(3)] == ["base", "taught", "base"]


def test_an_answer_must_name_a_version_that_was_live_while_it_was_made() -> None:
    watch = Watch(live_since={1: (0.0, 1.0), 2: (10.0, 11.0)})
    answers = {
        "before the second": Taken(5.0, 1.0, 1, 1, ""),
        "asked as it changed": Taken(10.5, 2.0, 1, 1, ""),
        "answered as it changed": Taken(9.0, 1.5, 1, 2, ""),
        "stale": Taken(12.0, 1.0, 1, 1, ""),
        "too early": Taken(5.0, 1.0, 1, 2, ""),
        "of no version": Taken(5.0, 1.0, 1, None, ""),
        "of a version that never was": Taken(5.0, 1.0, 1, 7, ""),
    }
    wrong = []
    for name, answer in answers.items():
        watch.taken = [answer]
        if watch.unnamed():
            wrong.append(name)
    assert wrong == ["stale", "too early", "of no version", "of a version that never was"]


def test_waits_and_speeds_are_of_what_was_answered() -> None:
    cell = Cell(
        [Taken(0.0, float(wait), 10, None, "") for wait in range(1, 5)], ["timeout"], seconds=8.0, cpu_seconds=4.0
    )
    numbers = cell.numbers()
    assert numbers["tokens_per_second"] == 5.0
    assert numbers["requests_per_second"] == 0.5
    assert (numbers["p50_seconds"], numbers["p99_seconds"]) == (3.0, 4.0)
    assert numbers["cpu_seconds_per_request"] == 1.0
    assert numbers["failed"] == 1
    assert quantile([], 0.5) == 0.0


def test_requests_are_of_several_lengths_around_the_wanted_one() -> None:
    lengths = [length(16, place) for place in range(10)]
    assert lengths == [8, 12, 16, 20, 24] * 2
    assert length(1, 0) == 1
