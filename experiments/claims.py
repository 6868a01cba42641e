"""The paper's claims (arXiv 2510.09885), each judged by the results at hand.

A claim that one is more than the other is *seen* when they are at least `CLEAR` apart, one that it is no less when it
is not `NEAR` below; otherwise *not seen*, and *not testable here* when nothing that is compared has learnt anything to
speak of, or was not run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.dynamics import fit
from experiments.sweep import markdown, mean

CLEAR = 0.2
"""Mean recalls of two settings, a run each, that are nearer are not told apart: seventeen settings that were run again
from other starting weights and in float32 for bfloat16 came to other values, by .2 in the root mean square (LOG.md)."""

NEAR = 0.1
"""The same where a difference would speak against a claim, and for plateaus, which come from four seeds."""

FLOOR = 0.1
"""What has less recall than this has learnt nothing."""

Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Judged:
    """A claim, what became of it here, and the figures that say so."""

    claim: str
    verdict: str
    figures: str


def judged(results: Mapping[str, Lines]) -> list[Judged]:
    """All claims, judged by the result lines of each experiment."""
    wordings, ratios = _ends(results.get("paraphrases", ())), _ends(results.get("mask_ratio", ()))
    plain = {arm: recall(wordings, f"{arm}, none") for arm in ("autoregressive", "masked", "ours")}
    other = {arm: _best(wordings, f"{arm}, 8 ") for arm in plain}
    back = {arm: recall(wordings, f"{arm}, none", "backward") for arm in plain}
    same, turned = (
        recall(wordings, f"autoregressive, 8 {how}", "backward") for how in ("in its order", "turned round")
    )
    named = {"autoregressive": plain["autoregressive"], "the best of 8 other wordings": other["autoregressive"]}
    found = [
        _more("Autoregressive fine-tuning needs paraphrases", named, "the best of 8 other wordings", "autoregressive"),
        _more(
            "Their order must match the question (backward columns, autoregressive)",
            {"8 in the passage's order": same, "8 turned round": turned},
            "8 turned round",
            "8 in the passage's order",
        ),
        _no_less("Masked fine-tuning needs no paraphrases", plain["masked"], other["masked"]),
        _no_less("The same of our recipe", plain["ours"], other["ours"]),
        _more("Masked fine-tuning closes the gap backward", back, "masked", "autoregressive"),
        _more("The same of our recipe", back, "ours", "autoregressive"),
    ]
    arms = [end for end in _ends(results.get("knowledge_injection", ()), "arm") if not end.get("changes")]
    sets = {end["set"] for end in arms if end["setting"] == "diffusion"}
    both = {arm: recall([end for end in arms if end["set"] in sets], arm) for arm in ("diffusion", "autoregressive")}
    found.append(_more("Masked diffusion needs no paraphrases", both, "diffusion", "autoregressive"))
    for ratio, what in (("0", "Hiding nothing fails"), ("1", "Hiding everything fails")):
        shares = {"a random ratio": recall(ratios, "random"), ratio: recall(ratios, ratio)}
        found.append(_more(what, shares, "a random ratio", ratio))
    return [*found, _sooner(results.get("dynamics", ())), _reasons(results.get("math_sft", ()))]


def table(results: Mapping[str, Lines]) -> str:
    """Markdown: a row for each claim."""
    return markdown([{"claim": one.claim, "here": one.verdict, "by": one.figures} for one in judged(results)])


def recall(ends: Lines, setting: str, columns: str = "") -> float | None:
    """The mean ROUGE-1 recall of a setting over its seeds and the columns that hold these words; None: not run."""
    scores = [
        found["rouge1"]
        for end in ends
        if end["setting"] == setting
        for column, found in end["columns"].items()
        if columns in column
    ]
    return mean(scores) if scores else None


def _ends(lines: Iterable[Mapping[str, Any]], key: str = "setting") -> Lines:
    ends = [line for line in lines if line["kind"] == "end" and line.get("size") != "debug"]
    return [dict(line) | {"setting": line[key]} for line in ends]


def _best(ends: Lines, start: str) -> float | None:
    settings = {end["setting"] for end in ends if end["setting"].startswith(start)}
    return max((value for each in settings if (value := recall(ends, each)) is not None), default=None)


def _more(claim: str, figures: Mapping[str, float | None], more: str, less: str) -> Judged:
    high, low = figures[more], figures[less]
    if high is None or low is None:
        return Judged(claim, "not testable here", "not run")
    told = f"{more} {high:.3f}, {less} {low:.3f}"
    if max(high, low) < FLOOR:
        return Judged(claim, "not testable here", f"{told}: neither has learnt anything")
    return Judged(claim, "seen" if high - low >= CLEAR else "not seen", told)


def _no_less(claim: str, without: float | None, best: float | None) -> Judged:
    if without is None or best is None:
        return Judged(claim, "not testable here", "not run")
    told = f"without {without:.3f}, the best of 8 other wordings {best:.3f}"
    if max(without, best) < FLOOR:
        return Judged(claim, "not testable here", f"{told}: neither has learnt anything")
    return Judged(claim, "seen" if best - without < NEAR else "not seen", told)


def _sooner(lines: Lines) -> Judged:
    """Whether masked fine-tuning is at 95 % of its plateau in fewer steps, and the plateau higher, in most columns."""
    claim = "Masked fine-tuning reaches a higher plateau sooner than autoregressive fine-tuning"
    curves = fit.curves([dict(line) for line in lines])
    columns = sorted({(name, column) for name, _, column in curves})
    pairs = [
        tuple(fit.fit(curves[name, arm, column]) for arm in ("masked", "autoregressive"))
        for name, column in columns
        if (name, "masked", column) in curves and (name, "autoregressive", column) in curves
    ]
    if not pairs:
        return Judged(claim, "not testable here", "not run")
    learnt = [(one, other) for one, other in pairs if max(one.plateau, other.plateau) >= FLOOR]
    if not learnt:
        return Judged(claim, "not testable here", f"neither has learnt anything in {len(pairs)} columns")
    higher = [pair for pair in learnt if pair[0].plateau >= pair[1].plateau + CLEAR]
    good = [pair for pair in higher if pair[0].to_95_percent < pair[1].to_95_percent]
    told = f"higher in {len(higher)} of {len(learnt)} columns with something learnt, there sooner in {len(good)}"
    return Judged(claim, "seen" if 2 * len(good) > len(learnt) else "not seen", told)


def _reasons(lines: Lines) -> Judged:
    """Whether masked SFT has more right answers than SFT by two standard errors of their difference."""
    claim = "Masked SFT beats SFT on math word problems"
    shares: dict[str, tuple[float, int]] = {}
    for arm in ("masked", "sft"):
        ends = [line for line in lines if line["kind"] == "end" and line["arm"] == arm]
        if not ends:
            return Judged(claim, "not testable here", "not run")
        asked = sum(end["questions"] for end in ends)
        shares[arm] = sum(end["strict"] * end["questions"] for end in ends) / asked, asked
    (masked, _), (sft, _) = shares["masked"], shares["sft"]
    error = sum(share * (1 - share) / asked for share, asked in shares.values()) ** 0.5
    told = f"masked {masked:.3f}, SFT {sft:.3f}, standard error of the difference {error:.3f}"
    return Judged(claim, "seen" if masked - sft > 2 * error else "not seen", told)
