"""The commands ``evaluate``, ``compare``, ``explain`` and ``report``, for finished runs."""

from __future__ import annotations

import argparse

from distingo.cli import terminal
from distingo.cli.options import add_options, add_reading, given, reading_of, show_first
from distingo.cli.terminal import prepare
from distingo.options.commands import LIMIT_OF_RUN, EvaluateSettings, ExplainSettings


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

    settings = {**given(options, EvaluateSettings), **reading_of(options)}
    terminal.print_evaluation(distingo.evaluate(options.run, options.data, **settings), Path(options.run))
    folder = RunFolder(Path(options.run))
    page = folder.report if options.data is None else folder.judged_on(Path(options.data)) / folder.report.name
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
    from distingo.evaluation.comparison import COMPARISON_PAGE

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
    from distingo.report.pages.explanation_sheet import describe_answer, describe_class

    explanation = distingo.explain(options.run, options.image, **given(options, ExplainSettings, _EXPLAIN))
    print(f"{describe_answer(explanation)}.")
    for explained in explanation.classes:
        print(f"\nWhat speaks for {explained.heat.label}:")
        for sentence in describe_class(explained):
            print(f"  {sentence}")
    if explanation.neighbours:
        names = ", ".join(f"{each.file} ({', '.join(each.labels)})" for each in explanation.neighbours[:3])
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
