"""One `engrain up` for each data folder."""

import os
import signal
import time
from pathlib import Path

import pytest

from command.ownership import owner, ownership
from knowledge.errors import Conflict
from tests.command.processes import SLEEPER, script

HOLDER = """
import pathlib, subprocess, sys, time
from command.ownership import ownership
with ownership(pathlib.Path(sys.argv[1]), "http://127.0.0.1:8000") as lock:
    if sys.argv[2] != "0":
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({sys.argv[2]})"], pass_fds=(lock,),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_owner_is_told_who_holds_the_folder_and_what_to_do(tmp_path: Path) -> None:
    with script(HOLDER, str(tmp_path), "0") as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(Conflict, match=rf"process {holder.pid}, http://127.0.0.1:8000.*ENGRAIN_DATA_FOLDER"),
            ownership(tmp_path, "http://127.0.0.1:9000"),
        ):
            pass
        assert str(holder.pid) in owner(tmp_path)
    assert owner(tmp_path) == ""


def test_a_killed_owner_is_waited_for_until_its_children_are_gone(tmp_path: Path) -> None:
    with script(HOLDER, str(tmp_path), "1.5") as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
        with ownership(tmp_path, "http://127.0.0.1:9000"):
            assert time.monotonic() - began > 0.5
            assert str(os.getpid()) in owner(tmp_path)


def test_a_folder_that_nobody_made_has_no_owner(tmp_path: Path) -> None:
    assert owner(tmp_path / "nothing") == ""


def test_children_that_are_not_told_to_hold_the_folder_do_not(tmp_path: Path) -> None:
    with ownership(tmp_path, "http://127.0.0.1:9000"), script(SLEEPER):
        pass
    assert owner(tmp_path) == ""
