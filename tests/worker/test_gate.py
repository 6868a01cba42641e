"""What the gate reads from a candidate's answers."""

from pathlib import Path

import pytest

from knowledge.facts import Document
from knowledge.probes import Direction, Probe, ProbeResult, is_known
from knowledge.store import Store, facts
from knowledge.store.schema import upgrade
from worker import canaries
from worker.canaries import ASKED, CANARIES
from worker.gate import Gate, Verdict, judge, re_asked
from worker.general import GENERAL

GATE = Gate(least_retention=0.9, least_canaries=0.95)


def _results(*passed: bool, direction: Direction = Direction.FORWARD) -> list[ProbeResult]:
    return [ProbeResult(Probe(f"q{n}", "a", direction), "…", float(ok), ok) for n, ok in enumerate(passed)]


def _verdict(**fields: object) -> Verdict:
    whole = {"new": 2, "weak": frozenset(), "asked": 20, "harmed": frozenset(), "canaries": 40, "canaries_kept": 40}
    return Verdict(**{**whole, **fields})  # type: ignore[arg-type]


def test_a_fact_is_known_when_half_of_its_probes_pass_in_each_direction() -> None:
    backward = _results(False, direction=Direction.BACKWARD)
    assert is_known(_results(True, False))
    assert not is_known(_results(True, False, False))
    assert not is_known(_results(True, True) + backward)
    assert not is_known([])


def test_a_verdict_counts_new_facts_and_earlier_ones_apart() -> None:
    results = {"n1": _results(True), "n2": _results(False), "o1": _results(True), "o2": _results(False)}
    verdict = judge(results, [True, True, False], new=["n1", "n2"], earlier=["o1", "o2"])
    assert (set(verdict.weak), set(verdict.harmed)) == ({"n2"}, {"o2"})
    assert (verdict.retention, verdict.missed, round(verdict.steadiness, 2)) == (0.5, 2, 0.67)
    assert str(verdict) == "1 of 2 new facts known, 1 of 2 earlier ones still known, 2 of 3 general questions kept"


@pytest.mark.parametrize(
    ("fields", "objection"),
    [
        ({}, ""),
        ({"weak": frozenset("a")}, ""),
        ({"harmed": frozenset("ab")}, ""),
        ({"canaries_kept": 38}, ""),
        ({"new": 0, "asked": 0}, ""),
        ({"weak": frozenset("ab")}, "none of the 2 new facts passed its probes"),
        ({"harmed": frozenset("abc")}, "it lost 3 of 20 earlier facts"),
        ({"canaries_kept": 37}, "it lost 3 of 40 general questions that the base model answers"),
    ],
)
def test_the_gate_objects_to_what_does_harm(fields: dict[str, object], objection: str) -> None:
    assert GATE.objection(_verdict(**fields)) == objection


def test_earlier_facts_are_all_asked_again_while_they_are_few_and_then_a_sample(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    upgrade(url)
    store = Store(url)
    facts.post(store, "default", [Document(f"Ada {n} is the smith of Orrin {n}.") for n in range(30)])
    held = facts.find(store)
    probes = sum(len(fact.probes) for fact in held)
    assert re_asked(held, probes, seed=1) == held
    some = re_asked(held, probes // 3, seed=1)
    assert 5 <= len(some) <= 10
    assert some == re_asked(held, probes // 3, seed=1) != re_asked(held, probes // 3, seed=2)
    store.close()


def test_canaries_are_right_by_whole_words_of_any_alternative() -> None:
    (four,) = [canary for canary in CANARIES if canary.question == "What is two plus two?"]
    assert four.is_right("It is FOUR.") and four.is_right("2 + 2 = 4")
    assert not four.is_right("It is 44, or fourteen.")


def test_no_canary_is_among_the_general_questions_that_hold_the_adapter_to_the_base() -> None:
    assert not {canary.question for canary in CANARIES} & {question for question, _ in GENERAL}
    assert len({canary.question for canary in CANARIES}) == len(CANARIES)


def test_what_the_base_knows_is_kept_for_this_base_and_these_canaries(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert canaries.kept(folder, "small") is None
    canaries.keep(folder, "small", ASKED[:3])
    assert canaries.kept(folder, "small") == ASKED[:3]
    assert canaries.kept(folder, "large") is None
    assert [path.name for path in folder.iterdir() if not path.name.endswith(".json")] == []
