"""The command that downloads images, source by source."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from distingo.errors import DataError

if TYPE_CHECKING:
    from distingo.download.folder import Gathered


EXIT_UNFINISHED = 3
"""Some files could not be fetched, and may be when the command is run again; the others are there."""


def add_fetch_options(parser: argparse.ArgumentParser, *, whole: bool = False) -> None:
    """Offer where to, how politely, and what else concerns fetching.

    Args:
        parser: Of a source.
        whole: Whether the source is whole or nothing, so that there is no choice to leave what was refused.
    """
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="new, or begun by the same command")
    group = parser.add_argument_group("fetching")
    group.add_argument("--connections", type=positive, metavar="N", help="at once, in all (default 32)")
    group.add_argument("--per-host", type=positive, metavar="N", help="at once, to one host (default 4)")
    group.add_argument("--attempts", type=positive, metavar="N", help="at each file (default 5)")
    group.add_argument("--max-bytes", type=positive, metavar="N", help="larger files are refused")
    if not whole:
        group.add_argument(
            "--try-refused", action="store_true", help="ask again for what was absent, refused, or removed since"
        )
    group.add_argument(
        "--allow-private-addresses", action="store_true", help="fetch from this machine or its network; redirects never"
    )


def fetch_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about fetching, by the calls' names."""
    from distingo.download.records import Limits

    given = {
        "connections": options.connections,
        "per_host": options.per_host,
        "attempts": options.attempts,
        "largest": options.max_bytes,
    }
    said = {name: value for name, value in given.items() if value is not None}
    settings = {
        "limits": Limits(**said) if said else None,
        "allow_private_addresses": options.allow_private_addresses,
    }
    return settings | ({"try_refused": options.try_refused} if "try_refused" in options else {})


def print_gathered(gathered: Gathered, options: argparse.Namespace) -> int:
    """Say what came, what did not and where that is written; returns the exit code.

    Raises:
        DataError: Nothing came, and the same command would not change that.
    """
    counts = gathered.counts
    print(f"{gathered.folder}: {counts['fetched']:,} files, {gathered.size / 1e6:,.1f} MB")
    if there := gathered.there_already:
        print(f"  {gathered.fetched_now:,} fetched now, {there:,} were there already")
    for note in gathered.notes:
        print(f"  {note}")
    for reason, count in gathered.reasons(most=8):
        print(f"  {count:>7,} not fetched: {reason}")
    if gathered.has_gaps:
        print(f"  each with its reason in {gathered.manifest}")
    if counts["failed"]:
        print(f"distingo: {counts['failed']:,} files failed; run the same command again for them", file=sys.stderr)
        return EXIT_UNFINISHED
    if not counts["fetched"]:
        raise DataError(_describe_nothing(gathered, options), code="download_failed")
    return 0


def _describe_nothing(gathered: Gathered, options: argparse.Namespace) -> str:
    count = len(gathered.outcomes)
    private = any("private address" in reason for reason, _ in gathered.reasons(most=count))
    helps = f"{gathered.manifest} says why for each"
    if private and not options.allow_private_addresses:
        helps = "where private addresses are meant, run it again with --allow-private-addresses --try-refused"
    return f"{gathered.folder}: nothing came of {count:,} {'file' if count == 1 else 'files'}; {helps}"


