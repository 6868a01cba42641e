"""The average of a run's weights, in which later steps weigh more.

At the full rate the last weights go up and down: each step undoes some of what others taught. Their average does not,
so no steps are spent on a falling rate, and a look at the probes judges what would be published now. Weights of step t
count as t^power (polynomial decay: Shamir and Zhang, arXiv 1212.1824), which needs no length of the run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class Average:
    """Follows the trainable parameters of `model`; power 0 follows nothing, and the last weights stand for it."""

    def __init__(self, model: torch.nn.Module, power: float, kept: Mapping[str, torch.Tensor] | None = None) -> None:
        """`kept` is what `weights` of an interrupted run were."""
        named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self._names, self._own = list(named), [parameter.detach() for parameter in named.values()]
        self._power = power
        self._mean = [(kept[name].to(own.device) if kept else own).clone() for name, own in named.items() if power]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The average by parameter name; empty when nothing is followed."""
        return dict(zip(self._names, self._mean, strict=bool(self._mean)))

    def add(self, step: int) -> None:
        """Takes in the weights after `step`, the first of which is 1."""
        if self._mean:
            torch._foreach_lerp_(self._mean, self._own, (self._power + 1) / (step + self._power))

    def take(self) -> None:
        """Puts the average in the place of the model's own weights."""
        if self._mean:
            torch._foreach_copy_(self._own, self._mean)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The model with the average in the place of its own weights, for a while; after an error for good."""
        own = [weight.clone() for weight in self._own] if self._mean else []
        self.take()
        yield
        if own:
            torch._foreach_copy_(self._own, own)
