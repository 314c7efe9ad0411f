"""Commands that find what may be wrong with images and let a person decide."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from distingo.cli.options import (
    add_corrections_option,
    add_machine_options,
    add_max_pixels_option,
    add_table_options,
    add_value_range_option,
    machine_settings,
    table_settings,
)
from distingo.cli.terminal import prepare
from distingo.curation.findings import FINDINGS_FOLDER
from distingo.errors import escape_controls
from distingo.records import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from distingo.curation.check import Check
    from distingo.reviewing.session import ReviewSession


EXIT_FOUND = 1
"""With --strict: something reaches its threshold."""


def add_check(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_check)
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


def run_check(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare(networks=False)
    import distingo
    from distingo.curation.thresholds import parse_thresholds

    found = distingo.check(
        options.data,
        options.output,
        against=options.against,
        model=options.model,
        weights=options.weights,
        predictions=options.predictions,
        thresholds=parse_thresholds(options.threshold),
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
    from distingo.report.pages.check import WORDS

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


def add_review(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_review)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument(
        "--findings",
        default=FINDINGS_FOLDER,
        metavar="FOLDER|FILE",
        help=f"what `distingo check` wrote (default: {FINDINGS_FOLDER})",
    )
    parser.add_argument(
        "--corrections", metavar="FILE", help="where decisions go (default: corrections.csv in the data set's folder)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=0, help="(default: one that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the page's address, open nothing")
    add_max_pixels_option(parser, "larger images are not shown")
    add_table_options(parser)


def run_review(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
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
        if options.host not in {"127.0.0.1", "::1", "localhost"}:
            print(f"Listening on {options.host}: whoever knows the page's address can see the pictures and decide")
        if not options.no_browser:
            _open(url)

    try:
        distingo.review(
            options.data,
            options.findings,
            corrections=options.corrections,
            host=options.host,
            port=options.port,
            on_start=announce,
            table=table_settings(options)["table"],
            max_pixels=DEFAULT_MAX_PIXELS if options.max_pixels is None else options.max_pixels,
        )
    except KeyboardInterrupt:
        if not reviews:
            raise
        session = reviews[0]
        done, asked = len(session.answered(session.counting)), len(session.counting)
        print(f"\n{done:,} of {asked:,} question{'s' * (asked != 1)} answered; the same command goes on")
    return 0


def _questions(session: ReviewSession) -> str:
    asked = len(session.counting)
    below = len(session.questions) - asked
    more = f" ({below:,} more below the thresholds)" if below else ""
    return f"{asked:,} question{'s' * (asked != 1)}{more}"


def _open(url: str) -> None:
    import threading
    import webbrowser

    # a browser of the terminal would not return before it is closed
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