def positive(text: str) -> int:
    """Read a number of 1 or more from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def add_sets(sources: Any) -> None:
    """Offer every set as a source."""
    from distingo.download.sets import SETS

    for each in SETS.values():
        parser = sources.add_parser(each.name, help=each.title)
        parser.set_defaults(command=run_sets, set=each.name)
        parser.add_argument("--raw", action="store_true", help="leave the files as they are published")
        parser.add_argument("--mirror", metavar="URL", help=f"fetch from here instead of {each.address}")
        add_fetch_options(parser, whole=True)


def run_sets(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.cli.terminal import describe_licence

    for each in distingo.list_sets():
        if each.name == options.set:
            print(describe_licence(each))
    gathered = distingo.download_set(
        options.set, options.output, raw=options.raw, mirror=options.mirror, **fetch_settings(options)
    )
    return print_gathered(gathered, options)


SPLITS = ("train", "validation", "test")


def add_open_images(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("open-images", help="pictures of Open Images V7 by class")
    parser.set_defaults(command=run_open_images)
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


def run_open_images(options: argparse.Namespace) -> int:
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


def add_imagenet(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("imagenet", help="pictures of ImageNet by synset; for non-commercial research only")
    parser.set_defaults(command=run_imagenet)
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


def run_imagenet(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.imagenet import TERMS, find_synsets

    find_synsets(options.classes)  # a mistyped name is told before the terms
    print(TERMS)
    gathered = distingo.download_imagenet(
        options.classes, options.output, mirror=options.mirror, **fetch_settings(options)
    )
    return print_gathered(gathered, options)


def add_urls(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("urls", help="pictures from a table of addresses and labels")
    parser.set_defaults(command=run_urls)
    parser.add_argument("table", metavar="FILE", help="CSV, TSV, JSON Lines or Parquet; one row per picture")
    parser.add_argument("--url-column", metavar="NAME", help="column of addresses (default: recognised)")
    parser.add_argument("--label-column", metavar="NAME", help="column of labels (default: recognised)")
    parser.add_argument("--name-column", metavar="NAME", help="column of file names (default: recognised)")
    parser.add_argument("--delimiter", metavar="TEXT", help="between the labels of one cell ('' for one label)")
    add_fetch_options(parser)


def run_urls(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.url_lists import UrlColumns

    columns = UrlColumns(options.url_column, options.label_column, options.name_column, options.delimiter)
    gathered = distingo.download_urls(options.table, options.output, columns=columns, **fetch_settings(options))
    return print_gathered(gathered, options)


def add_video(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("video", help="frames of a video file, named by their time")
    parser.set_defaults(command=run_video)
    parser.add_argument("video", metavar="FILE", help="MP4, MOV, MKV, WebM, AVI and what else FFmpeg reads")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="frames that are there stay")
    parser.add_argument("--every", default="1s", metavar="INTERVAL", help="1s (default), 250ms, 30frames, keyframes")
    parser.add_argument("--label", metavar="NAME", help="class folder inside FOLDER")
    parser.add_argument("--start", default="0", metavar="TIME", help="seconds (83.5), or 1:02:03")
    parser.add_argument("--end", metavar="TIME", help="stop before this time")
    parser.add_argument("--limit", type=positive, metavar="N", help="frames, at most")
    parser.add_argument("--format", choices=("jpeg", "png"), default="jpeg", help="of the pictures (default: jpeg)")
    parser.add_argument(
        "--skip-similar",
        type=float,
        nargs="?",
        const=8.0,
        metavar="LEVELS",
        help="leave out a frame of which no part differs from the last kept one by so many grey levels (default: 8)",
    )


def run_video(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.video_frames import FrameChoice, parse_interval, parse_time

    choice = FrameChoice(
        parse_interval(options.every),
        parse_time(options.start, "start"),
        None if options.end is None else parse_time(options.end, "end"),
        options.skip_similar,
    )
    result = distingo.download_video(
        options.video,
        options.output,
        choice=choice,
        label=options.label,
        limit=options.limit,
        image_format=options.format,
    )
    print(f"{result.folder}: {result.count('written'):,} frames written")
    if there := result.count("there already"):
        print(f"  {there:,} were there already")
    if similar := result.count("near-identical"):
        print(f"  {similar:,} left out for being near-identical to the frame before")
    print(f"  each with its time in {result.record}")
    if result.fault:
        print(f"distingo: {options.video}: {result.fault}", file=sys.stderr)
        return EXIT_UNFINISHED
    return 0


SOURCES = (add_sets, add_open_images, add_imagenet, add_urls, add_video)
"""In the order in which ``distingo download --help`` lists them."""


def add_download(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_download)
    parser.add_argument("--list", action="store_true", help="list the well-known sets: size, licence, address")
    sources = parser.add_subparsers(title="sources", metavar="SOURCE", parser_class=type(parser))
    for add in SOURCES:
        add(sources)
    for each in sources.choices.values():
        each.set_defaults(parser=each)


def run_download(options: argparse.Namespace) -> int:
    """Without a source: list the sets."""
    if not options.list:
        options.parser.error("name a SOURCE, or ask for --list")
    import distingo
    from distingo.cli.terminal import describe_set

    for each in distingo.list_sets():
        print(describe_set(each))
    return 0
