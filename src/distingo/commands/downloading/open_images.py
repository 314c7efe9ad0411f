"""Pictures of Open Images by class."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.downloading.fetch_options import add_fetch_options, fetch_settings, positive, print_gathered

SPLITS = ("train", "validation", "test")


def add(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("open-images", help="pictures of Open Images V7 by class")
    parser.set_defaults(command=run)
    parser.add_argument(
        "--class", dest="classes", metavar="NAME", action="append", required=True, help="a class; may be repeated"
    )
    parser.add_argument(
        "--split", dest="splits", action="append", choices=SPLITS, help="a side; may be repeated (default: train)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="pictures for each class, at most")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--labels", action="store_true", help="pictures that people say show the class (the default)")
    kind.add_argument("--boxes", action="store_true", help="pictures with a box of the class; writes boxes.csv too")
    parser.add_argument(
        "--min-size", type=positive, default=0, metavar="PIXELS", help="shortest side of a picture, or of a box"
    )
    parser.add_argument("--single", action="store_true", help="leave out pictures that have several of the classes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice under --limit")
    parser.add_argument("--tables-mirror", metavar="URL", help="read the tables from below this address instead")
    parser.add_argument("--pictures-mirror", metavar="URL", help="fetch the pictures from below this address instead")
    add_fetch_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.open_images_tables import LICENCE, OpenImagesAddresses

    print(LICENCE)
    given = {"tables": options.tables_mirror, "pictures": options.pictures_mirror}
    addresses = OpenImagesAddresses(**{name: address.rstrip("/") for name, address in given.items() if address})
    gathered = distingo.download_open_images(
        options.classes,
        options.output,
        splits=tuple(dict.fromkeys(options.splits or ("train",))),
        limit=options.limit,
        boxes=options.boxes,
        min_size=options.min_size,
        single=options.single,
        seed=options.seed,
        addresses=addresses,
        **fetch_settings(options),
    )
    return print_gathered(gathered, options)
