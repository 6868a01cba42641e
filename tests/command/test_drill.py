"""The checker of the crash drill: a good history passes, and a planted fault of each kind is seen."""

import contextlib
import copy
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command.cli import main
from command.drill.checker import Report, check
from command.drill.harm import Parts, deck, filled, small_disk
from command.drill.history import History, Line, read
from command.drill.short import short
from command.drill.story import told
from command.ownership import ownership
from knowledge import faults
from knowledge.settings import Settings
from tests.command.processes import Crowd


def _post(fact: str, key: str, status: int | None = 202, *, namespace: str = "drill-1", at: float = 1.0) -> Line:
    return {
        "kind": "post", "began": at, "ended": at + 0.1, "namespace": namespace, "text": f"text of {fact}",
        "idempotency_key": key, "status": status, "facts": [fact] if status else [], "version": 1,
    }  # fmt: skip


def _ask(version: int | None, at: float, *, asked: int | None = None, least: int | None = None) -> Line:
    return {
        "kind": "ask", "began": at, "ended": at + 0.1, "namespace": "drill-1", "asked_version": asked,
        "min_version": least, "status": 200, "version": version, "source": "weights" if version else "base",
        "adapter": f"drill-1-v{version}" if version else None,
    }  # fmt: skip


def _fact(name: str, status: str, job: str, namespace: str = "drill-1") -> Line:
    return {"id": name, "namespace": namespace, "text": f"text of {name}", "status": status, "job_id": job}


def _version(number: int, status: str, *facts: str) -> Line:
    return {
        "namespace": "drill-1", "version": number, "status": status, "adapter": f"drill-1-v{number}",
        "facts": list(facts), "whole": True,
    }  # fmt: skip


ENDS = ("succeeded", "succeeded", "dead")

GOOD: list[Line] = [
    _post("a", "key-a"),
    _post("b", "key-b", status=None),
    _post("b", "key-b"),
    _post("c", "key-c"),
    _post("d", "key-d"),
    {"kind": "kill", "began": 2, "ended": 2, "part": "worker", "step": "publish.before_rename"},
    _ask(None, 3),
    {"kind": "seen", "began": 4, "ended": 4.1, "namespace": "drill-1", "live": [1]},
    _ask(1, 5),
    _ask(2, 6, least=2),
    _ask(1, 7, asked=1),
    {"kind": "loaded", "began": 8, "ended": 8, "adapters": [{"name": "drill-1-v1", "whole": True}]},
    {"kind": "incident", "began": 8, "ended": 8, "name": "wiped", "how": "FLUSHALL", "healed": True, "detail": ""},
    {
        "kind": "final",
        "began": 9,
        "ended": 9,
        "facts": [
            _fact("a", "live", "j1"),
            _fact("b", "live", "j2"),
            _fact("c", "weak", "j2"),
            _fact("d", "pending", "j3"),
        ],
        "jobs": [{"id": id_, "status": end} for id_, end in zip(("j1", "j2", "j3"), ENDS, strict=True)],
        "versions": [_version(1, "retired", "a"), _version(2, "live", "a", "b")],
    },
]  # fmt: skip


def _final(history: list[Line]) -> Line:
    return history[-1]


def _lose_a_row(history: list[Line]) -> None:
    _final(history)["facts"].pop(0)


def _forget_a_job(history: list[Line]) -> None:
    _final(history)["jobs"][2]["status"] = "succeeded"


def _leave_it_waiting(history: list[Line]) -> None:
    _final(history)["jobs"][2]["status"] = "queued"


def _lie_about_live(history: list[Line]) -> None:
    _final(history)["versions"][1]["facts"].remove("b")


def _never_end(history: list[Line]) -> None:
    history.pop()


def _two_live(history: list[Line]) -> None:
    _final(history)["versions"][0]["status"] = "live"


def _two_live_for_a_moment(history: list[Line]) -> None:
    history[7]["live"] = [1, 2]


def _store_twice(history: list[Line]) -> None:
    _final(history)["facts"].append(_fact("a", "weak", "j1") | {"id": "e"})


def _answer_a_key_twice(history: list[Line]) -> None:
    history.insert(3, _post("d", "key-b"))


def _load_half(history: list[Line]) -> None:
    history[11]["adapters"][0]["whole"] = False


def _half_on_disk(history: list[Line]) -> None:
    _final(history)["versions"][0]["whole"] = False


def _read_below_the_least(history: list[Line]) -> None:
    history[9] |= {"version": 1, "adapter": "drill-1-v1"}


def _go_back(history: list[Line]) -> None:
    history.insert(10, _ask(1, 6.5))


def _answer_as_another(history: list[Line]) -> None:
    history[10] |= {"version": 2, "adapter": "drill-1-v2"}


def _answer_from_the_base(history: list[Line]) -> None:
    history[10] |= {"version": None, "adapter": None}


def _name_wrongly(history: list[Line]) -> None:
    history[8]["adapter"] = "drill-1-v2"


def _do_not_heal(history: list[Line]) -> None:
    history[12]["healed"] = False


PLANTED: list[tuple[str, Callable[[list[Line]], None]]] = [
    ("lost", _lose_a_row),
    ("lost", _forget_a_job),
    ("lost", _leave_it_waiting),
    ("lost", _lie_about_live),
    ("lost", _never_end),
    ("doubled", _two_live),
    ("doubled", _two_live_for_a_moment),
    ("doubled", _store_twice),
    ("doubled", _answer_a_key_twice),
    ("half_loaded", _load_half),
    ("half_loaded", _half_on_disk),
    ("stale_reads", _read_below_the_least),
    ("stale_reads", _go_back),
    ("wrong_version", _answer_as_another),
    ("wrong_version", _answer_from_the_base),
    ("wrong_version", _name_wrongly),
    ("not_healed", _do_not_heal),
]


