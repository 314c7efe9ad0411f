"""Commands that put a trained model to work."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from distingo.cli import terminal
from distingo.cli.options import LIMIT_OF_RUN, add_max_pixels_option
from distingo.cli.terminal import prepare
from distingo.datasets.decoding.failures import caught
from distingo.errors import InterruptionError, UsageError

if TYPE_CHECKING:
    from distingo.prediction.bulk import BulkPrediction
    from distingo.prediction.sort_journal import Unsorting
    from distingo.prediction.sorting import Sorter
    from distingo.records import Prediction


EXIT_UNREADABLE = 3
"""Some pictures could not be read; the others were predicted."""

_NAMED = 20
"""Pictures that could not be read, or sorted, that are named before the rest is only counted."""


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_predict)
    parser.add_argument("run", nargs="?", metavar="RUN")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="pictures, folders of them, patterns ('photos/**/*.jpg'), tables with a column of paths, or - for paths"
        " from standard input",
    )
    parser.add_argument(
        "--topk",
        "--top-k",
        type=int,
        help="so many labels per picture, most probable first (default: one; of a model for several labels those that"
        " reach their thresholds)",
    )
    parser.add_argument(
        "--abstain",
        type=float,
        metavar="SHARE",
        help="answer only where at most this share of answers is wrong, above 0 and below 1, for example 0.02;"
        " elsewhere: don't know (default: always answer)",
    )
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help="for each picture the set of labels that holds this share of the true ones, above 0 and below 1, for"
        " example 0.95 (default: no sets)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write a .csv, .jsonl or .parquet file instead of printing; stopped, the same command goes on",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ..., mps, xpu")
    parser.add_argument(
        "--engine", choices=("auto", "torch", "openvino"), default="auto", help="what runs a network (default: auto)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="decoding threads (default: one per core)")
    add_max_pixels_option(parser, "larger images are not read", LIMIT_OF_RUN)
    _add_table_options(parser)
    _add_sorting_options(parser)


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tables of paths (what is left out is recognised)")
    group.add_argument("--image-column", metavar="NAME", help="column that names the pictures")
    group.add_argument("--image-folder", metavar="FOLDER", help="where relative paths start (default: the table's)")


def _add_sorting_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sorting into class folders")
    group.add_argument("--sort-into", metavar="FOLDER", help="put each picture into FOLDER/<class>")
    way = group.add_mutually_exclusive_group()
    way.add_argument("--copy", dest="sort_as", action="store_const", const="copy", help="as a copy")
    way.add_argument("--link", dest="sort_as", action="store_const", const="link", help="as a symbolic link")
    group.add_argument("--dry-run", action="store_true", help="say what would go where, and write nothing")
    group.add_argument("--undo", metavar="FOLDER", help="take out again what was sorted into FOLDER")


def run_predict(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    if options.undo:
        if options.run is not None or options.dry_run or options.sort_into:
            raise UsageError(
                "predict --undo FOLDER takes back a sorting; leave everything else out", code="options_conflict"
            )
        return _print_unsorting(distingo.undo_sorting(options.undo))
    if options.run is None or not options.paths:
        raise UsageError(
            "predict needs RUN and pictures, folders, patterns or tables of them, or -",
            code="missing_argument",
            parameter="paths",
        )
    prepare()
    from distingo.prediction.predictor import read_task

    topk = options.topk
    if topk is None and read_task(options.run) == "single-label":
        topk = 1
    stream = distingo.predict_stream(
        options.run,
        options.paths,
        topk=topk,
        abstain=options.abstain,
        coverage=options.coverage,
        output=options.output,
        sort_into=options.sort_into,
        sort_as=options.sort_as,
        dry_run=options.dry_run,
        image_column=options.image_column,
        image_folder=options.image_folder,
        device=options.device,
        engine=options.engine,
        workers=options.workers,
        max_pixels=options.max_pixels,
    )
    with caught():
        return _go_through(stream, options)


def _go_through(stream: BulkPrediction, options: argparse.Namespace) -> int:
    """Take all predictions, printing those that are not written anywhere; returns the exit code."""
    from distingo.progress import progress_bar

    for sentence in stream.guarantees:
        print(sentence, file=sys.stderr)
    told = _Told(options)
    total = stream.pictures.count() if sys.stderr.isatty() and not told.on_terminal else 0
    try:
        with progress_bar("Predicting", total) as advance:
            for prediction in stream:
                told.tell(prediction, stream.sorter)
                advance()
    except KeyboardInterrupt:
        again = "; the same command goes on from there" if options.output or options.sort_into else ""
        raise InterruptionError(f"stopped after {told.count:,} pictures{again}", code="interrupted") from None
    if options.output is not None:
        earlier = f" ({stream.resumed:,} of them from an earlier time)" if stream.resumed else ""
        print(f"{told.count:,} row{'' if told.count == 1 else 's'} written to {options.output}{earlier}")
    if stream.sorter is not None:
        _print_sorting(stream.sorter, options)
    return told.sum_up() or int(stream.sorter is not None and bool(stream.sorter.failures))


class _Told:
    """What a person is told while predictions come, and at their end."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.count = 0
        self._unreadable = 0
        self._named: list[str] = []
        self._printing = options.output is None and options.sort_into is None
        self._planning = options.dry_run
        self.on_terminal = (self._printing or self._planning) and sys.stdout.isatty()
        """Whether the lines themselves show how far it is."""

    def tell(self, prediction: Prediction, sorter: Sorter | None) -> None:
        self.count += 1
        line = terminal.describe_prediction(prediction)
        if prediction.error:
            self._unreadable += 1
            if not self._printing and len(self._named) < _NAMED:
                self._named.append(line)
        if self._printing:
            print(line)
        elif self._planning and sorter is not None:
            for target in sorter.latest:
                print(terminal.escape_line(f"{prediction.file}\t{target}"))

    def sum_up(self) -> int:
        for line in self._named:
            print(line, file=sys.stderr)
        if self._unreadable:
            print(f"distingo: {self._unreadable} of {self.count} pictures could not be read", file=sys.stderr)
        return EXIT_UNREADABLE if self._unreadable else 0


