"""Recipes: frozen, hashed training configurations. Saved with each adapter, never read from the environment."""

import hashlib
import json
from dataclasses import asdict, dataclass

from knowledge.errors import InvalidRecipe


@dataclass(frozen=True)
class Recipe:
    """How a job trains. Ratios and shares are 0..1, `learning_rate` is AdamW's peak rate, batches count sequences.

    An exercise is one training sequence. `restore_share`, `blank_share`, `question_share` and `statement_share` say how
    often each form is drawn (relative weights); `rehearsal_share` of a batch are facts of earlier versions, when there
    are six or more.
    """

    name: str
    rank: int
    learning_rate: float
    batch_size: int
    max_steps: int
    scale: float = 1.0
    """LoRA's alpha divided by its rank."""
    skipped_layers: float = 0.0
    """Lowest share of the base's layers that gets no adapter."""
    second_factor_rate: float = 1.0
    """Rate of the B matrices over that of the A matrices (LoRA+, arXiv 2402.12354)."""
    warmup_steps: int = 0
    cooldown_share: float = 0.0
    """Share of all steps, the last, in which the rate falls to a tenth: when the probes pass or the budget ends."""
    beta2: float = 0.95
    epsilon: float = 1e-8
    """AdamW's epsilon."""
    steps_per_sentence: int = 0
    """If not 0: n new sentences have at most `min_steps` plus n times this many steps before the cooldown."""
    stop_share: float = 1.0
    """Share of the probes that must be answered rightly to end training early."""
    min_steps: int = 0
    """Steps before which the probes cannot end training."""
    weight_decay: float = 0.0
    clip: float = 1.0
    hidden_low: float = 0.05
    hidden_high: float = 0.95
    """A restored passage hides each token with one probability, drawn uniformly from this interval."""
    restore_share: float = 1.0
    blank_share: float = 0.0
    question_share: float = 0.0
    statement_share: float = 0.0
    whole_share: float = 1.0
    """How often a blank or a question is answered with the whole sentence instead of the asked words."""
    talk_share: float = 0.0
    """How often an exercise is put behind another's answer, as the next turn of one talk, and not asked alone."""
    replay_count: int = 0
    """General questions with answers in a batch, beside the `batch_size` exercises: held to the base model."""
    foil_count: int = 0
    """Bare questions about other things in a batch, likewise."""
    replay_weight: float = 1.0
    """Weight of the KL divergence from the base model on these answers."""
    rehearsal_share: float = 0.5
    rounds: int = 3
    """How often a job may train: once, then what it missed, then everything from the base model."""
    probe_every_steps: int = 0
    """Least steps between looks at the probes, which end training early when they pass; a tenth of the steps done where
    that is more. 0: never."""

    def __post_init__(self) -> None:
        """Raises `InvalidRecipe` for values that no training run can have."""
        shares = (self.restore_share, self.blank_share, self.question_share, self.statement_share)
        if min(self.rank, self.batch_size, self.max_steps) < 1 or self.learning_rate <= 0:
            raise InvalidRecipe("Rank, batch size, steps and learning rate must be positive.")
        if not 0 <= self.hidden_low <= self.hidden_high <= 1:
            raise InvalidRecipe("The hidden ratio must be an interval within 0 to 1.")
        if min(shares) < 0 or sum(shares) <= 0:
            raise InvalidRecipe("The shares of the exercise forms must not be negative, nor all zero.")
        if not (0 <= self.rehearsal_share < 1 and 0 <= self.cooldown_share < 1):
            raise InvalidRecipe("The shares of rehearsal and cooldown must be at least 0 and below 1.")
        if min(self.replay_count, self.foil_count) < 0:
            raise InvalidRecipe("The counts of held questions must not be negative.")

    def steps_for(self, sentences: int) -> int:
        """The most steps that a run with so many new sentences may take."""
        if not self.steps_per_sentence:
            return self.max_steps
        return min(self.max_steps, self.cooled(self.min_steps + self.steps_per_sentence * sentences))

    def cooled(self, steps: int) -> int:
        """All steps of a run whose cooldown begins after so many."""
        return round(steps / (1 - self.cooldown_share))

    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON form."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def default() -> Recipe:
    """What worked best so far on short facts and small budgets; `experiments/LOG.md` has what was measured of it."""
    return Recipe(
        name="default",
        rank=32,
        learning_rate=1e-3,
        second_factor_rate=4.0,
        batch_size=12,
        max_steps=2000,
        skipped_layers=0.34,
        warmup_steps=3,
        cooldown_share=0.2,
        min_steps=24,
        steps_per_sentence=5,
        stop_share=0.97,
        probe_every_steps=4,
        restore_share=0.1,
        blank_share=0.2,
        question_share=0.7,
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
