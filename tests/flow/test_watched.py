"""What can be seen of a stack that taught and answered: a job's trace, and both processes' metrics."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flow.conftest import Known, Stack

pytestmark = pytest.mark.flow

HOPS = [
    ("POST /facts", None),
    ("keep facts and job", "POST /facts"),
    ("send job", "keep facts and job"),
    ("teach job", "send job"),
    ("train", "teach job"),
    ("load base model", "train"),
    ("demask", "train"),
    ("save adapter", "train"),
    ("publish files", "teach job"),
    ("prove", "teach job"),
    ("load adapter", "prove"),
    ("check effect", "prove"),
    ("ask probes", "prove"),
    ("go live", "teach job"),
    ("first answer", "keep facts and job"),
]


def command(stack: Stack, *words: str) -> str:
    engrain = str(Path(sys.executable).parent / "engrain")
    return subprocess.run([engrain, *words], env=stack.environment, check=True, capture_output=True, text=True).stdout


def test_one_trace_has_every_hop_from_the_post_to_the_first_answer(stack: Stack, known: Known) -> None:
    spans: list[dict[str, Any]] = json.loads(command(stack, "trace", known.job_id, "--json"))
    names = {span["id"]: span["name"] for span in spans}
    assert [(span["name"], names.get(span["parent"])) for span in spans] == HOPS
    assert len({span["trace"] for span in spans}) == 1
    assert {span["part"] for span in spans} == {"service", "worker"}
    assert not any(span["failed"] for span in spans)
    print(command(stack, "trace", known.job_id))


def test_logs_name_the_job_its_version_and_its_trace(stack: Stack, known: Known) -> None:
    (span, *_) = json.loads(command(stack, "trace", known.job_id, "--json"))
    written = (stack.data_folder / "logs" / "worker.log").read_text().splitlines()
    lines = [json.loads(line) for line in written if line.startswith("{")]
    (live,) = [line for line in lines if line["event"] == "live" and line["job_id"] == known.job_id]
    assert (live["namespace"], live["version"], live["trace_id"]) == (known.namespace, known.version, span["trace"])


def test_the_worker_shows_what_its_training_took(stack: Stack, known: Known) -> None:
    address = stack.environment["ENGRAIN_WORKER_METRICS_ADDRESS"]
    text = httpx.get(f"http://{address}/metrics", trust_env=False).text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    above_zero = (
        "engrain_training_seconds_sum",
        "engrain_training_tokens_total",
        "engrain_training_memory_bytes",
        "engrain_publish_seconds_count",
        "engrain_probing_seconds_count",
        "engrain_post_to_live_seconds_count",
        "engrain_load_seconds_count",
        'engrain_attempts_total{status="succeeded"}',
        'engrain_probes_total{direction="forward",passed="true"}',
        "process_resident_memory_bytes",
    )
    assert all(float(samples[name]) > 0 for name in above_zero), samples