def _print_sorting(sorter: Sorter, options: argparse.Namespace) -> None:
    verb = "would be" if options.dry_run else "are"
    for folder, count in sorted(sorter.counts.items()):
        print(f"{folder}: {count:,}")
    done = {"copy": "copied", "link": "linked"}[options.sort_as]
    print(f"{sorter.counts.total():,} pictures {verb} {done} into {options.sort_into}")
    if options.dry_run:
        print("nothing was written, because of --dry-run")
    else:
        print(f"`distingo predict --undo {options.sort_into}` takes them out again")
    for source, why in sorter.failures[:_NAMED]:
        print(terminal.escape_line(f"{source}\tNOT SORTED: {why}"), file=sys.stderr)
    if sorter.failures:
        print(f"distingo: {len(sorter.failures)} pictures could not be sorted", file=sys.stderr)


def _print_unsorting(undone: Unsorting) -> int:
    print(f"{undone.removed:,} taken out of {undone.folder}")
    if undone.gone:
        print(f"{undone.gone:,} were not there")
    for path, why in undone.left:
        print(terminal.escape_line(f"{path}: {why}; it stays"))
    return int(bool(undone.left))


def add_export(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_export)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--format", choices=("onnx", "openvino", "torch-export"), default="onnx")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="to make (default: one in RUN/exports)")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--half", action="store_true", help="keep weights in 16 bits")
    precision.add_argument(
        "--int8", action="store_true", help="compute in 8-bit integers, calibrated on training pictures"
    )
    parser.add_argument(
        "--check-on", metavar="FOLDER", help="pictures to check on instead of the run's test and validation pictures"
    )


def run_export(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    exported = distingo.export(
        options.run,
        options.output,
        format=options.format,
        half=options.half,
        int8=options.int8,
        check_on=options.check_on,
    )
    print(f"{exported.folder / exported.description.file}: {exported.bytes / 1e6:.1f} MB")
    print(f"Checked: {exported.agreement.words}.")
    if exported.agreement.unreadable:
        print(f"Left out of the check: {exported.agreement.unreadable:,} pictures that can't be read.")
    return 0
