"""The ``distingo`` command: words to one of the commands; errors become exit codes in one place."""

from __future__ import annotations

import argparse
import errno
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
from distingo.errors import (
    DistingoError,
    ResourceError,
    UsageError,
    escape_controls,
    name_the_nearest,
    naming_options,
)
from distingo.machine.memory import is_out_of_memory
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after ``distingo``; None takes the process's own.

    Returns:
        The exit code: 0; 1 for a hindrance, 2 for a wrong call, 3 for unreadable pictures, 130 for Ctrl-C.
    """
    with naming_options():
        return _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(words: list[str]) -> int:
    try:
        options = _parse(words)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except DistingoError as error:
        print(f"distingo: {escape_controls(str(error))}", file=sys.stderr)
        return error.exit_code
    except (OSError, MemoryError, RuntimeError) as error:
        return _end_with(error)
    except KeyboardInterrupt:
        print("distingo: stopped", file=sys.stderr)
        return 130


def _end_with(error: OSError | MemoryError | RuntimeError) -> int:
    """One line for a disk that fails, a path that can't be and full memory; anything else is raised."""
    if isinstance(error, BrokenPipeError):
        return _close_output()
    if is_out_of_memory(error):
        advice = "end other programs, or choose --device cpu, fewer --workers or a smaller --model"
        print(f"distingo: memory ran out; {advice}", file=sys.stderr)
        return ResourceError.exit_code
    if not isinstance(error, OSError):
        raise error
    print(f"distingo: {escape_controls(_say_failure(error))}", file=sys.stderr)
    return 1


def _close_output() -> int:
    """The reader of our output went away, as in `distingo models | head -1`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _say_failure(error: OSError) -> str:
    name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return f"{name}the disk is full; free some space and run the same command again"
    return f"{name}{reason[:1].lower()}{reason[1:]}; check the path and the disk, or choose another place"


def _parse(words: Sequence[str]) -> argparse.Namespace:
    options, unknown = _parser().parse_known_args(words)
    if unknown:
        known = [word for action in options.parser._actions for word in action.option_strings]
        near = name_the_nearest(unknown[0], known, limit=2, otherwise="")
        advice = f", {near}" if near else ""
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
        raise UsageError(f"{message} (`{self.prog} --help` lists what is allowed)", code="invalid_command")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="distingo", description="From a folder of pictures to a trustworthy image classifier.")
    parser.add_argument("--version", action="version", version=f"distingo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    for room in COMMANDS:
        room.add(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser
