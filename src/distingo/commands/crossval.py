"""Cross-validate a recipe: every picture judged once by a model that never saw it."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare
from distingo.options import add_belonging_options, add_training_options, belonging_settings, training_settings


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("crossval", help="judge a recipe on every picture, fold by fold; write a page")
    parser.set_defaults(command=run)
    parser.add_argument("data", nargs="?", metavar="DATA", help="laid out as for train")
    parser.add_argument("-o", "--output", default="crossval", metavar="FOLDER", help="to make (default: crossval)")
    parser.add_argument("--model", help="as for train (default: chosen, and said why)")
    parser.add_argument("--folds", type=int, metavar="K", help="(default: 5)")
    parser.add_argument("--repeats", type=int, default=1, metavar="R", help="divisions into folds (default: 1)")
    parser.add_argument("--split", metavar="FILE", help="the folds, as `distingo split --folds` wrote them")
    parser.add_argument("--resplit", action="store_true", help="divide anew where the data has sides of its own")
    parser.add_argument("--resume", action="store_true", help="go on in FOLDER; finished folds are kept")
    add_belonging_options(parser)
    add_training_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    found = distingo.crossval(
        options.data,
        options.output,
        folds=options.folds,
        repeats=options.repeats,
        split=options.split,
        resplit=options.resplit,
        resume=options.resume,
        on_epoch=terminal.print_epoch,
        **belonging_settings(options),
        **training_settings(options),
    )
    terminal.print_cross_validation(found)
    print(f"\nPage: {options.output}/crossval.html")
    return 0
