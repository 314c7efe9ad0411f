"""Go through findings on a local page: keep, relabel, quarantine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from distingo.commands.preparing import prepare
from distingo.curation.findings import FINDINGS_FOLDER
from distingo.options import add_max_pixels_option, add_table_options, table_settings
from distingo.records import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from distingo.reviewing.session import ReviewSession


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("review", help="go through findings on a local page: keep, relabel, quarantine")
    parser.set_defaults(command=run)
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


def run(options: argparse.Namespace) -> int:
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
