"""The commands for trained models.

``evaluate``, ``compare``, ``explain``, ``report``, ``predict``, ``export``, ``serve`` and ``corrections``.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from distingo.cli import terminal
from distingo.cli.options import add_option, add_options, add_reading, reading_of, show_first, values_of
from distingo.cli.terminal import prepare
from distingo.datasets.decoding.failures import caught
from distingo.errors import InterruptionError, UsageError
from distingo.options.commands import LIMIT_OF_RUN, EvaluateSettings, ExplainSettings, ExportSettings, PredictSettings
from distingo.options.fields import OptionField, options_of
from distingo.serving.settings import API_KEY_FILE, ServeSettings

if TYPE_CHECKING:
    from distingo.prediction.bulk import BulkPrediction
    from distingo.prediction.outputs import Sorter
    from distingo.prediction.sort_journal import Unsorting
    from distingo.scores import Prediction


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_evaluate)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("data", nargs="?", metavar="DATA", help="other images, laid out as for train")
    add_options(parser, EvaluateSettings)
    add_reading(parser, left_out=["value_range"], max_pixels={"default": LIMIT_OF_RUN})
    show_first(
        parser,
        *("device", "language", "label_column", "label_columns", "image_column", "image_folder", "corrections"),
        *("workers", "max_pixels"),
    )


def run_evaluate(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare()
    from pathlib import Path

    import distingo
    from distingo.runs.folder import RunFolder

    settings = {**values_of(options, EvaluateSettings), **reading_of(options)}
    terminal.print_evaluation(distingo.evaluate(options.run, options.data, **settings), Path(options.run))
    folder = RunFolder(Path(options.run))
    page = folder.report if options.data is None else folder.evaluation_of(Path(options.data)) / folder.report.name
    print(f"\nReport: {page}")
    return 0


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_compare)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders evaluated on the same images")
    parser.add_argument(
        "--common",
        action="store_true",
        help="evaluate runs with other test images on those that all of them have in common",
    )
    parser.add_argument(
        "-o", "--output", default="comparison", metavar="FOLDER", help="folder to write (default: comparison)"
    )


def run_compare(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from pathlib import Path

    import distingo
    from distingo.evaluation.comparison_records import COMPARISON_PAGE

    terminal.print_comparison(distingo.compare(options.runs, options.output, common=options.common))
    print(f"\nPage: {Path(options.output) / COMPARISON_PAGE}")
    return 0


_EXPLAIN = ("classes", "output", "layers", "device", "max_pixels")


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_explain)
    parser.add_argument("run", metavar="RUN", help="run folder")
    parser.add_argument("image", metavar="IMAGE", help="image file")
    add_options(parser, ExplainSettings, _EXPLAIN, required=["output"])


def run_explain(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare()
    import distingo
    from distingo.report.pages.explanation_sheet import describe_class, explanation_title

    explanation = distingo.explain(options.run, options.image, **values_of(options, ExplainSettings, _EXPLAIN))
    print(f"{explanation_title(explanation)}.")
    for explained in explanation.classes:
        print(f"\nWhat speaks for {explained.heat.label}:")
        for sentence in describe_class(explained):
            print(f"  {sentence}")
    if explanation.neighbors:
        names = ", ".join(f"{each.file} ({', '.join(each.labels)})" for each in explanation.neighbors[:3])
        print(f"\nMost like it in training: {names}")
    for note in explanation.notes:
        print(f"Note: {note}.")
    for place in filter(None, (options.output, options.layers)):
        print(f"\nDrawn on {place}")
    return 0


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_report)
    parser.add_argument("run", metavar="RUN", help="run folder")
    add_options(parser, EvaluateSettings, ["language"])


def run_report(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo

    print(f"Report: {distingo.write_report(options.run, language=options.language)}")
    return 0


EXIT_UNREADABLE = 3
"""Exit code if some images could not be read; the others were predicted."""

_MOST_LISTED = 20
"""Maximum number of images to list that could not be read or sorted; the rest are only counted."""

_TABLE_OPTIONS = ("image_column", "image_folder")


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_predict)
    parser.add_argument("run", nargs="?", metavar="RUN", help="run folder")
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="images, folders of them, patterns ('photos/**/*.jpg'), tables with a column of paths, or - for paths"
        " from standard input",
    )
    names = ("topk", "abstain", "coverage", "output", "device", "engine", "workers", "max_pixels")
    add_options(parser, PredictSettings, names, {"topk": {"default": _TOPK}})
    add_options(parser.add_argument_group("tables of paths"), PredictSettings, _TABLE_OPTIONS)
    group = parser.add_argument_group("sorting into class folders")
    add_options(group, PredictSettings, ["sort_into"])
    way = group.add_mutually_exclusive_group()
    way.add_argument("--copy", dest="sort_as", action="store_const", const="copy", help="as a copy")
    way.add_argument("--link", dest="sort_as", action="store_const", const="link", help="as a symbolic link")
    add_options(group, PredictSettings, ["dry_run"])
    group.add_argument("--undo", metavar="FOLDER", help="undo the sorting into FOLDER (default: none)")


_TOPK = "one; of a model for several labels those that reach their thresholds"


def run_predict(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
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

    settings = values_of(options, PredictSettings)
    if "topk" not in settings and read_task(options.run) == "single-label":
        settings["topk"] = 1
    stream = distingo.predict_stream(options.run, options.paths, **settings)
    with caught():
        return _go_through(stream, options)


def _go_through(stream: BulkPrediction, options: argparse.Namespace) -> int:
    """Process all predictions, print those that are not written to a file, and return the exit code."""
    from distingo.progress import progress_bar

    for sentence in stream.guarantees:
        print(sentence, file=sys.stderr)
    printer = _PredictionPrinter(options)
    total = stream.images.count() if sys.stderr.isatty() and not printer.on_terminal else 0
    try:
        with progress_bar("Predicting", total) as advance:
            for prediction in stream:
                printer.add(prediction, stream.sorter)
                advance()
    except KeyboardInterrupt:
        again = "; the same command continues from there" if options.output or options.sort_into else ""
        raise InterruptionError(f"stopped after {printer.count:,} pictures{again}", code="interrupted") from None
    if options.output is not None:
        earlier = f" ({stream.resumed:,} of them from an earlier time)" if stream.resumed else ""
        print(f"{printer.count:,} row{'' if printer.count == 1 else 's'} written to {options.output}{earlier}")
    if stream.sorter is not None:
        _print_sorting(stream.sorter, options)
    return printer.sum_up() or int(stream.sorter is not None and bool(stream.sorter.failures))


class _PredictionPrinter:
    """Prints predictions as they arrive, and a summary at the end."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.count = 0
        self._unreadable = 0
        self._failures: list[str] = []
        self._printing = options.output is None and options.sort_into is None
        self._planning = options.dry_run
        self.on_terminal = (self._printing or self._planning) and sys.stdout.isatty()
        """Whether the lines themselves show how far it is."""

    def add(self, prediction: Prediction, sorter: Sorter | None) -> None:
        self.count += 1
        line = terminal.describe_prediction(prediction)
        if prediction.error:
            self._unreadable += 1
            if not self._printing and len(self._failures) < _MOST_LISTED:
                self._failures.append(line)
        if self._printing:
            print(line)
        elif self._planning and sorter is not None:
            for target in sorter.latest:
                print(terminal.escape_line(f"{prediction.file}\t{target}"))

    def sum_up(self) -> int:
        for line in self._failures:
            print(line, file=sys.stderr)
        if self._unreadable:
            print(f"distingo: {self._unreadable} of {self.count} pictures could not be read", file=sys.stderr)
        return EXIT_UNREADABLE if self._unreadable else 0


