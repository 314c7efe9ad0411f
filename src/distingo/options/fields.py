"""Declaration of options as annotated fields, checks of values that callers pass, and other names of options.

A field gives the option's name, type and default; an `Option` in its annotation gives the rest::

    epochs: Annotated[int, Option(help="passes over the training split", low=1, high=100_000)] = 10

Aliases are the names that other libraries use for an option.
"""

from __future__ import annotations

import os
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from distingo.errors import UsageError, option, quote, suggest_names


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """Description of an option, beyond the name, type and default of its field.

    Attributes:
        help: What the option does, in a phrase.
        low: The smallest number allowed.
        high: The largest number allowed; None for no limit.
        between: The range in words, if it is checked elsewhere.
        default: The default in words, if it is not the field's own value, for example ``chosen from the data``.
        metavar: Name of the value in the help text, for example ``FILE``.
        flag: Name on the command line, if it is not derived from the field's name.
        flags: Further names on the command line.
        accepts: Type of the value that callers pass, if the record stores another type.
        parse: Converts the text from the command line, if the type is not sufficient for that.
        repeats: Whether the flag is repeated on the command line for several values, instead of taking them at once.
        alias: Another keyword in Python, used by other libraries.
    """

    help: str
    low: float | None = None
    high: float | None = None
    between: str = ""
    default: str = ""
    metavar: str | None = None
    flag: str = ""
    flags: tuple[str, ...] = ()
    accepts: Any = None
    parse: Callable[[str], Any] | None = None
    repeats: bool = False
    alias: str = ""

    @property
    def range(self) -> str:
        """The range in words; empty if there is none."""
        if self.between or self.low is None:
            return self.between
        return f"{_plain(self.low)} or more" if self.high is None else f"{_plain(self.low)} to {_plain(self.high)}"


@dataclass(frozen=True, slots=True)
class OptionField:
    """An option and its field.

    Attributes:
        name: Name of the field, which is also the keyword in Python.
        option: The option declared in the annotation.
        type: Type of the value that callers pass.
        stored_type: Type of the value that the record stores.
        value: The field's default; None if it has none.
    """

    name: str
    option: Option
    type: Any
    stored_type: Any
    value: Any

    @property
    def flag(self) -> str:
        """Name on the command line, with its hyphens."""
        return self.option.flag or flag_of(self.name)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The members of a `Literal` type, without None; empty for other types."""
        kinds = [kind for kind in members(self.stored_type) if kind is not types.NoneType]
        return get_args(kinds[0]) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else ()

    @property
    def default(self) -> str:
        """The default for the help text; empty if unknown."""
        if self.option.default or self.value in (None, ()):
            return self.option.default
        return (
            f"{self.value:,}" if isinstance(self.value, int) and not isinstance(self.value, bool) else f"{self.value}"
        )

    @property
    def help(self) -> str:
        """The help text with range and default; flags have no default in it."""
        if self.type is bool:
            return self.option.help
        prefix = f"{self.option.range}; default: " if self.option.range else "default: "
        return f"{self.option.help} ({prefix}{self.default})"


@cache
def options_of(record: Any) -> Mapping[str, OptionField]:
    """Return the fields of a record class that are annotated with an `Option`, by name."""
    hints = get_type_hints(record, include_extras=True)
    by_name = {}
    for field in fields(record):
        declared = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, Option)]
        if get_origin(hints[field.name]) is Annotated and declared:
            stored_type = get_args(hints[field.name])[0]
            value = None if field.default is MISSING else field.default
            by_name[field.name] = OptionField(
                field.name, declared[0], declared[0].accepts or stored_type, stored_type, value
            )
    return by_name


def members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union type, or a tuple of the type itself."""
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def check_options(record: Any) -> None:
    """Check the types, choices and ranges of a record's values.

    Raises:
        UsageError: A value is not allowed; the message names the first such option.
    """
    kind: Any = type(record)
    for name, field in options_of(kind).items():
        check_option(field, getattr(record, name))