def test_a_good_history_passes_and_is_counted() -> None:
    report = check(GOOD)
    assert report.violations == []
    assert (report.acknowledged, report.live, report.visibly_failed) == (4, 2, 2)
    assert (report.kills, report.steps) == ({"worker": 1}, {"publish.before_rename": 1})
    assert (report.operations, report.unanswered) == ({"post": 5, "ask": 4, "activate": 0}, 1)
    assert told(report)["kills_total"] == 1 and told(report)["lost"] == 0


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=[plant.__name__.strip("_") for _, plant in PLANTED])
def test_a_planted_fault_is_seen_for_what_it_is(kind: str, plant: Callable[[list[Line]], None]) -> None:
    history = copy.deepcopy(GOOD)
    plant(history)
    report = check(history)
    assert getattr(report, kind), report
    told_of: dict[str, Any] = told(report)
    assert told_of[kind] >= 1 and told_of["violations"]


def test_reading_an_older_version_after_a_roll_back_is_no_fault() -> None:
    history = copy.deepcopy(GOOD)
    history.insert(
        10, {"kind": "activate", "began": 6.2, "ended": 6.3, "namespace": "drill-1", "version": 1, "status": 200}
    )
    history.insert(11, _ask(1, 6.5))
    final = _final(history)
    final["versions"] = [_version(1, "live", "a"), _version(2, "retired", "a", "b")]
    assert check(history).lost == ["b is said to be live and is in no live version"]
    next(fact for fact in final["facts"] if fact["id"] == "b")["status"] = "rejected"
    report = check(history)
    assert report.violations == []
    assert (report.live, report.rolled_back) == (1, 1)


def test_a_roll_back_excuses_no_read_below_the_least() -> None:
    history = copy.deepcopy(GOOD)
    history.insert(
        9, {"kind": "activate", "began": 5.2, "ended": 5.3, "namespace": "drill-1", "version": 1, "status": 200}
    )
    history[10] |= {"version": 1, "adapter": "drill-1-v1"}
    assert check(history).stale_reads


def test_a_deck_holds_a_hundred_kills_over_every_step_and_part() -> None:
    blows = deck(random.Random(1), ["api", "broker", "vllm", "worker"])
    assert len(blows) >= 100
    assert {blow.step for blow in blows} == {*faults.POINTS, "any"}
    assert {blow.part for blow in blows} == {"self", "api", "broker", "vllm", "worker", "trainer"}
    assert (
        blows
        == deck(random.Random(1), ["api", "broker", "vllm", "worker"])
        != deck(random.Random(2), ["api", "broker", "vllm", "worker"])
    )
    assert Counter(blow.part for blow in blows)["vllm"] in range(8, 16)


def test_a_broker_elsewhere_is_not_killed() -> None:
    assert "broker" not in {blow.part for blow in deck(random.Random(1), ["api", "vllm", "worker"])}


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    history = History(tmp_path / "logs" / "history.jsonl")
    history.note("kill", part="api", step="any")
    with contextlib.suppress(KeyError), history.operation("post", namespace="drill-1") as line:
        line["status"] = None
        raise KeyError("cut off")
    history.close()
    kill, post = read(history.path)
    assert (kill["kind"], kill["part"], post["status"]) == ("kill", "api", None)
    assert post["ended"] >= post["began"]


def test_a_filled_disk_takes_nothing_and_then_takes_it_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "adapters", mebibytes=1) as mounted:
        if not mounted:
            pytest.skip("only root can mount a file system")
        with filled(tmp_path / "adapters"), pytest.raises(OSError, match="No space left"):
            (tmp_path / "adapters" / "file").write_bytes(b"x" * 10_000)
        (tmp_path / "adapters" / "file").write_bytes(b"x" * 10_000)


def test_an_empty_report_has_no_violations() -> None:
    assert Report().violations == []


def test_where_nothing_runs_there_is_nothing_to_drill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENGRAIN_DATA_FOLDER", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["engrain", "drill", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "only what runs here can be killed" in capsys.readouterr().err


def test_nothing_is_killed_before_the_user_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Parts, "names", lambda _: ["api", "worker"])
    monkeypatch.setattr(Parts, "kill", lambda *_: pytest.fail("killed"))
    monkeypatch.setattr("typer.confirm", lambda _: False)
    with ownership(tmp_path, "http://127.0.0.1:1"):
        assert short(Settings(data_folder=tmp_path), yes=False, seed=1, as_json=False) == 1
    assert "This kills" in capsys.readouterr().out
    assert not (tmp_path / "logs").exists()


def test_only_wards_are_parts_and_a_kill_hits_what_is_below_one(crowd: Crowd) -> None:
    ward = str(Path("command/ward.py").absolute())
    read, write = os.pipe()
    command = [sys.executable, "-S", "-I", ward, "1", *crowd.command()[:-1], "-m", "inference.server", crowd.token]
    process = subprocess.Popen(command, stdin=read)
    try:
        (sleeper,) = crowd.wait_for(1)
        parts = Parts(os.getpid())
        assert parts.names() == ["vllm"]
        assert not parts.kill("broker", random.Random(1))
        assert parts.kill("vllm", random.Random(1))
        assert process.wait(20) == 128 + signal.SIGKILL
        assert not sleeper.is_running()
    finally:
        os.close(write)
        os.close(read)
        process.wait(20)
