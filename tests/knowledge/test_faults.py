import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knowledge import faults

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(faults, "_folder", tmp_path)
    return tmp_path


def test_every_point_of_the_code_can_be_armed_and_every_name_is_a_point_of_the_code() -> None:
    code = [
        path.read_text()
        for top in ("knowledge", "service", "worker", "inference")
        for path in (ROOT / top).rglob("*.py")
    ]
    assert sorted(name for text in code for name in re.findall(r"faults\.point\(\"(.+?)\"\)", text)) == sorted(
        faults.POINTS
    )


def test_without_a_folder_nothing_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults._folder is None
    monkeypatch.setattr(faults, "_pass", lambda _: pytest.fail("looked"))
    faults.point("job.claimed")


def test_a_full_disk_happens_once_and_only_there(folder: Path) -> None:
    faults.arm(folder, "publish.written", "full")
    faults.point("job.claimed")
    with pytest.raises(OSError, match="No space left"):
        faults.point("publish.written")
    faults.point("publish.written")
    assert list(folder.iterdir()) == []


def test_a_held_process_goes_on_afterwards(folder: Path) -> None:
    faults.arm(folder, "job.claimed", "hold 0.2")
    began = time.monotonic()
    faults.point("job.claimed")
    assert time.monotonic() - began >= 0.2


def test_a_killed_process_is_killed(tmp_path: Path) -> None:
    faults.arm(tmp_path, "job.claimed", "kill")
    program = "from knowledge import faults; faults.point('job.claimed')"
    ended = subprocess.run(
        [sys.executable, "-c", program], env={"ENGRAIN_FAULT_FOLDER": str(tmp_path)}, cwd=ROOT, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_point_that_does_not_exist_cannot_be_armed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no point"):
        faults.arm(tmp_path, "job.claimd", "kill")
