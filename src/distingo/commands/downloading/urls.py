"""Pictures from a list of addresses."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.downloading.fetch_options import add_fetch_options, fetch_settings, print_gathered


def add(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("urls", help="pictures from a table of addresses and labels")
    parser.set_defaults(command=run)
    parser.add_argument("table", metavar="FILE", help="CSV, TSV, JSON Lines or Parquet; one row per picture")
    parser.add_argument("--url-column", metavar="NAME", help="column of addresses (default: recognised)")
    parser.add_argument("--label-column", metavar="NAME", help="column of labels (default: recognised)")
    parser.add_argument("--name-column", metavar="NAME", help="column of file names (default: recognised)")
    parser.add_argument("--delimiter", metavar="TEXT", help="between the labels of one cell ('' for one label)")
    add_fetch_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.url_lists import UrlColumns

    columns = UrlColumns(options.url_column, options.label_column, options.name_column, options.delimiter)
    gathered = distingo.download_urls(options.table, options.output, columns=columns, **fetch_settings(options))
    return print_gathered(gathered, options)
