"""A short crash drill: facts go from a post to an answer while API and worker are killed, and nothing is lost.

With real PostgreSQL and Redis where TEST_POSTGRES_URL and TEST_REDIS_URL name servers (as CI does), else embedded.
"""

import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest

from command.drill.history import Line, read
from tests import servers
from tests.flow.conftest import MODELS, fresh_environment

pytestmark = pytest.mark.flow

AT = ("post.after_commit", "train.stepped", "live.before_commit")


@pytest.fixture(scope="module")
def drilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[Line]]:
    """The drill's last line, and its history."""
    folder = tmp_path_factory.mktemp("drilled")
    MODELS.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(MODELS)
    command = [sys.executable, "-m", "command.drill.full", "--at", *AT, "--incidents", "broker"]
    with contextlib.ExitStack() as stack:
        if servers.POSTGRES_URL and servers.REDIS_URL:
            url = stack.enter_context(servers.database())
            command += ["--store-url", url, "--broker-url", servers.REDIS_URL]
        ended = subprocess.run(
            command, env=fresh_environment(folder), capture_output=True, text=True, check=False, timeout=600
        )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return json.loads(ended.stdout.splitlines()[-1]), read(folder / "drill" / "history.jsonl")


def test_a_worker_and_an_api_killed_in_the_middle_of_a_job_lose_nothing(
    drilled: tuple[dict[str, Any], list[Line]],
) -> None:
    report, _ = drilled
    assert set(report["steps"]) == set(AT) and report["kills_total"] == len(AT)
    assert report["violations"] == []
    assert report["acknowledged"] == report["live"] + report["visibly_failed"] + report["rolled_back"]
    assert report["live"] >= 1


def test_a_fact_that_was_taught_meanwhile_is_answered_from_the_weights(
    drilled: tuple[dict[str, Any], list[Line]],
) -> None:
    _, history = drilled
    live = {(v["namespace"], v["version"]): v["adapter"] for v in history[-1]["versions"] if v["status"] == "live"}
    asked = [line for line in history if line["kind"] == "ask" and line["status"] == 200 and line["version"]]
    assert any(live.get((line["namespace"], line["version"])) == line["adapter"] for line in asked)


def test_a_wiped_broker_is_healed_with_no_hand(drilled: tuple[dict[str, Any], list[Line]]) -> None:
    _, history = drilled
    incidents = [line for line in history if line["kind"] == "incident"]
    assert incidents and all(line["healed"] for line in incidents)
