"""Gather pictures: well-known sets, lists of addresses and other sources."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.downloading import imagenet, open_images, sets, urls, video

SOURCES = (sets, open_images, imagenet, urls, video)
"""In the order in which ``distingo download --help`` lists them. Each offers one or more words after ``download``."""


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser(
        "download", help="gather pictures: well-known sets, classes of large ones, addresses, videos"
    )
    parser.set_defaults(command=run)
    parser.add_argument("--list", action="store_true", help="list the well-known sets: size, licence, address")
    sources = parser.add_subparsers(title="sources", metavar="SOURCE", parser_class=type(parser))
    for source in SOURCES:
        source.add(sources)
    for each in sources.choices.values():
        each.set_defaults(parser=each)


def run(options: argparse.Namespace) -> int:
    """Without a source: list the sets."""
    if not options.list:
        options.parser.error("name a SOURCE, or ask for --list")
    import distingo
    from distingo.terminal import describe_set

    for each in distingo.list_sets():
        print(describe_set(each))
    return 0
