"""Put finished runs side by side on one page."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("compare", help="put finished runs side by side on one page")
    parser.set_defaults(command=run)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders judged on the same pictures")
    parser.add_argument(
        "--common",
        action="store_true",
        help="judge runs with other test pictures on those that all of them have in common",
    )
    parser.add_argument("-o", "--output", default="comparison", metavar="FOLDER", help="(default: comparison)")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    from pathlib import Path

    import distingo
    from distingo.evaluation.comparison import COMPARISON_PAGE

    terminal.print_comparison(distingo.compare(options.runs, options.output, common=options.common))
    print(f"\nPage: {Path(options.output) / COMPARISON_PAGE}")
    return 0
