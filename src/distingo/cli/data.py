"""The commands ``inspect``, ``split`` and ``download``, for a data set before training."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, get_args

from distingo.cli import terminal
from distingo.cli.options import add_options, add_reading, grouping_of, reading_of, show_first, values_of
from distingo.cli.terminal import prepare
from distingo.download.records import FetchSettings, Limits
from distingo.errors import DataError
from distingo.options.commands import InspectSettings, OpenImagesSettings, SplitSettings, VideoSettings
from distingo.options.fields import options_of
from distingo.options.training import GroupingSettings

if TYPE_CHECKING:
    from distingo.download.folder import Gathered


def add_inspect(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_inspect)
    parser.add_argument("data", metavar="DATA", help="images as for train")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="page to write (default: inspection.html, with --augment augment-PRESET.png)",
    )
    parser.add_argument(
        "--augment",
        metavar="PRESET",
        help="draw augmented samples instead: none, light, reference, standard or overhead (default: none are drawn)",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="N",
        help="size of augmented samples in pixels, 1 to 8192 (default: that of training)",
    )
    add_options(parser.add_argument_group("map of the images"), InspectSettings)
    add_reading(parser)
    show_first(
        parser,
        *("output", "augment", "image_size", "draw_map", "model", "label_column", "image_folder", "splits"),
        *("corrections", "value_range"),
    )


def run_inspect(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare(networks=False)
    import distingo

    if options.augment:
        output = options.output or f"augment-{options.augment}.png"
        settings = {name: value for name, value in reading_of(options).items() if name in {"table", "value_range"}}
        settings["image_size"] = options.image_size
        print(distingo.show_augmentation(options.data, options.augment, output, **settings))
        return 0
    from collections import Counter

    output = options.output or "inspection.html"
    dataset = distingo.inspect(options.data, output, **values_of(options, InspectSettings), **reading_of(options))
    print(f"{dataset.root}: {dataset.layout}")
    for note in dataset.notes:
        print(f"  {note}")
    print(f"{len(dataset.images):,} usable pictures of {dataset.file_count:,} files found")
    for name, count in sorted(Counter(label for image in dataset.images for label in image.labels).items()):
        print(f"  {name:<24} {count:>7,}")
    for row in dataset.left_out[:20]:
        print(f"  {row.status:<10} {row.file}: {row.reason}")
    remaining = len(dataset.left_out) - 20
    if remaining > 0:
        print(f"  ... and {remaining:,} more in {output}")
    print(f"Page: {output}")
    return 0


def add_split(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_split)
    parser.add_argument("data", metavar="DATA", help="images as for train")
    group = parser.add_argument_group("split")
    group.add_argument(
        "-o", "--output", default="split.csv", metavar="FILE", help="table to write (default: split.csv)"
    )
    add_options(group, SplitSettings)
    add_options(parser.add_argument_group("what belongs together"), GroupingSettings)
    add_reading(parser)
    show_first(
        parser,
        *("output", *options_of(SplitSettings), *options_of(GroupingSettings)),
        *("label_column", "corrections"),
    )


def run_split(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare(networks=False)
    import distingo
    from distingo.errors import UsageError

    if options.folds is not None and (options.validation, options.test) != (None, None):
        raise UsageError(
            "--folds gives every picture its turn as test; leave --validation and --test out",
            code="options_conflict",
            parameter="folds",
        )
    settings = {**values_of(options, SplitSettings), **grouping_of(options), **reading_of(options)}
    division = distingo.split(options.data, options.output, **settings)
    terminal.print_division(division)
    print(f"\nSplit: {options.output}")
    return 0


EXIT_UNFINISHED = 3
"""Exit code if some files failed, which running the command again may fetch."""

_LIMITS = ("connections", "per_host", "attempts", "largest")


def add_fetching(parser: argparse.ArgumentParser, *, whole: bool = False) -> None:
    """Add the options that all sources share.

    Args:
        parser: The source's parser.
        whole: Whether the source is only useful if complete, so that ``--try-refused`` has no meaning.
    """
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="new folder, or one that the same command started"
    )
    group = parser.add_argument_group("fetching")
    add_options(group, Limits, _LIMITS)
    names = ["allow_private_addresses"] if whole else ["try_refused", "allow_private_addresses"]
    add_options(group, FetchSettings, names)


def fetching_of(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the keyword arguments about fetching that were set on the command line."""
    limits = values_of(options, Limits, _LIMITS)
    settings = values_of(options, FetchSettings, ["try_refused", "allow_private_addresses"])
    return {**settings, "limits": Limits(**limits)} if limits else settings


def print_gathered(gathered: Gathered, options: argparse.Namespace) -> int:
    """Print the numbers of fetched and missing files and return the exit code.

    Raises:
        DataError: Nothing was fetched, and running the command again would not help.
    """
    counts = gathered.counts
    print(f"{gathered.folder}: {counts['fetched']:,} files, {gathered.size / 1e6:,.1f} MB")
    if there := gathered.there_already:
        print(f"  {gathered.fetched_now:,} fetched now, {there:,} were there already")
    for note in gathered.notes:
        print(f"  {note}")
    for reason, count in gathered.reasons(limit=8):
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
    private = any(outcome.code == "private_address" for outcome in gathered.outcomes)
    advice = f"{gathered.manifest} says why for each"
    if private and not options.allow_private_addresses:
        advice = "where private addresses are meant, run it again with --allow-private-addresses --try-refused"
    return f"{gathered.folder}: nothing came of {count:,} {'file' if count == 1 else 'files'}; {advice}"


