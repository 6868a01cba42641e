import os
import sys
from pathlib import Path

import psutil
import pytest

from inference import server
from inference.server import command, serving_threads
from knowledge.settings import Settings


def value(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_folder=tmp_path,
        base_model=str(tmp_path),
        inference_port=8123,
        max_lora_rank=64,
        max_loaded_adapters=3,
        max_cached_adapters=9,
        max_model_tokens=1024,
        kv_cache_gib=2,
        merged_weights_gib=0.5,
    )


def test_every_setting_reaches_the_server(settings: Settings, tmp_path: Path) -> None:
    argv, env = command(settings, {})
    assert argv[0] == sys.executable
    wanted = {
        "--model": str(tmp_path),
        "--served-model-name": "base",
        "--port": "8123",
        "--max-lora-rank": "64",
        "--max-loras": "3",
        "--max-cpu-loras": "9",
        "--max-model-len": "1024",
    }
    assert {flag: value(argv, flag) for flag in wanted} == wanted
    assert "--enable-lora" in argv
    assert env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert env["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert env["ENGRAIN_MERGED_WEIGHTS_GIB"] == "0.5"


def test_the_server_listens_on_loopback_only_because_it_has_no_keys(settings: Settings) -> None:
    argv, _ = command(settings.model_copy(update={"host": "0.0.0.0"}), {})
    assert value(argv, "--host") == "127.0.0.1"


def test_no_usage_is_reported_whatever_the_environment_says(settings: Settings) -> None:
    _, env = command(settings, {"VLLM_NO_USAGE_STATS": "0", "DO_NOT_TRACK": "0"})
    assert (env["VLLM_NO_USAGE_STATS"], env["DO_NOT_TRACK"]) == ("1", "1")


def test_a_model_in_a_folder_needs_no_hub_and_one_with_a_hub_name_does(settings: Settings) -> None:
    assert command(settings, {})[1]["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in command(settings.model_copy(update={"base_model": "org/model"}), {})[1]


def test_the_operator_s_own_threads_and_libraries_win(settings: Settings) -> None:
    _, env = command(settings, {"OMP_NUM_THREADS": "7", "LD_PRELOAD": "/lib/mine.so", "VLLM_LOGGING_LEVEL": "DEBUG"})
    assert (env["OMP_NUM_THREADS"], env["LD_PRELOAD"], env["VLLM_LOGGING_LEVEL"]) == ("7", "/lib/mine.so", "DEBUG")


def test_one_core_is_left_to_the_others_but_never_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, cores=cores: set(range(cores)))
        monkeypatch.setattr(psutil, "cpu_count", lambda logical, cores=cores: cores)
        assert serving_threads() == threads


def test_on_a_gpu_nothing_of_the_cpu_is_set(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "version", lambda _name: "0.32.0")
    argv, env = command(settings, {})
    assert "--enforce-eager" not in argv
    assert "--distributed-executor-backend" not in argv
    assert not {"OMP_NUM_THREADS", "LD_PRELOAD", "VLLM_CPU_KVCACHE_SPACE", "VLLM_ENABLE_V1_MULTIPROCESSING"} & set(env)


def test_the_model_is_served_in_the_type_that_the_processor_computes_fast(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "on_cpu", lambda: True)
    monkeypatch.setattr(server, "float_type", lambda: "float32")
    arguments, _ = command(settings, {})
    assert value(arguments, "--dtype") == "float32"


def test_nothing_is_compiled_on_a_cpu_since_an_image_has_no_compiler(settings: Settings) -> None:
    assert command(settings, {})[1]["TORCHDYNAMO_DISABLE"] == "1"
    assert command(settings, {"TORCHDYNAMO_DISABLE": "0"})[1]["TORCHDYNAMO_DISABLE"] == "0"
