"""Move files that were found wanting to a quarantine, and put them back."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare
from distingo.errors import UsageError
from distingo.findings import FINDINGS_FOLDER, PICTURE_KINDS, FindingKind
from distingo.options import add_corrections_option, add_table_options, table_settings

_PLURAL: dict[FindingKind, str] = {
    "wrong-ending": "wrong-endings",
    "duplicate": "duplicates",
    "near-duplicate": "near-duplicates",
    "leak": "leaks",
    "contradiction": "contradictions",
    "label": "labels",
    "outlier": "outliers",
    "odd-size": "odd-sizes",
    "odd-aspect": "odd-aspects",
}


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("clean", help="move what was found wanting to a quarantine; --undo puts it back")
    parser.set_defaults(command=run)
    parser.add_argument("data", nargs="?", metavar="DATA", help="with --undo only where it is not where it was")
    parser.add_argument(
        "--findings",
        default=FINDINGS_FOLDER,
        metavar="FOLDER|FILE",
        help=f"what `distingo check` wrote (default: {FINDINGS_FOLDER})",
    )
    parser.add_argument("--apply", action="store_true", help="move the files; without it they are only named")
    parser.add_argument("--quarantine", metavar="FOLDER", help="new folder (default: DATA-quarantine/<time>)")
    parser.add_argument("--undo", metavar="QUARANTINE", help="put everything back from there")
    parser.add_argument("--threshold", type=float, metavar="SCORE", help="from which score on, instead of check's own")
    parser.add_argument("--list", action="store_true", help="name every file instead of the first few")
    group = parser.add_argument_group("kinds of findings to act on (of copies one always stays)")
    for kind in PICTURE_KINDS:
        group.add_argument(f"--{_PLURAL.get(kind, kind)}", dest="kinds", action="append_const", const=kind)
    add_corrections_option(parser)
    add_table_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    if options.undo:
        restored = distingo.undo_cleaning(options.undo, options.data)
        terminal.print_restoration(restored)
        return 1 if restored.left else 0
    if options.data is None:
        raise UsageError("clean needs DATA, the pictures that were checked (or --undo QUARANTINE)")
    if not options.kinds:
        raise UsageError(_what_there_is(options.findings))
    cleaning = distingo.clean(
        options.data,
        options.findings,
        kinds=options.kinds,
        threshold=options.threshold,
        apply=options.apply,
        quarantine=options.quarantine,
        corrections=options.corrections,
        table=table_settings(options)["table"],
    )
    terminal.print_cleaning(cleaning, every=options.list)
    return 0


def _what_there_is(folder: str) -> str:
    from collections import Counter
    from pathlib import Path

    from distingo.findings import read_findings

    counts = Counter(
        finding.kind for finding in read_findings(Path(folder)) if finding.counts and finding.kind in PICTURE_KINDS
    )
    found = ", ".join(f"--{_PLURAL.get(kind, kind)} ({count:,})" for kind, count in counts.most_common())
    return f"clean needs to know which findings to act on; {folder} holds {found or 'none above their thresholds'}"
