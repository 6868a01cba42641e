"""The verdicts follow the figures, both ways."""

from typing import Any

import pytest

from experiments.claims import judged


def _end(setting: str, forward: float, backward: float, **more: Any) -> dict[str, Any]:
    columns = {"N2D forward": {"rouge1": forward}, "N2D backward": {"rouge1": backward}}
    return {"kind": "end", "set": "x", "setting": setting, "columns": columns, "steps": 9} | more


def _verdict(claim: str, **results: list[dict[str, Any]]) -> str:
    (found,) = [one.verdict for one in judged(results) if one.claim.startswith(claim)]
    return found


def test_without_results_nothing_is_claimed() -> None:
    assert {one.verdict for one in judged({})} == {"not testable here"}


@pytest.mark.parametrize(
    ("none", "turned", "verdict"), [(0.2, 0.6, "seen"), (0.5, 0.65, "not seen"), (0.01, 0.05, "not testable here")]
)
def test_paraphrases_are_needed_where_they_bring_something(none: float, turned: float, verdict: str) -> None:
    ends = [_end("autoregressive, none", none, none), _end("autoregressive, 8 turned round", turned, turned)]
    assert _verdict("Autoregressive fine-tuning needs", paraphrases=ends) == verdict


def test_order_is_judged_by_the_backward_columns() -> None:
    ends = [_end("autoregressive, 8 in its order", 0.9, 0.1), _end("autoregressive, 8 turned round", 0.9, 0.5)]
    assert _verdict("Their order", paraphrases=ends) == "seen"
    ends[0] = _end("autoregressive, 8 in its order", 0.1, 0.5)
    assert _verdict("Their order", paraphrases=ends) == "not seen"


def test_seeds_are_averaged() -> None:
    ends = [_end("random", 0.9, 0.9), _end("random", 0.1, 0.1), _end("0", 0.45, 0.45)]
    assert _verdict("Hiding nothing", mask_ratio=ends) == "not seen"


def test_diffusion_is_compared_on_the_sets_that_it_was_run_on() -> None:
    ends = [_end("", 0.6, 0.6, arm="diffusion"), _end("", 0.1, 0.2, arm="autoregressive")]
    ends.append(_end("", 0.9, 0.9, arm="autoregressive") | {"set": "y"})
    assert _verdict("Masked diffusion", knowledge_injection=ends) == "seen"


def test_an_arm_that_was_changed_does_not_count_for_the_arm() -> None:
    ends = [_end("", 0.6, 0.6, arm="diffusion", changes=[]), _end("", 0.1, 0.2, arm="autoregressive", changes=[])]
    changed = _end("", 0.0, 0.0, arm="diffusion", changes=["untaught"])
    assert _verdict("Masked diffusion", knowledge_injection=[*ends, changed]) == "seen"
    assert _verdict("Masked diffusion", knowledge_injection=[changed, ends[1]]) == "not testable here"


@pytest.mark.parametrize(("masked", "verdict"), [(0.7, "seen"), (0.52, "not seen")])
def test_right_answers_must_differ_by_more_than_chance(masked: float, verdict: str) -> None:
    ends = [
        {"kind": "end", "arm": arm, "strict": share, "questions": 100}
        for arm, share in (("masked", masked), ("sft", 0.5))
    ]
    assert _verdict("Masked SFT", math_sft=ends) == verdict


def test_a_plateau_must_be_higher_and_sooner() -> None:
    def looks(setting: str, plateau: float, late: bool) -> list[dict[str, Any]]:
        return [
            _end(setting, value, value) | {"steps": step, "kind": "look"}
            for step, value in ((5, plateau / 3 if late else plateau), (40, plateau))
        ]

    assert (
        _verdict(
            "Masked fine-tuning reaches", dynamics=looks("masked", 0.9, False) + looks("autoregressive", 0.4, True)
        )
        == "seen"
    )
    assert (
        _verdict(
            "Masked fine-tuning reaches", dynamics=looks("masked", 0.9, True) + looks("autoregressive", 0.8, False)
        )
        == "not seen"
    )
