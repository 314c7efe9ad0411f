"""``python -m distingo.runtime FOLDER PICTURE ...`` prints one JSON line per image."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from distingo.errors import DistingoError, escape_controls
from distingo.runtime.runtime import Runtime

EXIT_UNREADABLE = 3
"""Some images could not be read; the others were predicted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict the images and print one JSON line per image.

    Args:
        arguments: Command-line arguments; None uses those of the process.

    Returns:
        The exit code: 0 for success, 1 for a failure, 2 for wrong usage, 3 for unreadable images.
    """
    options = _parser().parse_args(arguments)
    try:
        runtime = Runtime(options.folder)
        requested = {"topk": options.topk, "abstain": options.abstain, "coverage": options.coverage}
        predictions = runtime.predict(options.images, on_error="row", **requested)
    except DistingoError as error:
        print(f"distingo.runtime: {escape_controls(str(error))}", file=sys.stderr)
        return error.exit_code
    for prediction in predictions:
        print(json.dumps(asdict(prediction), ensure_ascii=False))
    return EXIT_UNREADABLE if any(prediction.error for prediction in predictions) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m distingo.runtime", description="Name what pictures show.")
    parser.add_argument("folder", metavar="FOLDER", help="an exported model")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--topk",
        "--top-k",
        type=int,
        help="number of labels per picture (default: all; for multi-label models: those predicted)",
    )
    parser.add_argument("--abstain", type=float, metavar="SHARE", help="of wrong answers, for example 0.02")
    parser.add_argument("--coverage", type=float, metavar="SHARE", help="of true labels in the sets, for example 0.95")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
