"""Write a run's page and its model card again."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.options import add_language_option


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("report", help="write a run's report.html and its model card again")
    parser.set_defaults(command=run)
    parser.add_argument("run", metavar="RUN")
    add_language_option(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    print(f"Report: {distingo.write_report(options.run, language=options.language)}")
    return 0
