"""The commands ``check``, ``review`` and ``clean``: find possible faults of a data set, decide on them, move files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from distingo.cli.options import add_options, add_reading, add_table, reading_of, show_first, table_of, values_of
from distingo.cli.terminal import prepare
from distingo.curation.findings import FINDINGS_FOLDER, IMAGE_KINDS, FindingKind
from distingo.datasets.options import Reading
from distingo.errors import UsageError, escape_controls
from distingo.options.commands import CheckSettings, CleanSettings, ReviewSettings
from distingo.options.fields import options_of

if TYPE_CHECKING:
    from distingo.api.curation import Cleaning
    from distingo.curation.check import Check
    from distingo.curation.planning import Move, UnmovedFile
    from distingo.curation.quarantine import Restoration
    from distingo.reviewing.session import ReviewSession


EXIT_FINDINGS = 1
"""Exit code with --strict if a finding reaches its threshold."""


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_check)
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="data set, as for train; omit it to apply thresholds to the check in FOLDER again",
    )
    group = parser.add_argument_group("check")
    group.add_argument(
        "-o", "--output", default="check", metavar="FOLDER", help="folder for findings and page (default: check)"
    )
    add_options(group, CheckSettings)
    group.add_argument(
        "--threshold",
        action="append",
        default=[],
        metavar="KIND=VALUE",
        help="score from which a kind of finding counts, up to 1 (default: by kind, see the page)",
    )
    group.add_argument("--strict", action="store_true", help="exit with 1 if anything reaches its threshold")
    add_reading(parser)
    show_first(
        parser,
        *("output", *options_of(CheckSettings), "threshold", "strict", "label_column", "corrections", "value_range"),
    )


def run_check(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare(networks=False)
    import distingo
    from distingo.curation.findings import parse_thresholds

    settings = {**values_of(options, CheckSettings), **reading_of(options)}
    result = distingo.check(options.data, options.output, thresholds=parse_thresholds(options.threshold), **settings)
    _print(result)
    print(f"Page: {options.output}/check.html")
    return EXIT_FINDINGS if options.strict and result.counts else 0


def _print(check: Check) -> None:
    """Print the number of findings of each kind, and the worst of each."""
    from distingo.near_duplicates.search import describe_search
    from distingo.report.pages.check import KIND_TEXTS

    print(f"{check.root}: {check.layout}; {check.seconds:.1f} s")
    print(f"{check.files:,} files, {check.images:,} usable pictures")
    for note in check.notes:
        print(f"  {escape_controls(str(note))}")
    if check.near_duplicates is not None:
        print(f"  {describe_search(check.near_duplicates)}")
    for kind, number in check.counts.items():
        finding = check.counting(kind)[0]
        example = escape_controls(f"{finding.file + ': ' if finding.file else ''}{finding.reason or ''}", keep="")
        print(f"{number:>7,}  {KIND_TEXTS[kind].name:<20} {example}")
    if not check.counts:
        print("nothing reaches its threshold")


def add_review(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_review)
    parser.add_argument("data", metavar="DATA", help="the images that were checked")
    add_findings(parser)
    parser.add_argument(
        "--corrections",
        metavar="FILE",
        help="table that decisions are written to (default: corrections.csv in the dataset's folder)",
    )
    add_options(parser, ReviewSettings)
    parser.add_argument("--no-browser", action="store_true", help="print the page's address without opening a browser")
    add_options(parser, Reading, ["max_pixels"], {"max_pixels": {"help": _NOT_SHOWN}})
    add_table(parser)
    show_first(
        parser, "findings", "corrections", "host", "port", "no_browser", "max_pixels", "label_column", "image_folder"
    )


_NOT_SHOWN = "larger images are not shown: width times height"


def add_findings(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--findings``."""
    parser.add_argument(
        "--findings",
        default=FINDINGS_FOLDER,
        metavar="FOLDER|FILE",
        help=f"what `distingo check` wrote (default: {FINDINGS_FOLDER})",
    )


def run_review(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare(networks=False)
    import distingo

    reviews: list[ReviewSession] = []

    def announce(url: str, session: ReviewSession) -> None:
        reviews.append(session)
        print(f"{_questions(session)} about {session.layout.root}")
        if session.gone:
            print(f"{session.gone:,} more {'is' if session.gone == 1 else 'are'} about pictures that are gone")
        print(f"Page: {url}")
        print(f"Decisions go to {session.decisions.path} at once; Ctrl-C ends the review", flush=True)
        if (host := options.host or "127.0.0.1") not in {"127.0.0.1", "::1", "localhost"}:
            print(f"Listening on {host}: whoever knows the page's address can see the pictures and decide")
        if not options.no_browser:
            _open(url)

    try:
        distingo.review(
            options.data,
            options.findings,
            corrections=options.corrections,
            on_start=announce,
            table=table_of(options),
            max_pixels=options.max_pixels,
            **values_of(options, ReviewSettings),
        )
    except KeyboardInterrupt:
        if not reviews:
            raise
        session = reviews[0]
        answered, questions = len(session.answered(session.counting)), len(session.counting)
        print(f"\n{answered:,} of {questions:,} question{'s' * (questions != 1)} answered; the same command continues")
    return 0


def _questions(session: ReviewSession) -> str:
    count = len(session.counting)
    below = len(session.questions) - count
    more = f" ({below:,} more below the thresholds)" if below else ""
    return f"{count:,} question{'s' * (count != 1)}{more}"


def _open(url: str) -> None:
    import threading
    import webbrowser

    # a text-mode browser blocks until it is closed
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


_SHOWN = 20
"""Maximum number of files to list for each kind of finding; the rest are only counted."""

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


def add_clean(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_clean)
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="the data set's folder; with --undo needed only if it was moved since, or if --quarantine was given",
    )
    add_findings(parser)
    parser.add_argument("--apply", action="store_true", help="move the files; without this option they are only listed")
    add_options(parser, CleanSettings)
    parser.add_argument("--undo", metavar="FOLDER", help="restore everything from this quarantine (default: none)")
    parser.add_argument("--list", action="store_true", help="list every file instead of the first few")
    group = parser.add_argument_group("kinds of findings to act on (of copies one always stays)")
    for kind in IMAGE_KINDS:
        name = _PLURAL.get(kind, kind)
        group.add_argument(
            f"--{name}", dest="kinds", action="append_const", const=kind, help=f"act on findings of the kind {kind}"
        )
    add_options(parser, Reading, ["corrections"])
    add_table(parser)
    kinds = ("findings", "apply", "undo", "list", "threshold", "quarantine", "corrections", "kinds", "label_column")
    show_first(parser, *kinds)


