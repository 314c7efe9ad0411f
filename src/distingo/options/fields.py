"""What is known of an option: its field's name, type and default, and an `Option` in the field's annotation.

epochs: Annotated[int, Option(help="passes over the training split", low=1, high=100_000)] = 10
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from distingo.errors import UsageError, name_the_nearest, option, quote


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """What a field's name, type and default don't tell.

    Attributes:
        help: What the option does, in a phrase.
        low: The smallest number allowed.
        high: The largest number allowed; None: any.
        between: The range in words, where something else than this record checks it.
        default: The default in words, where the field's own value does not tell it: ``chosen from the data``.
        metavar: What its value is called in help, for example ``FILE``.
        flag: The name on the command line, where it is not the field's.
        flags: Further names there.
        given: The type that callers give, where the record holds something made of it.
        parse: Reads the value from the command line, where its type alone does not tell how.
        repeats: Whether it may be given several times on the command line, instead of several values at once.
        alias: Another keyword for it in Python, as other libraries name it.
    """

    help: str
    low: float | None = None
    high: float | None = None
    between: str = ""
    default: str = ""
    metavar: str | None = None
    flag: str = ""
    flags: tuple[str, ...] = ()
    given: Any = None
    parse: Callable[[str], Any] | None = None
    repeats: bool = False
    alias: str = ""

    @property
    def range(self) -> str:
        """The range in words; empty where there is none."""
        if self.between or self.low is None:
            return self.between
        return f"{_plain(self.low)} or more" if self.high is None else f"{_plain(self.low)} to {_plain(self.high)}"


@dataclass(frozen=True, slots=True)
class OptionField:
    """An option with the field that it is.

    Attributes:
        name: Of the field, and the keyword in Python.
        option: What is declared of it.
        type: Of the values that callers give.
        held: Of the value in the record.
        value: The field's default; None where it has none.
    """

    name: str
    option: Option
    type: Any
    held: Any
    value: Any

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return self.option.flag or flag_of(self.name)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values allowed, where nothing else is; None, which stands for the default, is left out."""
        kinds = [kind for kind in members(self.held) if kind is not types.NoneType]
        return get_args(kinds[0]) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else ()

    @property
    def default(self) -> str:
        """The default in words."""
        if self.option.default or self.value in (None, ()):
            return self.option.default
        return (
            f"{self.value:,}" if isinstance(self.value, int) and not isinstance(self.value, bool) else f"{self.value}"
        )

    @property
    def help(self) -> str:
        """What it does, its range and its default."""
        if self.type is bool:
            return self.option.help
        told = f"{self.option.range}; default: " if self.option.range else "default: "
        return f"{self.option.help} ({told}{self.default})"


@cache
def options_of(record: Any) -> Mapping[str, OptionField]:
    """The options among a record's fields, by name."""
    hints = get_type_hints(record, include_extras=True)
    found = {}
    for field in fields(record):
        declared = [each for each in getattr(hints[field.name], "__metadata__", ()) if isinstance(each, Option)]
        if get_origin(hints[field.name]) is Annotated and declared:
            held = get_args(hints[field.name])[0]
            value = None if field.default is MISSING else field.default
            found[field.name] = OptionField(field.name, declared[0], declared[0].given or held, held, value)
    return found


def members(hint: Any) -> tuple[Any, ...]:
    """The types that a union is of; another type alone."""
    return get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)


def check_options(record: Any) -> None:
    """Refuse values of another type, choice or range than the record's options allow.

    Raises:
        UsageError: The first that is none; names the option.
    """
    kind: Any = type(record)
    for name, field in options_of(kind).items():
        check_option(field, getattr(record, name))


def check_option(field: OptionField, value: Any) -> None:
    """Refuse a value of another type, choice or range than the option allows.

    Raises:
        UsageError: It is none.
    """
    named = option(field.name)
    if field.choices and value is not None:
        if value not in field.choices:
            allowed = ", ".join(map(str, field.choices))
            raise UsageError(
                f"{named} is {quote(value)}; choose one of {allowed}", code="unknown_name", parameter=field.name
            )
        return
    if not _is_a(value, field.held):
        raise UsageError(
            f"{named} is {quote(value)}; it must be {_in_words(field.held)}", code="invalid_type", parameter=field.name
        )
    low, high = field.option.low, field.option.high
    if low is None or isinstance(value, str | None):
        return
    if not low <= value <= (value if high is None else high):
        between = f"lie between {_plain(low)} and {_plain(high)}" if high is not None else f"be {_plain(low)} or more"
        raise UsageError(f"{named} is {value}; it must {between}", code="out_of_range", parameter=field.name)


def flag_of(name: str) -> str:
    """A field as an option of the command line."""
    return f"--{name.replace('_', '-')}"


def require_known(given: Mapping[str, Any], known: Mapping[str, Any], call: str) -> None:
    """Refuse keywords that a call does not have.

    Raises:
        TypeError: There is one, with the nearest known ones.
    """
    for name in given:
        if name not in known:
            raise TypeError(f"{call}() has no keyword {name!r}; {name_the_nearest(name, list(known))}")


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
