"""Recipe fields changed from a command line, as `name=value`."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from knowledge.recipes import Recipe


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """The recipe with these fields changed. Raises `ValueError` for an unknown field or an unfit value."""
    types = {field.name: type(getattr(recipe, field.name)) for field in fields(recipe)}
    values: dict[str, Any] = {}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in types:
            raise ValueError(f"A recipe has no field {name!r}.")
        values[name] = types[name](float(value)) if types[name] is int else types[name](value)
    return replace(recipe, **values)
