"""The ``distingo`` command: words to one of the commands; errors become exit codes in one place."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from distingo.commands import (
    check,
    clean,
    compare,
    corrections,
    crossval,
    demo,
    download,
    evaluate,
    explain,
    export,
    fetch_weights,
    inspect,
    learning_curve,
    models,
    predict,
    report,
    review,
    serve,
    split,
    train,
    tune,
)
from distingo.errors import DistingoError, ResourceError, UsageError, name_the_nearest
from distingo.out_of_memory import is_out_of_memory
from distingo.version import __version__

COMMANDS = (
    download,
    check,
    review,
    clean,
    split,
    tune,
    train,
    crossval,
    learning_curve,
    evaluate,
    compare,
    predict,
    explain,
    export,
    serve,
    corrections,
    report,
    models,
    fetch_weights,
    inspect,
    demo,
)
"""In the order in which ``distingo --help`` lists them."""

_ADVICE_ON_MEMORY = "memory ran out; end other programs, or choose --device cpu, fewer --workers or a smaller --model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after ``distingo``; None takes the process's own.

    Returns:
        The exit code: 0; 1 for a hindrance, 2 for a wrong call, 3 for unreadable pictures, 130 for Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parse(words)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except DistingoError as error:
        print(f"distingo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("distingo: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as in `distingo models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"distingo: {_ADVICE_ON_MEMORY}", file=sys.stderr)
        return ResourceError.exit_code


def _parse(words: Sequence[str]) -> argparse.Namespace:
    options, unknown = _parser().parse_known_args(words)
    if unknown:
        known = [word for action in options.parser._actions for word in action.option_strings]
        near = name_the_nearest(unknown[0], known, limit=2)
        advice = f", {near}" if near.startswith("did you mean") else ""
        options.parser.error(f"unknown: {' '.join(unknown)}{advice}")
    return options


_NEGATIVE = re.compile(r"-(\d+|\d*\.\d+)(e[+-]?\d+)?(,\S*)?$", re.IGNORECASE)
"""A word with a minus that is no option: a number, or several as in ``--value-range -160,240``."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)
        self._negative_number_matcher = _NEGATIVE

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = name_the_nearest(str(value), [str(choice) for choice in action.choices])
            raise argparse.ArgumentError(action, f"{value!r} is not known; {near}")

    def error(self, message: str) -> Any:
        raise UsageError(f"{message} (`{self.prog} --help` lists what is allowed)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="distingo", description="From a folder of pictures to a trustworthy image classifier.")
    parser.add_argument("--version", action="version", version=f"distingo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    for room in COMMANDS:
        room.add(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser
