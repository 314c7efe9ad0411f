"""Get a pretrained backbone's weights ahead of time."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("fetch-weights", help="get a pretrained backbone's weights ahead of time")
    parser.set_defaults(command=run)
    parser.add_argument("name", metavar="NAME", help="fast, good, best, or a name from `distingo models --pretrained`")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    print(distingo.fetch_weights(options.name))
    return 0
