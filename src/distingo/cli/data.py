"""Commands that show and split a data set before anything is trained."""

from __future__ import annotations

import argparse

from distingo.cli import terminal
from distingo.cli.options import (
    AUGMENTATIONS,
    add_belonging_options,
    add_corrections_option,
    add_machine_options,
    add_table_options,
    add_value_range_option,
    belonging_settings,
    machine_settings,
    table_settings,
)
from distingo.cli.terminal import prepare


def add_inspect(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_inspect)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("-o", "--output", metavar="FILE", help="page to write (default: inspection.html)")
    parser.add_argument("--augment", metavar="PRESET", help=f"draw augmented samples instead: {AUGMENTATIONS}")
    parser.add_argument("--image-size", type=int, metavar="N", help="for augmented samples")
    group = parser.add_argument_group("map of the pictures")
    group.add_argument("--no-map", action="store_true", help="leave it out, which is faster")
    group.add_argument(
        "--model", help="lay it out by this backbone, descriptors or pixels (default: chosen, and said why)"
    )
    group.add_argument("--weights", metavar="FOLDER|FILE", help="of the backbone, instead of the published ones")
    group.add_argument("--seed", type=int, default=0, help="of the map (default: 0)")
    add_table_options(parser)
    add_corrections_option(parser)
    add_value_range_option(parser)
    add_machine_options(parser)


def run_inspect(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare(networks=False)
    import distingo

    if options.augment:
        output = options.output or f"augment-{options.augment}.png"
        shown = {"image_size": options.image_size, "value_range": options.value_range}
        shown["table"] = table_settings(options)["table"]
        print(distingo.show_augmentation(options.data, options.augment, output, **shown))
        return 0
    from collections import Counter

    output = options.output or "inspection.html"
    wishes = {"draw_map": not options.no_map, "model": options.model, "weights": options.weights, "seed": options.seed}
    wishes |= {"corrections": options.corrections, "value_range": options.value_range}
    dataset = distingo.inspect(options.data, output, **wishes, **table_settings(options), **machine_settings(options))
    print(f"{dataset.root}: {dataset.layout}")
    for note in dataset.notes:
        print(f"  {note}")
    print(f"{len(dataset.pictures):,} usable pictures of {dataset.file_count:,} files found")
    for name, count in sorted(Counter(label for picture in dataset.pictures for label in picture.labels).items()):
        print(f"  {name:<24} {count:>7,}")
    for row in dataset.left_out[:20]:
        print(f"  {row.status:<10} {row.file}: {row.reason}")
    left = len(dataset.left_out) - 20
    if left > 0:
        print(f"  ... and {left:,} more in {output}")
    print(f"Page: {output}")
    return 0


def add_split(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_split)
    parser.add_argument("data", metavar="DATA", help="laid out as for train")
    parser.add_argument("-o", "--output", default="split.csv", metavar="FILE", help="(default: split.csv)")
    parser.add_argument("--validation", "--val", type=float, metavar="SHARE", help="(default: 0.15)")
    parser.add_argument("--test", type=float, metavar="SHARE", help="(default: 0.2)")
    parser.add_argument("--folds", type=int, metavar="K", help="folds of the same size instead of sides")
    parser.add_argument("--seed", type=int, help="(default: 0)")
    parser.add_argument("--resplit", action="store_true", help="divide anew where the data has sides of its own")
    add_belonging_options(parser)
    add_corrections_option(parser)
    add_table_options(parser)
    add_value_range_option(parser)
    add_machine_options(parser)


def run_split(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare(networks=False)
    import distingo
    from distingo.errors import UsageError

    if options.folds is not None and (options.validation, options.test) != (None, None):
        raise UsageError(
            "--folds gives every picture its turn as test; leave --validation and --test out",
            code="options_conflict",
            parameter="folds",
        )
    names = ("validation", "test", "folds", "seed")
    wishes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    settings = {"corrections": options.corrections, "value_range": options.value_range, **belonging_settings(options)}
    settings |= {**table_settings(options), **machine_settings(options)}
    division = distingo.split(options.data, options.output, resplit=options.resplit, **wishes, **settings)
    terminal.print_division(division)
    print(f"\nSplit: {options.output}")
    return 0
