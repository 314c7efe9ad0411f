"""The main job on data that distingo carries."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("demo", help="the main job on handwritten digits, nothing to download")
    parser.set_defaults(command=run)
    parser.add_argument("-o", "--output", default="demo", metavar="FOLDER", help="new folder (default: demo)")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    finished = distingo.demo(options.output, on_epoch=terminal.print_epoch)
    terminal.print_evaluation(finished.evaluation, finished.path)
    print(f"\nReport: {finished.report}")
    return 0
