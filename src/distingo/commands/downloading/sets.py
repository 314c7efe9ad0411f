"""Well-known sets from their official places."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.downloading.fetch_options import add_fetch_options, fetch_settings, print_gathered


def add(sources: Any) -> None:
    """Offer every set as a source."""
    from distingo.download.sets import SETS

    for each in SETS.values():
        parser = sources.add_parser(each.name, help=each.title)
        parser.set_defaults(command=run, set=each.name)
        parser.add_argument("--raw", action="store_true", help="leave the files as they are published")
        parser.add_argument("--mirror", metavar="URL", help=f"fetch from here instead of {each.address}")
        add_fetch_options(parser, whole=True)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.terminal import describe_licence

    for each in distingo.list_sets():
        if each.name == options.set:
            print(describe_licence(each))
    gathered = distingo.download_set(
        options.set, options.output, raw=options.raw, mirror=options.mirror, **fetch_settings(options)
    )
    return print_gathered(gathered, options)
