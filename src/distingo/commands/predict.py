"""Name what pictures show."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare

EXIT_UNREADABLE = 3
"""Some pictures could not be read; the others were predicted."""


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("predict", help="name what pictures show")
    parser.set_defaults(command=run)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="pictures, or folders of them")
    parser.add_argument(
        "--topk",
        type=int,
        help="so many labels per picture, most probable first (default: one; of a model for several labels those that"
        " reach their thresholds)",
    )
    parser.add_argument(
        "--abstain",
        type=float,
        metavar="SHARE",
        help="answer only where at most this share of answers is wrong, for example 0.02; elsewhere: don't know",
    )
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help="for each picture the set of labels that holds this share of the true ones, for example 0.95",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write a .csv, .jsonl or .parquet file instead of printing"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo
    from distingo.prediction.predictor import read_task

    topk = options.topk
    if topk is None and read_task(options.run) == "single-label":
        topk = 1
    predictions = distingo.predict(
        options.run,
        options.paths,
        topk=topk,
        abstain=options.abstain,
        coverage=options.coverage,
        output=options.output,
        device=options.device,
    )
    unreadable = [prediction for prediction in predictions if prediction.error]
    if options.output is None:
        for prediction in predictions:
            print(terminal.describe_prediction(prediction))
    else:
        print(f"{len(predictions):,} rows written to {options.output}")
    if unreadable:
        print(f"distingo: {len(unreadable)} of {len(predictions)} pictures could not be read", file=sys.stderr)
        return EXIT_UNREADABLE
    return 0