def _print_sorting(sorter: Sorter, options: argparse.Namespace) -> None:
    verb = "would be" if options.dry_run else "are"
    for folder, count in sorted(sorter.counts.items()):
        print(f"{folder}: {count:,}")
    done_verb = {"copy": "copied", "link": "linked"}[options.sort_as]
    print(f"{sorter.counts.total():,} pictures {verb} {done_verb} into {options.sort_into}")
    if options.dry_run:
        print("nothing was written, because of --dry-run")
    else:
        print(f"`distingo predict --undo {options.sort_into}` takes them out again")
    for source, reason in sorter.failures[:_MOST_LISTED]:
        print(terminal.escape_line(f"{source}\tNOT SORTED: {reason}"), file=sys.stderr)
    if sorter.failures:
        print(f"distingo: {len(sorter.failures)} pictures could not be sorted", file=sys.stderr)


def _print_unsorting(undone: Unsorting) -> int:
    print(f"{undone.removed:,} taken out of {undone.folder}")
    if undone.gone:
        print(f"{undone.gone:,} were not there")
    for path, reason in undone.left:
        print(terminal.escape_line(f"{path}: {reason}; it stays"))
    return int(bool(undone.left))


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_export)
    parser.add_argument("run", metavar="RUN", help="run folder")
    add_options(parser, ExportSettings, ["format", "output"])
    add_options(parser.add_mutually_exclusive_group(), ExportSettings, ["half", "int8"])
    add_options(parser, ExportSettings, ["check_on"])


