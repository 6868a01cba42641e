"""How large a model and its training are, without loading a weight. Memory is an estimate: good to about a half."""

from dataclasses import dataclass

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from knowledge.recipes import Recipe
from worker import lora

BASE_BYTES = 2
"""A frozen weight in bf16."""
ADAPTER_BYTES = 16
"""A trained weight, its gradient and AdamW's two moments in fp32."""
LOGIT_BYTES = 12
"""A logit in fp32, its softmax and its gradient."""


@dataclass(frozen=True)
class Size:
    """Weights of the base and of the adapter, and what decides about the memory of a token."""

    weights: int
    adapter: int
    layers: int
    hidden: int
    inner: int
    vocabulary: int

    def gib(self, tokens: int, learnt: int) -> float:
        """Memory of a step of so many tokens of which so many are learnt, in GiB.

        A layer keeps about 14 hidden and 4 inner activations in bf16 for the way back (some hidden ones in fp32).
        """
        fixed = BASE_BYTES * self.weights + ADAPTER_BYTES * self.adapter
        kept = 2 * self.layers * (14 * self.hidden + 4 * self.inner)
        return (fixed + tokens * kept + learnt * self.vocabulary * LOGIT_BYTES) / 2**30


def size(base: str, recipe: Recipe) -> Size:
    """The size of the base model with the recipe's adapter. Raises `OSError` or `ValueError` if there is none."""
    config = AutoConfig.from_pretrained(base)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        weights = sum(parameter.numel() for parameter in model.parameters())
        adapted = lora.attach(model.requires_grad_(False), recipe, None, seed=0)
    text = config.get_text_config()
    return Size(
        weights,
        sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad),
        int(text.num_hidden_layers),
        int(text.hidden_size),
        int(text.intermediate_size),
        int(text.vocab_size),
    )