def add_sets(sources: Any) -> None:
    """Add every well-known set as a subcommand."""
    from distingo.download.sets import SETS

    for each in SETS.values():
        parser = sources.add_parser(each.name, help=each.title)
        parser.set_defaults(command=run_sets, set=each.name)
        parser.add_argument("--raw", action="store_true", help="keep the files as they were published")
        parser.add_argument("--mirror", metavar="URL", help=f"address to fetch from (default: {each.address})")
        add_fetching(parser, whole=True)


def run_sets(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.cli.terminal import describe_license

    for each in distingo.list_sets():
        if each.name == options.set:
            print(describe_license(each))
    gathered = distingo.download_set(
        options.set, options.output, raw=options.raw, mirror=options.mirror, **fetching_of(options)
    )
    return print_gathered(gathered, options)


def add_open_images(sources: Any) -> None:
    """Add the source as a subcommand."""
    from distingo.download.open_images_tables import OpenImagesAddresses, OpenImagesSplit

    parser = sources.add_parser("open-images", help="pictures of Open Images V7 by class")
    parser.set_defaults(command=run_open_images)
    parser.add_argument(
        "--class", dest="classes", metavar="NAME", action="append", required=True, help="a class; may be repeated"
    )
    parser.add_argument(
        "--split",
        dest="splits",
        action="append",
        choices=get_args(OpenImagesSplit),
        help="split to take; may be repeated (default: train)",
    )
    add_options(parser, OpenImagesSettings, ["limit", "min_size", "single", "seed"])
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--labels", action="store_true", help="images whose class was verified by people (the default)")
    add_options(kind, OpenImagesSettings, ["boxes"])
    add_options(parser, OpenImagesAddresses)
    add_fetching(parser)
    names = ("classes", "splits", "labels", "boxes", *options_of(OpenImagesSettings), "output", "try_refused")
    show_first(parser, *names)


def run_open_images(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.download.open_images_tables import LICENSE, OpenImagesAddresses

    print(LICENSE)
    addresses = values_of(options, OpenImagesAddresses)
    addresses = {name: address.rstrip("/") for name, address in addresses.items()}
    gathered = distingo.download_open_images(
        options.classes,
        options.output,
        splits=tuple(dict.fromkeys(options.splits or ("train",))),
        addresses=OpenImagesAddresses(**addresses),
        **values_of(options, OpenImagesSettings),
        **fetching_of(options),
    )
    return print_gathered(gathered, options)


def add_imagenet(sources: Any) -> None:
    """Add the source as a subcommand."""
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
    parser.add_argument(
        "--mirror", metavar="URL", help="address to fetch the archives from (default: the official one)"
    )
    add_fetching(parser)


def run_imagenet(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.download.imagenet import TERMS, find_synsets

    find_synsets(options.classes)  # report a mistyped name before printing the terms
    print(TERMS)
    gathered = distingo.download_imagenet(
        options.classes, options.output, mirror=options.mirror, **fetching_of(options)
    )
    return print_gathered(gathered, options)


def add_urls(sources: Any) -> None:
    """Add the source as a subcommand."""
    from distingo.download.url_lists import UrlColumns

    parser = sources.add_parser("urls", help="pictures from a table of addresses and labels")
    parser.set_defaults(command=run_urls)
    parser.add_argument("table", metavar="FILE", help="CSV, TSV, JSON Lines or Parquet; one row per picture")
    add_options(parser, UrlColumns)
    add_fetching(parser)


def run_urls(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.download.url_lists import UrlColumns

    columns = UrlColumns(**values_of(options, UrlColumns))
    gathered = distingo.download_urls(options.table, options.output, columns=columns, **fetching_of(options))
    return print_gathered(gathered, options)


def add_video(sources: Any) -> None:
    """Add the source as a subcommand."""
    from distingo.download.video_frames import SIMILAR, FrameChoice

    parser = sources.add_parser("video", help="frames of a video file, named by their time")
    parser.set_defaults(command=run_video)
    parser.add_argument("video", metavar="FILE", help="MP4, MOV, MKV, WebM, AVI or another format that FFmpeg reads")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="existing frames are kept")
    add_options(parser, FrameChoice, ["every", "start", "end"])
    add_options(parser, VideoSettings)
    similar = options_of(FrameChoice)["similar"]
    parser.add_argument(
        similar.flag, dest="similar", type=float, nargs="?", const=SIMILAR, metavar="LEVELS", help=similar.help
    )


def run_video(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.download.video_frames import FrameChoice, Interval

    choice = FrameChoice(**{"every": Interval("seconds", 1.0), **values_of(options, FrameChoice)})
    result = distingo.download_video(
        options.video,
        options.output,
        choice=choice,
        **values_of(options, VideoSettings),
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
"""Functions that add the sources, in the order of ``distingo download --help``."""


def add_download(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_download)
    parser.add_argument("--list", action="store_true", help="list the well-known sets: size, license, address")
    sources = parser.add_subparsers(title="sources", metavar="SOURCE", parser_class=type(parser))
    for add in SOURCES:
        add(sources)
    for each in sources.choices.values():
        each.set_defaults(parser=each)


def run_download(options: argparse.Namespace) -> int:
    """List the well-known sets; runs if no source is named."""
    if not options.list:
        options.parser.error("name a SOURCE, or ask for --list")
    import distingo
    from distingo.cli.terminal import describe_set

    for each in distingo.list_sets():
        print(describe_set(each))
    return 0
