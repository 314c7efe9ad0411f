"""Entry point of the ``distingo`` command: parses the arguments, runs a command and turns errors into exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from distingo.errors import (
    DistingoError,
    ResourceError,
    UsageError,
    escape_controls,
    naming_options,
    suggest_names,
)
from distingo.machine.memory import is_out_of_memory
from distingo.version import __version__


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        module: Module of this package with the function ``add_<command>``, which adds the options to a parser.
        help: The command's line in ``distingo --help``.
    """

    module: str
    help: str


COMMANDS = {
    "download": Command("data", "gather pictures: well-known sets, classes of large ones, addresses, videos"),
    "check": Command("curation", "find corrupt, duplicate, leaked and mislabeled pictures; moves nothing"),
    "review": Command("curation", "go through findings on a local page: keep, relabel, quarantine"),
    "clean": Command("curation", "move what was found wanting to a quarantine; --undo puts it back"),
    "split": Command("data", "decide who is on which split; copies, bursts and groups stay together"),
    "tune": Command("training", "search for a better recipe, by validation; the test split is left alone"),
    "train": Command("training", "train on a folder of pictures, evaluate once, write a report"),
    "crossval": Command("training", "evaluate a recipe on every picture, fold by fold; write a page"),
    "learning-curve": Command("training", "would more pictures help? scores by number of pictures"),
    "evaluate": Command("trained_models", "evaluate a run's model on its test split or on other pictures"),
    "compare": Command("trained_models", "put finished runs side by side on one page"),
    "predict": Command("trained_models", "name what pictures show"),
    "explain": Command("trained_models", "show what speaks for a class in a picture, and whether to believe it"),
    "export": Command("trained_models", "write a run's model as ONNX, OpenVINO or torch.export, and check it"),
    "serve": Command("trained_models", "answer requests for predictions over HTTP, with a page to try it"),
    "corrections": Command("trained_models", "make a data set of what people corrected on the served page"),
    "report": Command("trained_models", "write a run's report.html and its model card again"),
    "models": Command("training", "list the models that train knows"),
    "fetch-weights": Command("training", "get a pretrained backbone's weights ahead of time"),
    "inspect": Command("data", "account for every file; look at samples and at augmentation"),
    "demo": Command("training", "the main job on handwritten digits, nothing to download"),
}
"""Commands by name, in the order of ``distingo --help``."""


FORMER_FLAGS = {
    "--normalise": "--normalize",
    "--threshold-wanted": "--threshold-target",
    "--max-pictures": "--max-images",
    "--pictures-mirror": "--images-mirror",
}
"""Current flags by their names in version 0.1, which are accepted in this version only."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Arguments after ``distingo``; None takes those of the process.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for a usage error, 3 for unreadable images, 130 for Ctrl-C.
    """
    with naming_options():
        return _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    try:
        options = _parse(arguments)
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
    """Print one line for an I/O error, an invalid path or full memory; raise any other error."""
    if isinstance(error, BrokenPipeError):
        return _close_output()
    if is_out_of_memory(error):
        advice = "end other programs, or choose --device cpu, fewer --workers or a smaller --model"
        print(f"distingo: memory ran out; {advice}", file=sys.stderr)
        return ResourceError.exit_code
    if not isinstance(error, OSError):
        raise error
    print(f"distingo: {escape_controls(_describe_os_error(error))}", file=sys.stderr)
    return 1


def _close_output() -> int:
    """Redirect stdout after its reader has closed the pipe, as in `distingo models | head -1`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _describe_os_error(error: OSError) -> str:
    name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return f"{name}the disk is full; free some space and run the same command again"
    return f"{name}{reason[:1].lower()}{reason[1:]}; check the path and the disk, or choose another place"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    name = next((word for word in arguments if not word.startswith("-")), "")
    options, unknown = build_parser(name).parse_known_args(arguments)
    for former, current in FORMER_FLAGS.items():
        if any(word.partition("=")[0] == former for word in arguments):
            print(f"distingo: {former} is now {current}", file=sys.stderr)
    if unknown:
        flags = [word for action in options.parser._actions for word in action.option_strings]
        near = suggest_names(unknown[0], flags, limit=2, otherwise="")
        advice = f", {near}" if near else ""
        options.parser.error(f"unknown: {' '.join(unknown)}{advice}")
    return options


_NEGATIVE = re.compile(r"-(\d+|\d*\.\d+)(e[+-]?\d+)?(,\S*)?$", re.IGNORECASE)
"""An argument with a leading minus that is not an option: a number, or several as in ``--value-range -160,240``."""


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)
        self._negative_number_matcher = _NEGATIVE

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = suggest_names(str(value), [str(choice) for choice in action.choices])
            raise argparse.ArgumentError(action, f"{value!r} is not known; {near}")

    def error(self, message: str) -> Any:
        raise UsageError(f"{message} (`{self.prog} --help` lists what is allowed)", code="invalid_command")


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands.

    Args:
        only: The only command to add options for, which avoids importing the others; None adds those of all commands.
    """
    parser = _Parser(prog="distingo", description="From a folder of pictures to a trustworthy image classifier.")
    parser.add_argument("--version", action="version", version=f"distingo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    for name, command in COMMANDS.items():
        added = commands.add_parser(name, help=command.help)
        if only in (None, name):
            module = import_module(f"distingo.cli.{command.module}")
            getattr(module, f"add_{name.replace('-', '_')}")(added)
            added.set_defaults(parser=added)
    return parser
