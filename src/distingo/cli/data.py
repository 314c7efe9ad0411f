"""The commands ``inspect`` and ``split``, for a data set before training."""

from __future__ import annotations

import argparse

from distingo.cli import terminal
from distingo.cli.options import add_options, add_reading, given, grouping_of, reading_of, show_first
from distingo.cli.terminal import prepare
from distingo.options.data import InspectSettings, SplitSettings
from distingo.options.fields import options_of
from distingo.options.training import GroupingSettings


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
    dataset = distingo.inspect(options.data, output, **given(options, InspectSettings), **reading_of(options))
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
    settings = {**given(options, SplitSettings), **grouping_of(options), **reading_of(options)}
    division = distingo.split(options.data, options.output, **settings)
    terminal.print_division(division)
    print(f"\nSplit: {options.output}")
    return 0
