"""Conversion between record fields with options and arguments of the command line."""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, get_origin

from distingo.datasets.options import Reading
from distingo.datasets.tables.table import TableOptions
from distingo.options.fields import OptionField, members, options_of
from distingo.options.training import GroupingSettings

ABOUT_FOLDERS = ("splits", "labels_from")
"""Fields of `TableOptions` that are shown in the group ``folders``."""

_SPECIAL = ("table", "group_column")

_SEVERAL_LABELS = ("positive_weights", "threshold_aim", "threshold_target")


_METAVARS: dict[Any, str] = {int: "N", float: "FLOAT"}


def add_options(
    parser: Any,
    record: Any,
    names: Iterable[str] = (),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    required: Iterable[str] = (),
) -> None:
    """Add the options of a record to a parser.

    Args:
        parser: The parser or argument group.
        record: A class with `Option` fields.
        names: The fields to add, in order; empty adds all.
        changes: Attributes of `Option` to override for this command, by field.
        required: Fields that are required on the command line.
    """
    fields = options_of(record)
    for name in names or fields:
        field = fields[name]
        if changes and name in changes:
            field = replace(field, option=replace(field.option, **changes[name]))
        add_option(parser, field, required=name in required)


def add_option(parser: Any, field: OptionField, *, required: bool = False) -> None:
    """Add one option to a parser or group; its default is None, so that the record's default is used."""
    help_text = field.option.help if required else field.help
    settings: dict[str, Any] = {"dest": field.name, "default": None, "help": help_text.replace("%", "%%")}
    if required:
        settings["required"] = True
    kinds = [kind for kind in members(field.type) if kind is not types.NoneType]
    if kinds == [bool]:
        settings |= _flag(field)
    else:
        settings["type"] = _reader(field, kinds)
        if field.choices:
            settings["choices"] = field.choices
        else:
            settings["metavar"] = field.option.metavar or _METAVARS[settings["type"]]
        if field.option.repeats:
            settings["action"] = "append"
        elif get_origin(field.stored_type) is tuple:
            settings["nargs"] = "+"
    parser.add_argument(field.flag, *field.option.flags, **settings)


def _flag(field: OptionField) -> dict[str, Any]:
    if types.NoneType in members(field.type):
        return {"action": argparse.BooleanOptionalAction}
    return {"action": "store_false" if field.value is True else "store_true"}


def _reader(field: OptionField, kinds: list[Any]) -> Callable[[str], Any]:
    """Return the function that converts an argument to the option's value."""
    parse = field.option.parse
    if parse is not None:
        return _refusing(parse)
    if field.choices:
        return type(field.choices[0])
    return next((kind for kind in kinds if kind in (int, float)), str)


def _refusing(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def values_of(options: argparse.Namespace, record: Any, names: Iterable[str] = ()) -> dict[str, Any]:
    """Collect the options of a record that were set on the command line, by field name."""
    fields = names or options_of(record)
    return {name: getattr(options, name) for name in fields if getattr(options, name, None) is not None}


def add_reading(parser: argparse.ArgumentParser, *, left_out: Iterable[str] = (), **changes: Mapping[str, Any]) -> None:
    """Add the options for finding and reading images and labels.

    Args:
        parser: The command's parser.
        left_out: Fields of `Reading` that the command does not have.
        **changes: As for `add_options`.
    """
    table = parser.add_argument_group("table of labels")
    about_table = [name for name in options_of(TableOptions) if name not in (*ABOUT_FOLDERS, *_SPECIAL)]
    add_options(table, TableOptions, about_table)
    add_options(table, Reading, ["allow_missing"])
    add_options(parser.add_argument_group("folders"), TableOptions, ABOUT_FOLDERS)
    group = parser.add_argument_group("reading images")
    skipped = {*left_out, *_SPECIAL, "allow_missing"}
    add_options(group, Reading, [name for name in options_of(Reading) if name not in skipped], changes)


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the options for finding labels, for commands that read few images."""
    about_table = [name for name in options_of(TableOptions) if name not in (*ABOUT_FOLDERS, *_SPECIAL)]
    add_options(parser.add_argument_group("table of labels"), TableOptions, about_table)
    add_options(parser.add_argument_group("folders"), TableOptions, ABOUT_FOLDERS)


def table_of(options: argparse.Namespace) -> TableOptions | None:
    """Collect the options about labels that were set on the command line; None if none were."""
    settings = values_of(options, TableOptions, [name for name in options_of(TableOptions) if name not in _SPECIAL])
    if "label_columns" in settings:
        settings["label_columns"] = tuple(settings["label_columns"])
    return TableOptions(**settings) if settings else None


def reading_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the options of `add_reading` that were set on the command line, by keyword."""
    settings = values_of(options, Reading, [name for name in options_of(Reading) if name not in _SPECIAL])
    table = table_of(options)
    return {**settings, **({} if table is None else {"table": table})}


def add_recipe(parser: argparse.ArgumentParser, *, left_out: Iterable[str] = ()) -> None:
    """Add the options of the recipe, except the model.

    Args:
        parser: The command's parser.
        left_out: Fields that the command does not have.
    """
    from distingo.options.training import IMAGE_SIZE
    from distingo.training.recipe import OF_BACKBONES, Recipe

    names = [name for name in options_of(Recipe) if name not in {"model", "height", "width", *left_out}]
    group = parser.add_argument_group("recipe")
    add_option(group, OptionField("image_size", IMAGE_SIZE, int | tuple[int, int], int, None))
    add_options(group, Recipe, [name for name in names if name not in (*OF_BACKBONES, *_SEVERAL_LABELS)])
    add_options(parser.add_argument_group("pretrained backbones"), Recipe, OF_BACKBONES)
    add_options(parser.add_argument_group("several labels per image"), Recipe, _SEVERAL_LABELS)


def recipe_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the options of `add_recipe` and the model that were set on the command line, by keyword."""
    from distingo.training.recipe import Recipe

    return values_of(options, Recipe, [*options_of(Recipe), "image_size"])


def grouping_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the grouping options that were set on the command line, by keyword."""
    settings = values_of(options, GroupingSettings)
    return {name: None if value == "none" else value for name, value in settings.items()}


def show_first(parser: argparse.ArgumentParser, *names: str) -> None:
    """Let ``--help`` show only these and the required options, and ``--help-all`` all of them.

    Args:
        parser: The command's parser, with all its options.
        names: The options to show, by their ``dest``.
    """
    shown = set(names)
    actions = [action for action in parser._actions if action.option_strings and action.dest != "help"]
    assert shown <= {action.dest for action in actions}, shown
    hidden = [action for action in actions if action.dest not in shown and not action.required]
    parser.add_argument("--help-all", action=_ShowAll, hidden=hidden, help=f"show all {len(actions)} options and exit")
    _hide(hidden)


def _hide(actions: Iterable[argparse.Action]) -> None:
    for action in actions:
        action.full_help = action.help  # type: ignore[attr-defined]
        action.help = argparse.SUPPRESS


class _ShowAll(argparse.Action):
    def __init__(self, *, hidden: list[argparse.Action], **settings: Any) -> None:
        super().__init__(**{**settings, "nargs": 0, "dest": argparse.SUPPRESS, "default": argparse.SUPPRESS})
        self.hidden = hidden

    def __call__(self, parser: argparse.ArgumentParser, *_ignored: Any) -> None:
        for action in self.hidden:
            action.help = action.full_help  # type: ignore[attr-defined]
        parser.print_help()
        parser.exit()
