"""Account for every file; look at samples and at augmentation."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.preparing import prepare
from distingo.options import (
    AUGMENTATIONS,
    add_corrections_option,
    add_machine_options,
    add_table_options,
    add_value_range_option,
    machine_settings,
    table_settings,
)


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("inspect", help="account for every file; look at samples and at augmentation")
    parser.set_defaults(command=run)
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


def run(options: argparse.Namespace) -> int:
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
