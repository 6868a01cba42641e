"""Short decoder layers compute what vLLM's own do, to the last bit: real vLLM, a small random model of each class."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

SHORT = {"llama:bfloat16": 3, "llama:float32": 3, "qwen2:bfloat16": 3, "qwen3:bfloat16": 0}
"""How many of three layers are short. Qwen3 norms q and k, so its layers are none of ours."""


def test_layers_of_these_classes_are_short_and_answer_alike() -> None:
    argv = [sys.executable, "-m", "tests.inference.shortened", *SHORT]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert found == [{kind: {"short": short, "same": [True] * 4, "answer": 24}} for kind, short in SHORT.items()]
