"""Divide pictures into sides or folds without breaking up what belongs together."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare
from distingo.options import (
    add_belonging_options,
    add_corrections_option,
    add_machine_options,
    add_table_options,
    add_value_range_option,
    belonging_settings,
    machine_settings,
    table_settings,
)


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("split", help="decide who is on which side; copies, bursts and groups stay together")
    parser.set_defaults(command=run)
    parser.add_argument("data", metavar="DATA", help="laid out as for train")
    parser.add_argument("-o", "--output", default="split.csv", metavar="FILE", help="(default: split.csv)")
    parser.add_argument("--validation", "--val", type=float, metavar="SHARE", help="(default: 0.15)")
    parser.add_argument("--test", type=float, metavar="SHARE", help="(default: 0.2)")
    parser.add_argument("--folds", type=int, metavar="K", help="folds of the same size instead of sides")
    parser.add_argument("--seed", type=int, help="(default: 0)")
    parser.add_argument("--resplit", action="store_true", help="divide anew where the data has sides of its own")
    add_belonging_options(parser)
    add_corrections_option(parser)
    add_table_options(parser)
    add_value_range_option(parser)
    add_machine_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare(networks=False)
    import distingo
    from distingo.errors import UsageError

    if options.folds is not None and (options.validation, options.test) != (None, None):
        raise UsageError(
            "--folds gives every picture its turn as test; leave --validation and --test out",
            code="options_conflict",
            parameter="folds",
        )
    names = ("validation", "test", "folds", "seed")
    wishes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = {"corrections": options.corrections, "value_range": options.value_range, **belonging_settings(options)}
    settings |= {**table_settings(options), **machine_settings(options)}
    division = distingo.split(options.data, options.output, resplit=options.resplit, **wishes, **settings)
    terminal.print_division(division)
    print(f"\nSplit: {options.output}")
    return 0