def run_export(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare()
    import distingo

    exported = distingo.export(options.run, **values_of(options, ExportSettings))
    print(f"{exported.folder / exported.description.file}: {exported.bytes / 1e6:.1f} MB")
    print(f"Checked: {exported.agreement.words}.")
    if exported.agreement.unreadable:
        print(f"Left out of the check: {exported.agreement.unreadable:,} pictures that can't be read.")
    return 0


_ACCESS = ("rate_limit", "allowed_hosts", "proxies")

_SERVER_OPTIONS = ("host", "port", "workers", "device")

_CORRECTIONS = ("corrections", "new_classes")


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_serve)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or NAME=FOLDER")
    add_options(parser, ServeSettings, _SERVER_OPTIONS)
    limits = [name for name in options_of(ServeSettings) if name not in (*_SERVER_OPTIONS, *_ACCESS, *_CORRECTIONS)]
    add_options(parser.add_argument_group("limits"), ServeSettings, limits)
    access = parser.add_argument_group("who is let in")
    add_option(access, OptionField("api_key_file", API_KEY_FILE, str | None, str | None, None))
    add_options(access, ServeSettings, _ACCESS)
    add_options(parser.add_argument_group("corrections"), ServeSettings, _CORRECTIONS)
    show_first(
        parser,
        *_SERVER_OPTIONS,
        "max_upload",
        "max_wait",
        "max_batch",
        "queue",
        "api_key_file",
        *_ACCESS,
        *_CORRECTIONS,
    )


def run_serve(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from distingo.machine.process import share_cores

    share_cores(max(1, options.workers or 1))
    prepare()
    import distingo

    def announce(address: str) -> None:
        print(f"Serving at {address} (Ctrl-C ends it)", flush=True)

    names = (*options_of(ServeSettings), "api_key_file")
    distingo.serve(options.runs, on_start=announce, **values_of(options, ServeSettings, names))
    return 0


_MOST_CLASSES = 10


def add_corrections(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_corrections)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION", parser_class=type(parser))
    export = actions.add_parser("export", help="export the corrected pictures as a data set for training")
    export.set_defaults(command=run_corrections, parser=export)
    export.add_argument("file", metavar="FILE.sqlite", help="file of `distingo serve --corrections`")
    export.add_argument("-o", "--output", required=True, metavar="FOLDER", help="new folder for the data set")
    export.add_argument(
        "--model",
        metavar="NAME",
        help="model whose corrections to export (default: the only model; required if there are several)",
    )


def run_corrections(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.errors import name_some

    data = distingo.export_corrections(options.file, options.output, model=options.model)
    print(f"{data.images:,} picture{'s' * (data.images != 1)} corrected for {data.model}: {data.folder}")
    if data.classes:
        print(f"  {name_some([f'{name}: {count:,}' for name, count in data.classes.items()], _MOST_CLASSES)}")
    if data.unlabeled:
        print(f"  {data.unlabeled:,} without label")
    if data.superseded:
        print(f"  {data.superseded:,} earlier correction{'s' * (data.superseded != 1)} of the same pictures left out")
    for note in data.notes:
        print(f"Note: {note}")
    print(f"`distingo train {data.folder}` takes it; provenance.csv says where each picture comes from")
    return 0