def check_option(field: OptionField, value: Any) -> None:
    """Check the type, choices and range of one value.

    Raises:
        UsageError: The value is not allowed.
    """
    name = option(field.name)
    if field.choices and value is not None:
        if value not in field.choices:
            allowed = ", ".join(map(str, field.choices))
            raise UsageError(
                f"{name} is {quote(value)}; choose one of {allowed}", code="unknown_name", parameter=field.name
            )
        return
    if not _is_a(value, field.stored_type):
        raise UsageError(
            f"{name} is {quote(value)}; it must be {_in_words(field.stored_type)}",
            code="invalid_type",
            parameter=field.name,
        )
    low, high = field.option.low, field.option.high
    if low is None or isinstance(value, str | None):
        return
    if not low <= value <= (value if high is None else high):
        between = f"lie between {_plain(low)} and {_plain(high)}" if high is not None else f"be {_plain(low)} or more"
        raise UsageError(f"{name} is {value}; it must {between}", code="out_of_range", parameter=field.name)


def flag_of(name: str) -> str:
    """Derive the name on the command line from a field's name."""
    return f"--{name.replace('_', '-')}"


def require_keywords(passed: Mapping[str, Any], allowed: Mapping[str, Any], call: str) -> None:
    """Check that a call has all keywords that were passed to it.

    Raises:
        TypeError: A keyword is unknown; the message suggests similar ones.
    """
    for name in passed:
        if name not in allowed:
            raise TypeError(f"{call}() has no keyword {name!r}; {suggest_names(name, list(allowed))}")


def _is_a(value: object, hint: Any) -> bool:
    return any(_is_one(value, kind) for kind in members(hint))


def _is_one(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is Any or isinstance(value, bool):
        return kind in (bool, Any)
    if isinstance(value, int) and kind is float:
        return True
    return isinstance(value, get_origin(kind) or kind)


def _in_words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "nothing"}
    return " or ".join(_each_in_words(members(hint), names))


def _each_in_words(kinds: tuple[Any, ...], names: Mapping[Any, str]) -> Iterator[str]:
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield from map(str, get_args(kind))
        else:
            yield names.get(kind, getattr(kind, "__name__", str(kind)))


def _plain(limit: float) -> str:
    return f"{limit:,.0f}" if limit >= 1000 else f"{limit:g}"


Value = TypeVar("Value")

RECIPE_ALIASES = {"learning_rate": "lr", "normalise": "normalize", "threshold_wanted": "threshold_target"}
"""Alias of a recipe field, or its name in version 0.1: its own name, which files and records use."""


FORMER_NAMES = {
    "normalise": "normalize",
    "threshold_wanted": "threshold_target",
    "max_pictures": "max_images",
    "pictures_mirror": "images_mirror",
    "neighbours": "neighbors",
}
"""Current names of options by their names in version 0.1, which are accepted in this version only."""


def warn_of_former_names(options: Iterable[str]) -> None:
    """Warn a Python caller of options that have a new name."""
    for name in options:
        if name in FORMER_NAMES:
            warnings.warn(f"{name} is now {FORMER_NAMES[name]}", DeprecationWarning, stacklevel=4)


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


def as_paths(value: object, argument: str, *, instead: str = "") -> tuple[str | Path, ...]:
    """Normalize an argument that takes one path or several to a tuple.

    Args:
        value: The value passed for `argument`; a single string is one path.
        argument: The argument's name, for the error message.
        instead: End of the error message, for example which call takes other types.

    Raises:
        UsageError: The value, or one of its members, is not a path.
    """
    if isinstance(value, str | os.PathLike):
        return (Path(value) if not isinstance(value, str) else value,)
    several = isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview)
    members = tuple(value) if isinstance(value, Iterable) and several else (value,)
    for member in members:
        if not isinstance(member, str | os.PathLike):
            raise UsageError(
                f"{argument}: {type(member).__name__} is no path; give a path or a list of paths{instead}",
                code="invalid_type",
                parameter=argument,
            )
    return tuple(member if isinstance(member, str) else Path(member) for member in members)


def as_names(value: object, argument: str) -> tuple[str, ...]:
    """Normalize an argument that takes one name or several to a tuple.

    Args:
        value: The value passed for `argument`.
        argument: The argument's name, for the error message.

    Raises:
        UsageError: The value, or one of its members, is not a string.
    """
    members = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    for member in members:
        if not isinstance(member, str):
            raise UsageError(
                f"{argument}: {type(member).__name__} is no name; give a name or a list of names",
                code="invalid_type",
                parameter=argument,
            )
    return tuple(str(member) for member in members)
