"""The commands ``check``, which finds possible faults of a data set, and ``review``, to decide about them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from distingo.cli.options import add_options, add_reading, add_table, given, reading_of, show_first, table_of
from distingo.cli.terminal import prepare
from distingo.curation.findings import FINDINGS_FOLDER
from distingo.datasets.options import Reading
from distingo.errors import escape_controls
from distingo.options.data import CheckSettings, ReviewSettings
from distingo.options.fields import options_of

if TYPE_CHECKING:
    from distingo.curation.check import Check
    from distingo.reviewing.session import ReviewSession


EXIT_FOUND = 1
"""Exit code with --strict if a finding reaches its threshold."""


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_check)
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="images as for train; left out: apply thresholds to the check in FOLDER again",
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
        help="score from which a kind of finding counts, up to 1 (default: by kind, as the page tells)",
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
    from distingo.curation.thresholds import parse_thresholds

    settings = {**given(options, CheckSettings), **reading_of(options)}
    result = distingo.check(options.data, options.output, thresholds=parse_thresholds(options.threshold), **settings)
    _print(result)
    print(f"Page: {options.output}/check.html")
    return EXIT_FOUND if options.strict and result.counts else 0


def _print(check: Check) -> None:
    """Print the number of findings of each kind, and the worst of each."""
    from distingo.near_duplicates.records import describe_search
    from distingo.report.pages.check import WORDS

    print(f"{check.root}: {check.layout}; {check.seconds:.1f} s")
    print(f"{check.files:,} files, {check.images:,} usable pictures")
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
    parser.add_argument("--no-browser", action="store_true", help="print the page's address, open nothing")
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
            **given(options, ReviewSettings),
        )
    except KeyboardInterrupt:
        if not reviews:
            raise
        session = reviews[0]
        answered, questions = len(session.answered(session.counting)), len(session.counting)
        print(f"\n{answered:,} of {questions:,} question{'s' * (questions != 1)} answered; the same command goes on")
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
