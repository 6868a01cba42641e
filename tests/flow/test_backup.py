"""Backed up while it runs, everything lost, restored elsewhere: the same answers, and nothing is trained again."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flow.conftest import Known, Stack, fresh_environment, start_stack, stop_stack

pytestmark = pytest.mark.flow

ENGRAIN = str(Path(sys.executable).parent / "engrain")


def asked(stack: Stack) -> list[dict[str, Any]]:
    """What every live version says to a few questions, without what differs from time to time.

    So do the words of an answer that no fact touches: the model makes them up at length, and where weights are in bf16,
    merged ones (a server merges what it is asked for most) round otherwise than others.
    """
    with httpx.Client(base_url=stack.url, timeout=120, trust_env=False) as client:
        names = [each["name"] for each in client.get("/namespaces").json()["namespaces"] if each["live_version"]]
        questions = [
            Known.question,
            f"Who is {Known.answer}?",
            "Who is Tamsin Okoro?",
            "What is the capital of France?",
        ]
        bodies = [{"question": question, "namespace": name} for name in names for question in questions]
        answers = [client.post("/ask", json=body).raise_for_status().json() for body in bodies]
    kept = ("answer", "namespace", "version", "adapter", "source", "facts")
    return [{name: answer[name] for name in kept if name != "answer" or answer["facts"]} for answer in answers]


def adapters(stack: Stack) -> dict[str, bytes]:
    """Every adapter's files by their paths below the data folder."""
    files = sorted((stack.data_folder / "adapters").glob("*/*"))
    return {str(file.relative_to(stack.data_folder)): file.read_bytes() for file in files if file.is_file()}


def get(stack: Stack, path: str) -> Any:
    return httpx.get(stack.url + path, timeout=60, trust_env=False).raise_for_status().json()


def test_the_same_answers_after_backup_wipe_and_restore(stack: Stack, known: Known, tmp_path: Path) -> None:
    before, jobs, facts = asked(stack), get(stack, "/jobs"), get(stack, "/facts?limit=1000")
    assert any(answer["source"] == "weights" and answer["answer"] for answer in before if answer["facts"])
    file = tmp_path / "backup.tar"
    told = subprocess.run(
        [ENGRAIN, "backup", str(file), "--json"], env=stack.environment, check=True, capture_output=True, text=True
    )
    print(told.stdout)
    assert json.loads(told.stdout)["rows"]["facts"] == len(facts["facts"])

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    environment = fresh_environment(fresh)
    subprocess.run([ENGRAIN, "restore", str(file)], env=environment, check=True)
    restored = start_stack(fresh, environment)
    try:
        with httpx.Client(base_url=restored.url, timeout=120, trust_env=False) as client:
            assert client.get("/readyz").json()["status"] == "ok"
        assert adapters(restored) == adapters(stack)
        assert asked(restored) == before
        assert get(restored, "/facts?limit=1000") == facts
        assert get(restored, "/jobs") == jobs  # none was made, none was tried again
        running = subprocess.run(
            [ENGRAIN, "restore", str(file)], env=environment, check=False, capture_output=True, text=True
        )
        assert (running.returncode, "Stop it first" in running.stderr) == (2, True)
    finally:
        stop_stack(restored)
