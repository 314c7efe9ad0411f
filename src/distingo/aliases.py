"""Option names that other libraries have taught people, next to our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from distingo.errors import UsageError

Value = TypeVar("Value")

RECIPE_ALIASES = {"learning_rate": "lr", "normalize": "normalise"}
"""Other names of recipe fields; files and records have the fields' own."""


def choose_alias(name: str, value: Value | None, alias: str, other: Value | None) -> Value | None:
    """The value of an option that has two names.

    Args:
        name: The option's own.
        value: What was given under it; None where nothing was.
        alias: Its other name.
        other: What was given under that.

    Raises:
        UsageError: Something was given under both.
    """
    if value is not None and other is not None:
        raise UsageError(
            f"{name}={value} and {alias}={other} are the same option; leave one out",
            code="options_conflict",
            parameter=name,
        )
    return other if value is None else value


def name_recipe_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe options under the names of their fields.

    Args:
        options: By the fields' own names or by `RECIPE_ALIASES`.

    Raises:
        UsageError: One was given under both of its names.
    """
    named = {name: value for name, value in options.items() if name not in RECIPE_ALIASES}
    for alias, name in RECIPE_ALIASES.items():
        if alias in options:
            named[name] = choose_alias(name, named.get(name), alias, options[alias])
    return named
