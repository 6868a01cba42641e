import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from knowledge.errors import InjectionFailed, InvalidRecipe, Unavailable
from knowledge.jobs import Part, Piece, Progress
from knowledge.recipes import default
from worker.spec import TrainingSpec
from worker.training_process import Stopped, train

PROGRESS = {
    "step": 1, "steps": 4, "loss": 2.0, "tokens": 27, "tokens_per_second": 9.0, "percent": 25.0, "eta_seconds": 3.0,
    "probes_passed": 0, "probes": 2,
}  # fmt: skip


def _run(
    tmp_path: Path,
    program: str,
    *,
    stop_after: float = 60.0,
    silent_seconds: float = 60.0,
    most_seconds: float = 60.0,
    on_example: Callable[[list[Piece]], None] = lambda _: None,
    on_log: Callable[[str], None] = lambda _: None,
) -> tuple[list[Progress], list[str]]:
    """Trains with `program` in the place of the trainer."""
    script = tmp_path / "child.py"
    script.write_text("import json, sys, time\ndef say(**message): print(json.dumps(message), flush=True)\n" + program)
    output = tmp_path / ".making-x"
    output.mkdir()
    spec = TrainingSpec("base", default(), (), None, str(output), seed=1, threads=1)
    progress: list[Progress] = []
    log: list[str] = []

    def keep(text: str) -> None:
        log.append(text)
        on_log(text)

    started = time.monotonic()
    train(
        spec,
        niceness=0,
        silent_seconds=silent_seconds,
        most_seconds=most_seconds,
        on_progress=progress.append,
        on_log=keep,
        on_example=on_example,
        should_stop=lambda: time.monotonic() - started > stop_after,
        command=[sys.executable, str(script)],
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [".making-x", "child.py"]
    return progress, log


def test_progress_and_log_lines_reach_the_caller_in_order(tmp_path: Path) -> None:
    report = f"say(kind='progress', **json.loads('''{json.dumps(PROGRESS)}'''))\n"
    progress, log = _run(tmp_path, report + "say(kind='log', text='hello')\nsay(kind='done')")
    assert progress == [Progress(**PROGRESS)]  # type: ignore[arg-type]
    assert log == ["hello"]


def test_what_a_child_said_before_it_ended_is_heard_after_it(tmp_path: Path) -> None:
    def until_it_ended(_: str) -> None:
        [child] = psutil.Process().children()
        while child.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)

    report = f"say(kind='progress', **json.loads('''{json.dumps(PROGRESS)}'''))\n"
    program = "say(kind='log', text='hello')\n" + report + "say(kind='done')"
    assert _run(tmp_path, program, on_log=until_it_ended) == ([Progress(**PROGRESS)], ["hello"])  # type: ignore[arg-type]


def test_an_example_reaches_the_caller_in_its_pieces(tmp_path: Path) -> None:
    shown: list[list[Piece]] = []
    program = "say(kind='example', pieces=[{'part': 'hidden', 'text': '[]'}])\nsay(kind='done')"
    _run(tmp_path, program, on_example=shown.append)
    assert shown == [[Piece(Part.HIDDEN, "[]")]]


def test_the_child_reads_the_spec_that_was_written(tmp_path: Path) -> None:
    program = "spec = json.load(open(sys.argv[1]))\nsay(kind='log', text=spec['base_model'])\nsay(kind='done')"
    assert _run(tmp_path, program)[1] == ["base"]


def test_an_error_that_the_child_names_is_raised_as_such(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="rank"):
        _run(tmp_path, "say(kind='error', error='InvalidRecipe', message='the rank is too high')\nsys.exit(1)")


def test_a_child_that_dies_without_a_word_fails_the_injection_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(InjectionFailed, match="out of memory"):
        _run(tmp_path, "print('out of memory', file=sys.stderr)\nsys.exit(9)")


def test_a_child_that_ends_without_done_has_not_trained(tmp_path: Path) -> None:
    with pytest.raises(InjectionFailed):
        _run(tmp_path, "say(kind='log', text='half way')")


def test_stopping_ends_the_child_even_if_it_says_nothing(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(Stopped):
        _run(tmp_path, "time.sleep(60)", stop_after=0.2)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_a_child_that_falls_silent_is_ended_and_may_be_tried_again(tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(Unavailable, match="said nothing"):
        _run(tmp_path, "say(kind='log', text='half way')\ntime.sleep(60)", silent_seconds=0.5)
    assert {child.pid for child in psutil.Process().children()} <= before


def test_a_child_that_takes_too_long_is_ended_and_fails(tmp_path: Path) -> None:
    with pytest.raises(InjectionFailed, match="longer than"):
        _run(tmp_path, "time.sleep(60)", most_seconds=0.2)


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_a_child_that_is_killed_may_be_tried_again(tmp_path: Path, number: str) -> None:
    with pytest.raises(Unavailable, match=number):
        _run(tmp_path, f"import os, signal\nos.kill(os.getpid(), signal.{number})\ntime.sleep(60)")


def test_a_child_that_is_done_and_does_not_end_has_trained(tmp_path: Path) -> None:
    assert _run(tmp_path, "say(kind='log', text='whole')\nsay(kind='done')\ntime.sleep(60)", stop_after=30)[1] == [
        "whole"
    ]


def test_the_child_asks_for_huge_pages_unless_the_environment_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import os\nsay(kind='log', text=os.environ['GLIBC_TUNABLES'])\nsay(kind='done')\n"
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert _run(tmp_path / "a", program)[1] == ["glibc.malloc.hugetlb=1"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    assert _run(tmp_path / "b", program)[1] == ["glibc.malloc.arena_max=1"]
