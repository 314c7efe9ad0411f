"""Aliases of options: the names that other libraries use for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from distingo.errors import UsageError

Value = TypeVar("Value")

RECIPE_ALIASES = {"learning_rate": "lr", "normalize": "normalise"}
"""Alias of a recipe field: the field's own name, which files and records use."""


def choose_alias(name: str, value: Value | None, alias: str, other: Value | None) -> Value | None:
    """Return the value of an option that has two names.

    Args:
        name: The option's own name.
        value: The value passed under `name`, or None.
        alias: The option's other name.
        other: The value passed under `alias`, or None.

    Raises:
        UsageError: A value was passed under both names.
    """
    if value is not None and other is not None:
        raise UsageError(
            f"{name}={value} and {alias}={other} are the same option; leave one out",
            code="options_conflict",
            parameter=name,
        )
    return other if value is None else value


def name_recipe_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Rename recipe options from their aliases to the names of their fields.

    Args:
        options: Values by field name or by one of `RECIPE_ALIASES`.

    Raises:
        UsageError: An option was passed under both of its names.
    """
    named = {name: value for name, value in options.items() if name not in RECIPE_ALIASES}
    for alias, name in RECIPE_ALIASES.items():
        if alias in options:
            named[name] = choose_alias(name, named.get(name), alias, options[alias])
    return named
