"""The options and the summary that all sources share."""

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
