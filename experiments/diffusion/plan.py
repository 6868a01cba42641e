"""What a run needs, reckoned from a model's configuration alone: neither its weights nor its code are loaded."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

PAPER_STEPS = {"name_description": 3840, "biography": 10240, "wiki": 10240}
"""Steps of 64 passages without paraphrases, arXiv 2510.09885."""

_GIB = 2**30
_ACTIVATION_BYTES = 34
"""For each token, layer and unit of width that backward needs, in 16 bits, attention's scores aside: arXiv 2205.05198,
section 4.1."""


@dataclass(frozen=True)
class Shape:
    """A decoder's measures, whatever its configuration calls them."""

    width: int
    layers: int
    keys: int
    """Width of all keys of a token together."""
    inner: int
    vocabulary: int
    tied: bool

    @classmethod
    def of(cls, name: str) -> "Shape":
        """Reads the configuration of a folder or hub name."""
        settings: dict[str, Any] = PreTrainedConfig.get_config_dict(name)[0]
        if "d_model" in settings:  # LLaDA's names
            width, heads = settings["d_model"], settings["n_heads"]
            keys = width // heads * (settings.get("n_kv_heads") or heads)
            vocabulary = settings.get("embedding_size") or settings["vocab_size"]
            return cls(
                width, settings["n_layers"], keys, settings["mlp_hidden_size"], vocabulary, settings["weight_tying"]
            )
        width, heads = settings["hidden_size"], settings["num_attention_heads"]
        keys = width // heads * settings.get("num_key_value_heads", heads)
        tied = settings.get("tie_word_embeddings", False)
        return cls(
            width, settings["num_hidden_layers"], keys, settings["intermediate_size"], settings["vocab_size"], tied
        )

    @property
    def weights(self) -> int:
        """How many weights it has, those of its norms and biases left out: under a thousandth."""
        layer = 2 * self.width * (self.width + self.keys) + 3 * self.width * self.inner
        return self.layers * layer + self.vocabulary * self.width * (1 if self.tied else 2)

    def adapter(self, rank: int) -> int:
        """How many weights an adapter of this rank on all linear layers but the output has."""
        attention = 2 * (2 * self.width) + 2 * (self.width + self.keys)
        return self.layers * rank * (attention + 3 * (self.width + self.inner))


def memory_gib(shape: Shape, rank: int, tokens: int) -> dict[str, float]:
    """Reckoned, not measured: GiB of a step of so many tokens, padding included, with the base in 16 bits.

    A weight of the adapter takes 16 bytes (itself, gradient and two moments of AdamW in 32 bits), a logit 4 (itself and
    its gradient in 16), and 12 more for a hidden token (32 bits, their log-softmax and gradient); half are hidden.
    """
    parts = {
        "weights": 2 * shape.weights,
        "adapter": 16 * shape.adapter(rank),
        "activations": _ACTIVATION_BYTES * tokens * shape.layers * shape.width,
        "logits": tokens * shape.vocabulary * (4 + 12 // 2),
    }
    return {name: round(size / _GIB, 2) for name, size in (parts | {"together": sum(parts.values())}).items()}