def run_clean(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare(networks=False)
    import distingo

    if options.undo:
        restored = distingo.undo_cleaning(options.undo, options.data)
        _print_restoration(restored)
        return 1 if restored.left else 0
    if options.data is None:
        raise UsageError(
            "clean needs DATA, the pictures that were checked (or --undo QUARANTINE)",
            code="missing_argument",
            parameter="data",
        )
    if not options.kinds:
        raise UsageError(_list_kinds(options.findings), code="missing_argument", parameter="kinds")
    cleaning = distingo.clean(
        options.data,
        options.findings,
        kinds=options.kinds,
        apply=options.apply,
        corrections=options.corrections,
        table=table_of(options),
        **values_of(options, CleanSettings),
    )
    _print_cleaning(cleaning, options.kinds, every=options.list)
    return 0


def _list_kinds(folder: str) -> str:
    from collections import Counter
    from pathlib import Path

    from distingo.curation.findings import read_findings

    counts = Counter(
        finding.kind for finding in read_findings(Path(folder)) if finding.counts and finding.kind in IMAGE_KINDS
    )
    options = ", ".join(f"--{_PLURAL.get(kind, kind)} ({count:,})" for kind, count in counts.most_common())
    return f"clean needs to know which findings to act on; {folder} holds {options or 'none above their thresholds'}"


def _print_cleaning(cleaning: Cleaning, kinds: Sequence[FindingKind], *, every: bool) -> None:
    """Print the files that were moved or would be, by kind, and the files that are left alone."""
    from distingo.curation.quarantine import undo_command

    plan, verb = cleaning.plan, "moved" if cleaning.applied else "to move"
    most = len(plan.moves) + len(plan.unmoved) if every else _SHOWN
    kinds_of_files = [*(move.kinds for move in plan.moves), *(entry.kinds for entry in plan.unmoved)]
    matched_kinds = {kind for each in kinds_of_files for kind in each}
    for kind in IMAGE_KINDS:
        if kind in kinds and kind not in matched_kinds:
            print(f"{kind}: 0")
        moves = [move for move in plan.moves if move.kinds[0] == kind]
        _print_files(f"{kind}: {len(moves):,} {verb}", [_describe_move(move) for move in moves], most)
    unmoved = [_describe_unmoved(entry) for entry in plan.unmoved]
    _print_files(f"left alone: {len(unmoved):,}", unmoved, most)
    for note in plan.notes:
        print(escape_controls(str(note)))
    if cleaning.applied and plan.moves:
        print(f"{_files(len(plan.moves))} moved to {cleaning.quarantine}")
        print(f"`{undo_command(plan.root, cleaning.quarantine)}` puts them back")
    elif plan.moves:
        print(f"{_files(len(plan.moves))} would be moved to {cleaning.quarantine}; nothing is touched without --apply")
    else:
        print("Nothing was moved." if cleaning.applied else "Nothing is to be moved.")


def _print_restoration(restored: Restoration) -> None:
    """Print the files that were put back, and those that could not be."""
    print(f"{_files(len(restored.returned))} put back into {restored.root}")
    if restored.in_place:
        print(f"{_files(len(restored.in_place))} in place already")
    if restored.copies:
        print(f"{len(restored.copies):,} of them left a copy in the quarantine, where it stays")
    not_restored = [_describe_unmoved(entry) for entry in restored.left]
    _print_files(f"can't be put back: {len(not_restored):,}", not_restored, len(not_restored))


def _print_files(heading: str, lines: list[str], most: int) -> None:
    if not lines:
        return
    print(heading)
    for line in lines[:most]:
        print(f"  {escape_controls(line, keep='')}")
    if len(lines) > most:
        print(f"  ... and {len(lines) - most:,} more (--list names them)")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _describe_move(move: Move) -> str:
    also = f" [also {', '.join(move.kinds[1:])}]" if move.kinds[1:] else ""
    return f"{move.file}: {move.reason}{f'; {move.stays} stays' if move.stays else ''}{also}"


def _describe_unmoved(entry: UnmovedFile) -> str:
    return f"{entry.file}: {entry.reason}"
