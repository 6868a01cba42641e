"""The ward: whatever happens to `engrain up` or to the ward, nothing of the child's tree is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.command.processes import DEAF_FAMILY, FAMILY, Crowd, until

WARD = Path(__file__).parents[2] / "command" / "ward.py"


class Ward:
    """A ward with a command, and the write end of its pipe."""

    def __init__(self, *command: str, grace_seconds: float = 2.0) -> None:
        read, self.pipe = os.pipe()
        line = [sys.executable, "-S", "-I", str(WARD), str(grace_seconds), *command]
        self.process = subprocess.Popen(line, stdin=read, start_new_session=True)
        os.close(read)

    def let_go(self) -> None:
        os.close(self.pipe)
        self.pipe = -1


@pytest.fixture
def ward(crowd: Crowd) -> Iterator[Ward]:
    found = Ward(*crowd.command(FAMILY))
    crowd.wait_for(3)
    yield found
    if found.pipe >= 0:
        found.let_go()
    found.process.wait(30)


def test_the_end_of_the_pipe_stops_the_whole_family_even_a_child_in_its_own_session(crowd: Crowd, ward: Ward) -> None:
    ward.let_go()
    assert ward.process.wait(30) == 128 + signal.SIGTERM
    assert crowd.alive() == []


def test_sigterm_stops_the_whole_family(crowd: Crowd, ward: Ward) -> None:
    ward.process.terminate()
    assert ward.process.wait(30) == 128 + signal.SIGTERM
    assert crowd.alive() == []


def test_when_the_command_is_killed_its_children_go_too(crowd: Crowd, ward: Ward) -> None:
    psutil.Process(ward.process.pid).children()[0].kill()
    assert ward.process.wait(30) == 128 + signal.SIGKILL
    assert crowd.alive() == []


def test_when_the_ward_itself_is_killed_its_command_dies_with_it(crowd: Crowd, ward: Ward) -> None:
    child = psutil.Process(ward.process.pid).children()[0]
    ward.process.kill()
    ward.process.wait(30)
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_command_that_does_not_listen_to_sigterm_is_killed_after_its_grace(crowd: Crowd) -> None:
    ward = Ward(*crowd.command(DEAF_FAMILY), grace_seconds=0.3)
    crowd.wait_for(3)
    began = time.monotonic()
    ward.let_go()
    assert ward.process.wait(30) == 128 + signal.SIGKILL
    assert 0.3 <= time.monotonic() - began < 20
    assert crowd.alive() == []


@pytest.mark.parametrize("status", [0, 3])
def test_the_ward_ends_as_its_command_ended(status: int) -> None:
    ward = Ward(sys.executable, "-c", f"raise SystemExit({status})")
    assert ward.process.wait(30) == status
    ward.let_go()


def test_a_waiting_ward_uses_no_processor_time(ward: Ward) -> None:
    process = psutil.Process(ward.process.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(0.5)
    assert sum(process.cpu_times()[:2]) == before
