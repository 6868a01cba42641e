"""Recipes: frozen, hashed training configurations. Saved with each adapter, never read from the environment."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, get_type_hints

from knowledge.errors import InvalidRecipe


@dataclass(frozen=True)
class Recipe:
    """How a job trains; `described` tells what each field means. Ratios and shares are 0..1.

    An exercise is one training sequence.
    """

    name: str
    rank: Annotated[int, "Rank of the adapter's matrices."]
    learning_rate: Annotated[float, "AdamW's peak rate."]
    batch_size: Annotated[int, "Exercises in a step."]
    max_steps: Annotated[int, "Most steps of a run."]
    scale: Annotated[float, "LoRA's alpha divided by its rank."] = 1.0
    skipped_layers: Annotated[float, "Lowest share of the base's layers that gets no adapter."] = 0.0
    second_factor_rate: Annotated[
        float, "Rate of the B matrices over that of the A matrices (LoRA+, arXiv 2402.12354)."
    ] = 1.0
    warmup_steps: Annotated[int, "Steps in which the rate rises to its peak."] = 0
    averaging_power: Annotated[
        float,
        "Published is the average of the run's weights, those of step t counting about t to this power; 0: the last.",
    ] = 0.0
    beta2: Annotated[float, "AdamW's second beta."] = 0.95
    epsilon: Annotated[float, "AdamW's epsilon."] = 1e-8
    steps_per_sentence: Annotated[
        int,
        "If not 0: n new sentences, long ones counted as several, have at most the least steps plus n times this many.",
    ] = 0
    stop_share: Annotated[float, "Share of the probes that must be answered rightly to end training early."] = 1.0
    min_steps: Annotated[int, "Steps before which the probes are not asked."] = 0
    settle_share: Annotated[
        float, "Steps that follow when the probes pass, as a share of those done: other wordings pass later."
    ] = 0.0
    weight_decay: Annotated[float, "AdamW's weight decay."] = 0.0
    clip: Annotated[float, "Longest gradient; a longer one is shortened to this norm."] = 1.0
    hidden_low: Annotated[
        float,
        "A restored passage hides each token with one probability, drawn uniformly from here to `hidden_high`.",
    ] = 0.05
    hidden_high: Annotated[float, "Upper end of that interval."] = 0.95
    restore_share: Annotated[
        float, "How often an exercise restores a passage with hidden tokens (relative weight)."
    ] = 1.0
    blank_share: Annotated[float, "How often it fills a blank (relative weight)."] = 0.0
    question_share: Annotated[float, "How often it answers a bare question (relative weight)."] = 0.0
    statement_share: Annotated[float, "How often it asks for the whole passage (relative weight)."] = 0.0
    written_share: Annotated[
        float, "How often it answers a question that the base model wrote about a sentence (relative weight)."
    ] = 0.0
    whole_share: Annotated[
        float,
        "How often a blank or a question made by rule is answered with the whole sentence, not with the asked words.",
    ] = 1.0
    talk_share: Annotated[
        float,
        "How often an exercise is put behind another's answer, as the next turn of one talk, and not asked alone.",
    ] = 0.0
    replay_count: Annotated[
        int,
        "General questions with answers in a batch, beside the `batch_size` exercises: held to the base model.",
    ] = 0
    foil_count: Annotated[int, "Bare questions about other things in a batch, likewise."] = 0
    replay_weight: Annotated[float, "Weight of the KL divergence from the base model on these answers."] = 1.0
    rehearsal_share: Annotated[
        float, "Share of a batch that are facts of earlier versions, when there are six or more."
    ] = 0.5
    rounds: Annotated[
        int, "How often a job may train: once, then what it missed, then everything from the base model."
    ] = 3
    probe_every_steps: Annotated[
        int,
        "Least steps between looks at the probes, which end training early when they pass; a tenth of the steps done"
        " where that is more. 0: never.",
    ] = 0

    def __post_init__(self) -> None:
        """Raises `InvalidRecipe` for values that no training run can have."""
        shares = (
            self.restore_share,
            self.blank_share,
            self.question_share,
            self.statement_share,
            self.written_share,
        )
        if min(self.rank, self.batch_size, self.max_steps) < 1 or self.learning_rate <= 0:
            raise InvalidRecipe("Rank, batch size, steps and learning rate must be positive.")
        if not 0 <= self.hidden_low <= self.hidden_high <= 1:
            raise InvalidRecipe("The hidden ratio must be an interval within 0 to 1.")
        if min(shares) < 0 or sum(shares) <= 0:
            raise InvalidRecipe("The shares of the exercise forms must not be negative, nor all zero.")
        if not 0 <= self.rehearsal_share < 1:
            raise InvalidRecipe("The share of rehearsal must be at least 0 and below 1.")
        if self.averaging_power < 0:
            raise InvalidRecipe("The power of the average must not be negative.")
        if self.settle_share < 0:
            raise InvalidRecipe("The share of settling must not be negative.")
        if min(self.replay_count, self.foil_count) < 0:
            raise InvalidRecipe("The counts of held questions must not be negative.")

    def steps_for(self, sentences: int) -> int:
        """The most steps that a run with so many new sentences may take."""
        if not self.steps_per_sentence:
            return self.max_steps
        return min(self.max_steps, self.min_steps + self.steps_per_sentence * sentences)

    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON form."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def described() -> dict[str, str]:
    """What each field of a recipe but its name means, in the order of the fields."""
    hints = get_type_hints(Recipe, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def default() -> Recipe:
    """What worked best so far on short facts and small budgets; `experiments/LOG.md` has what was measured of it."""
    return Recipe(
        name="default",
        rank=32,
        learning_rate=1e-3,
        second_factor_rate=4.0,
        batch_size=12,
        max_steps=2000,
        averaging_power=8.0,
        min_steps=24,
        settle_share=0.5,
        steps_per_sentence=14,
        stop_share=0.97,
        probe_every_steps=4,
        restore_share=0.0,
        blank_share=0.1,
        question_share=0.45,
        written_share=0.45,
        whole_share=0.0,
        talk_share=0.4,
        replay_count=3,
        foil_count=3,
    )


def paper() -> Recipe:
    """Masked fine-tuning as arXiv 2510.09885 describes it (v6, section 4), on a LoRA adapter.

    Deviations: LoRA in place of full fine-tuning, hence about a hundred times their rate (they use 3e-6 to 5e-6); the
    chat template's own default system prompt where it has one.
    """
    return Recipe(
        name="paper",
        rank=32,
        learning_rate=5e-4,
        batch_size=64,
        max_steps=600,
        warmup_steps=12,
        weight_decay=0.1,
    )


def drill() -> Recipe:
    """Changes the model in a few steps and teaches it nothing: for trials of everything around the training."""
    return Recipe(
        name="drill",
        rank=8,
        learning_rate=3e-3,
        batch_size=2,
        max_steps=6,
        skipped_layers=0.8,
        rehearsal_share=0.0,
        rounds=1,
    )


def by_name(name: str) -> Recipe:
    """The named recipe. Raises `InvalidRecipe` for any other name."""
    recipes = {"default": default, "paper": paper, "drill": drill}
    if name not in recipes:
        raise InvalidRecipe(f"There is no recipe {name!r}. Known: {', '.join(recipes)}.")
    return recipes[name]()
