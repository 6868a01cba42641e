"""The average of a run's weights, against its formula."""

import pytest
import torch

from worker.averaging import Average


def _model(start: float = 7.0) -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, start)
    return model


def _follow(model: torch.nn.Linear, average: Average, weights: list[float], first: int = 1) -> None:
    for step, weight in enumerate(weights, first):
        torch.nn.init.constant_(model.weight, weight)
        average.add(step)


def test_later_weights_count_more_and_the_start_nothing() -> None:
    model = _model()
    average = Average(model, 1.0)
    _follow(model, average, [1.0, 4.0, 10.0])
    average.take()
    # With power 1 the update is m += (w - m) * 2 / (t + 1), which weighs step t by t: (1*1 + 2*4 + 3*10) / 6.
    assert model.weight.item() == pytest.approx(39 / 6)


def test_the_model_has_its_own_weights_again_and_after_an_error_the_average() -> None:
    model = _model()
    average = Average(model, 1.0)
    _follow(model, average, [2.0, 5.0])
    with average.taken():
        assert model.weight.item() == pytest.approx(4.0)
    assert model.weight.item() == 5.0
    with pytest.raises(RuntimeError), average.taken():
        raise RuntimeError
    assert model.weight.item() == pytest.approx(4.0)


def test_an_interrupted_average_goes_on() -> None:
    model = _model()
    whole, first = Average(model, 8.0), Average(model, 8.0)
    _follow(model, whole, [1.0, 2.0, 3.0, 4.0])
    _follow(model, first, [1.0, 2.0])
    second = Average(model, 8.0, first.weights)
    _follow(model, second, [3.0, 4.0], first=3)
    assert torch.equal(second.weights["weight"], whole.weights["weight"])


def test_power_0_leaves_the_last_weights() -> None:
    model = _model()
    average = Average(model, 0.0)
    _follow(model, average, [1.0, 2.0])
    average.take()
    assert (model.weight.item(), average.weights) == (2.0, {})
