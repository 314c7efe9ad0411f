"""Write a run's page again."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("report", help="write a run's report.html again")
    parser.set_defaults(command=run)
    parser.add_argument("run", metavar="RUN")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    print(f"Report: {distingo.write_report(options.run)}")
    return 0
