"""Judge a run's model on its test side or on other pictures."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare
from distingo.options import (
    add_corrections_option,
    add_language_option,
    add_machine_options,
    add_table_options,
    machine_settings,
    table_settings,
)


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("evaluate", help="judge a run's model on its test side or on other pictures")
    parser.set_defaults(command=run)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("data", nargs="?", metavar="DATA", help="other pictures, laid out as for train")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ..., mps, xpu")
    add_table_options(parser)
    add_corrections_option(parser)
    add_machine_options(parser, of_run=True)
    add_language_option(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    from pathlib import Path

    import distingo
    from distingo.runs.folder import RunFolder

    common = {"device": options.device, **table_settings(options), **machine_settings(options)}
    common |= {"corrections": options.corrections, "language": options.language}
    terminal.print_evaluation(distingo.evaluate(options.run, options.data, **common), Path(options.run))
    folder = RunFolder(Path(options.run))
    page = folder.report if options.data is None else folder.judged_on(Path(options.data)) / folder.report.name
    print(f"\nReport: {page}")
    return 0
