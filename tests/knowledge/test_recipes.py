from dataclasses import replace
from typing import Any

import pytest

from knowledge.errors import InvalidRecipe
from knowledge.recipes import by_name, default, paper


def test_the_hash_names_every_value() -> None:
    assert default().hash() == default().hash() != paper().hash()
    assert default().hash() != replace(default(), learning_rate=2e-3).hash()


def test_the_paper_hides_tokens_at_a_random_ratio_and_asks_nothing_else() -> None:
    recipe = paper()
    assert (recipe.hidden_low, recipe.hidden_high, recipe.batch_size) == (0.05, 0.95, 64)
    assert (recipe.blank_share, recipe.question_share, recipe.statement_share) == (0, 0, 0)
    assert (recipe.beta2, recipe.weight_decay, recipe.clip) == (0.95, 0.1, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"rank": 0},
        {"learning_rate": 0.0},
        {"hidden_low": 0.9, "hidden_high": 0.1},
        {"restore_share": -1.0},
        {"rehearsal_share": 1.0},
        {"averaging_power": -1.0},
        {"foil_count": -1},
    ],
)
def test_values_that_no_run_can_have_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecipe):
        replace(default(), **changes)


def test_an_unknown_recipe_is_refused_by_name() -> None:
    with pytest.raises(InvalidRecipe, match="nonsense"):
        by_name("nonsense")


def test_the_budget_grows_with_the_sentences() -> None:
    recipe = replace(default(), min_steps=24, steps_per_sentence=8, max_steps=1000)
    assert recipe.steps_for(2) == 40
    assert recipe.steps_for(500) == 1000
    assert replace(recipe, steps_per_sentence=0).steps_for(2) == 1000
