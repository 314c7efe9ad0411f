"""Would more pictures help? Measure the learning curve and carry it on."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare
from distingo.options import add_belonging_options, add_training_options, belonging_settings, training_settings


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("learning-curve", help="would more pictures help? scores by number of pictures")
    parser.set_defaults(command=run)
    parser.add_argument("data", metavar="DATA|RUN", help="laid out as for train, or a run: its data and recipe")
    parser.add_argument(
        "-o", "--output", default="learning-curve", metavar="FOLDER", help="to make (default: learning-curve)"
    )
    parser.add_argument("--model", help="a frozen backbone or descriptors (default: chosen, and said why)")
    parser.add_argument("--sizes", type=int, default=8, metavar="N", help="training sizes at most (default: 8)")
    parser.add_argument("--draws", type=int, default=5, metavar="N", help="draws of pictures per size (default: 5)")
    add_belonging_options(parser)
    add_training_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    found = distingo.learning_curve(
        options.data,
        options.output,
        sizes=options.sizes,
        draws=options.draws,
        **belonging_settings(options),
        **training_settings(options),
    )
    terminal.print_learning_curve(found)
    print(f"\nPage: {options.output}/learning-curve.html")
    return 0
