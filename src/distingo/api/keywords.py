"""Groups of keywords that several functions take, and their conversion to records."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distingo.datasets.options import Reading, ReadingOptions
from distingo.datasets.tables.table import TableOptions
from distingo.errors import UsageError, option
from distingo.language import LANGUAGES, VARIABLE, Language
from distingo.options.fields import name_recipe_fields, require_keywords, warn_of_former_names
from distingo.options.training import GroupingOptions, GroupingSettings
from distingo.training.recipe import RecipeOptions

if TYPE_CHECKING:
    from distingo.runs.history import EpochRecord


class SplitOptions(GroupingOptions, ReadingOptions, total=False):
    """Which images belong together, and how images and labels are found and read."""


class TrainingOptions(RecipeOptions, ReadingOptions, total=False):
    """The recipe, and how images and labels are found and read."""


class CrossvalOptions(RecipeOptions, GroupingOptions, ReadingOptions, total=False):
    """The recipe, which images belong together, and how images and labels are found and read."""


class SeveralOptions(TrainingOptions, total=False):
    """All keywords of `train` except `data`, `output` and `resume`."""

    config: str | Path | None
    split: str | Path | None
    fold: int | None
    near_duplicates: float | Literal["none"] | None
    recipe_file: str | Path | None
    track: str | None
    track_to: str | Path | None
    on_epoch: Callable[[EpochRecord], None] | None
    language: str | None


def split_options(options: SplitOptions) -> tuple[GroupingSettings, Reading]:
    """Convert the keywords of `split` to records.

    Raises:
        UsageError: A value is not allowed.
        TypeError: A keyword is unknown.
    """
    require_keywords(options, SplitOptions.__annotations__, "split")
    grouping = GroupingSettings(**_pick(options, GroupingOptions))
    return grouping, _grouped(Reading.of(**_pick(options, ReadingOptions)), grouping)


def training_options(options: TrainingOptions) -> tuple[dict[str, Any], Reading]:
    """Separate recipe fields, renamed from their aliases, from the options for reading images.

    Unknown keywords stay among the recipe fields, which are validated later, when the model is known.

    Raises:
        UsageError: A value is not allowed, or an option was passed under two names.
    """
    warn_of_former_names(options)
    recipe = {name: value for name, value in options.items() if name not in ReadingOptions.__annotations__}
    return name_recipe_fields(recipe), Reading.of(**_pick(options, ReadingOptions))


def crossval_options(options: CrossvalOptions) -> tuple[dict[str, Any], GroupingSettings, Reading]:
    """Separate recipe fields, renamed from their aliases, from the options for grouping and for reading images.

    Raises:
        UsageError: A value is not allowed, or an option was passed under two names.
    """
    others = {name: value for name, value in options.items() if name not in GroupingOptions.__annotations__}
    recipe, reading = training_options(others)  # type: ignore[arg-type]  # mypy infers object for all values
    grouping = GroupingSettings(**_pick(options, GroupingOptions))
    return recipe, grouping, _grouped(reading, grouping)


def of_machine(options: TrainingOptions) -> ReadingOptions:
    """Return the options for reading images that depend on this machine, not on the data."""
    return {name: options[name] for name in ("workers", "max_pixels", "cache") if name in options}  # type: ignore[return-value]


def _pick(options: Mapping[str, Any], group: type) -> Any:
    """Select the keywords of one group."""
    return {name: options[name] for name in group.__annotations__ if name in options}


def _grouped(reading: Reading, grouping: GroupingSettings) -> Reading:
    """Add the group column to the options for reading images."""
    if grouping.group_column is None:
        return reading
    return replace(reading, table=replace(reading.table or TableOptions(), group_column=grouping.group_column))


def resolve_language(requested: str | None) -> Language:
    """Choose the language: the requested one, else that of the environment, else English.

    Args:
        requested: ``en``, ``es`` or ``zh``; None uses the environment variable ``DISTINGO_LANGUAGE``.

    Raises:
        UsageError: There is no such language.
    """
    name = requested if requested is not None else os.environ.get(VARIABLE) or "en"
    for language in LANGUAGES:
        if name == language:
            return language
    source = option("language") if requested is not None else VARIABLE
    raise UsageError(
        f"{source} {name}: is no language of the pages; choose {', '.join(LANGUAGES)}",
        code="unknown_name",
        parameter="language",
    )
