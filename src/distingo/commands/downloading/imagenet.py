"""Pictures of ImageNet by synset."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.downloading.fetch_options import add_fetch_options, fetch_settings, print_gathered


def add(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("imagenet", help="pictures of ImageNet by synset; for non-commercial research only")
    parser.set_defaults(command=run)
    parser.add_argument(
        "--class",
        dest="classes",
        metavar="NAME",
        action="append",
        required=True,
        help="a synset: any of its names, or its WordNet id (n04118538); may be repeated",
    )
    parser.add_argument("--mirror", metavar="URL", help="fetch the archives from below this address instead")
    add_fetch_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.imagenet import TERMS, find_synsets

    find_synsets(options.classes)  # a mistyped name is told before the terms
    print(TERMS)
    gathered = distingo.download_imagenet(
        options.classes, options.output, mirror=options.mirror, **fetch_settings(options)
    )
    return print_gathered(gathered, options)
