"""The paper's numbers for training all weights, and what a run of them needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from experiments.changes import changed
from experiments.knowledge_injection.arms import Arm, arms
from knowledge.recipes import Recipe

ARMS = ("autoregressive", "masked", "random-token")
STEPS = {"name_description": 3_840, "biography": 10_240, "wiki": 10_240}
"""Without paraphrases (arXiv 2510.09885 v6, section 4)."""
WARMUP_SHARE = 0.02
EIGHT_BILLION = 8_000_000_000

_CHANGEABLE = {
    *("batch_size", "learning_rate", "warmup_steps", "beta2", "epsilon", "weight_decay", "clip"),
    *("hidden_low", "hidden_high"),
}
_FP32, _BF16 = 4, 2


def setting(name: str, parameters: int, steps: int, changes: Sequence[str]) -> Arm:
    """An arm with the paper's recipe for all weights of a model of so many parameters.

    The rates are the paper's: 5e-6, and 3e-6 for masked training of 8B; the random-token control, of which it tells
    none, has the masked one's. Raises `ValueError` for a change that training all weights does not heed.
    """
    arm = arms()[name]
    assert arm.recipe, "an untrained arm has no setting"
    for change in changes:
        if (field := change.partition("=")[0]) not in _CHANGEABLE:
            raise ValueError(f"{field!r} changes nothing here. Known: {', '.join(sorted(_CHANGEABLE))}.")
    rate = 3e-6 if name != "autoregressive" and parameters >= EIGHT_BILLION else 5e-6
    recipe = replace(
        arm.recipe, learning_rate=rate, batch_size=64, max_steps=steps, warmup_steps=round(WARMUP_SHARE * steps)
    )
    return replace(arm, recipe=changed(recipe, changes))


def warmed(recipe: Recipe, step: int) -> float:
    """The rate of a step, the first being 0: it rises to the peak and stays there."""
    return recipe.learning_rate * min(1.0, (step + 1) / (recipe.warmup_steps + 1))


@dataclass(frozen=True)
class Needs:
    """Bytes of one process for a model that so many processes share. Activations come on top, and are not here."""

    parameters: int
    weights: int
    """fp32."""
    gradients: int
    """fp32."""
    optimizer: int
    """AdamW's two averages, fp32."""
    computing: int
    """bf16 copies of what is computed: of all weights on one process; else of two blocks and what is in no block."""
    asking: int
    """bf16 copies while questions are asked: of all weights, on each process."""

    @property
    def total(self) -> int:
        """The most at once; nothing is asked while gradients are held."""
        return self.weights + self.optimizer + max(self.gradients + self.computing, self.asking)


def needs(base: str, processes: int) -> Needs:
    """Counts a model by its configuration alone; no weight is read."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    count = _count(model)
    blocks = sorted(_count(block) for block in model.get_decoder().layers)
    at_once = count if processes == 1 else count - sum(blocks[:-2])
    return Needs(
        parameters=count,
        weights=_FP32 * count // processes,
        gradients=_FP32 * count // processes,
        optimizer=2 * _FP32 * count // processes,
        computing=_BF16 * at_once,
        asking=_BF16 * count,
    )


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def told(found: Needs, recipe: Recipe, tokens_a_step: float, processes: int) -> str:
    """What a run needs, to be read."""
    return "\n".join(
        [
            f"{found.parameters:,} parameters on {processes} processes; computed, not measured.",
            "",
            "| on each process | GiB |",
            "|---|---|",
            f"| weights, fp32 | {_gib(found.weights)} |",
            f"| gradients, fp32 | {_gib(found.gradients)} |",
            f"| AdamW's averages, fp32 | {_gib(found.optimizer)} |",
            f"| copies to compute with, bf16 | {_gib(found.computing)} |",
            f"| copies to ask with, bf16 | {_gib(found.asking)} |",
            f"| the most at once, without activations | {_gib(found.total)} |",
            "",
            f"{recipe.max_steps:,} steps of {recipe.batch_size} exercises.",
            f"The rate rises to {recipe.learning_rate:g} in {recipe.warmup_steps} steps and stays.",
            f"About {tokens_a_step:,.0f} tokens a step, {tokens_a_step * recipe.max_steps / 1e6:,.1f} million in all.",
        ]
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f}"
