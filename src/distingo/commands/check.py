"""Look for what may be wrong with pictures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from distingo.commands.preparing import prepare
from distingo.errors import escape_controls
from distingo.options import (
    add_corrections_option,
    add_machine_options,
    add_table_options,
    add_value_range_option,
    machine_settings,
    table_settings,
)

if TYPE_CHECKING:
    from distingo.checking.check_folder import Check

EXIT_FOUND = 1
"""With --strict: something reaches its threshold."""


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser(
        "check", help="find corrupt, duplicate, leaked and mislabelled pictures; moves nothing"
    )
    parser.set_defaults(command=run)
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="pictures as for train; left out: judge the check in FOLDER again"
    )
    parser.add_argument(
        "-o", "--output", default="check", metavar="FOLDER", help="where findings and page go (default: check)"
    )
    parser.add_argument("--against", metavar="OTHER", help="another data set in which no copy should be")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="what pictures are compared by: a backbone, descriptors or none (default: chosen, and said why)",
    )
    parser.add_argument("--weights", metavar="FOLDER|FILE", help="of the backbone, instead of the published ones")
    parser.add_argument(
        "--predictions", metavar="FOLDER", help="of crossval: labels are doubted by these (default: made here)"
    )
    parser.add_argument(
        "--threshold", action="append", default=[], metavar="KIND=VALUE", help="from which score on a finding counts"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if anything reaches its threshold")
    parser.add_argument("--seed", type=int, default=0, help="of samples and folds (default 0)")
    add_corrections_option(parser)
    add_table_options(parser)
    add_value_range_option(parser)
    add_machine_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare(networks=False)
    import distingo
    from distingo.checking.thresholds import read_wishes

    found = distingo.check(
        options.data,
        options.output,
        against=options.against,
        model=options.model,
        weights=options.weights,
        predictions=options.predictions,
        thresholds=read_wishes(options.threshold),
        seed=options.seed,
        corrections=options.corrections,
        value_range=options.value_range,
        **table_settings(options),
        **machine_settings(options),
    )
    _print(found)
    print(f"Page: {options.output}/check.html")
    return EXIT_FOUND if options.strict and found.counts else 0


def _print(check: Check) -> None:
    """How many findings of each kind, and the worst of each."""
    from distingo.near_duplicates.records import describe_search
    from distingo.report.check_page import WORDS

    print(f"{check.root}: {check.layout}; {check.seconds:.1f} s")
    print(f"{check.files:,} files, {check.pictures:,} usable pictures")
    for note in check.notes:
        print(f"  {escape_controls(str(note))}")
    if check.near_duplicates is not None:
        print(f"  {describe_search(check.near_duplicates)}")
    for kind, number in check.counts.items():
        worst = check.counting(kind)[0]
        example = escape_controls(f"{worst.file + ': ' if worst.file else ''}{worst.reason}", kept="")
        print(f"{number:>7,}  {WORDS[kind].name:<20} {example}")
    if not check.counts:
        print("nothing reaches its threshold")
