"""Commands that evaluate finished runs and write their pages."""

from __future__ import annotations

import argparse

from distingo.cli import terminal
from distingo.cli.options import (
    LIMIT_OF_RUN,
    add_corrections_option,
    add_language_option,
    add_machine_options,
    add_max_pixels_option,
    add_table_options,
    machine_settings,
    table_settings,
)
from distingo.cli.terminal import prepare


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_evaluate)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("data", nargs="?", metavar="DATA", help="other pictures, laid out as for train")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ..., mps, xpu")
    add_table_options(parser)
    add_corrections_option(parser)
    add_machine_options(parser, of_run=True)
    add_language_option(parser)


def run_evaluate(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    from pathlib import Path

    import distingo
    from distingo.run_folder import RunFolder

    common = {"device": options.device, **table_settings(options), **machine_settings(options)}
    common |= {"corrections": options.corrections, "language": options.language}
    terminal.print_evaluation(distingo.evaluate(options.run, options.data, **common), Path(options.run))
    folder = RunFolder(Path(options.run))
    page = folder.report if options.data is None else folder.judged_on(Path(options.data)) / folder.report.name
    print(f"\nReport: {page}")
    return 0


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_compare)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders judged on the same pictures")
    parser.add_argument(
        "--common",
        action="store_true",
        help="judge runs with other test pictures on those that all of them have in common",
    )
    parser.add_argument("-o", "--output", default="comparison", metavar="FOLDER", help="(default: comparison)")


def run_compare(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    from pathlib import Path

    import distingo
    from distingo.evaluation.comparison import COMPARISON_PAGE

    terminal.print_comparison(distingo.compare(options.runs, options.output, common=options.common))
    print(f"\nPage: {Path(options.output) / COMPARISON_PAGE}")
    return 0


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_explain)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("picture", metavar="PICTURE")
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="NAME",
        help="explain this class (repeatable; default: the predicted one, of several labels those that are given)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.png", required=True, help="heat maps, their check, the nearest pictures"
    )
    parser.add_argument("--layers", metavar="FILE.png", help="also draw the first filters and the feature maps")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ..., mps, xpu")
    add_max_pixels_option(parser, "a larger image is not read", LIMIT_OF_RUN)


def run_explain(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo
    from distingo.report.pages.explanation_sheet import describe_answer, describe_class

    explanation = distingo.explain(
        options.run,
        options.picture,
        classes=options.classes,
        output=options.output,
        layers=options.layers,
        device=options.device,
        max_pixels=options.max_pixels,
    )
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
    """Give the command its options."""
    parser.set_defaults(command=run_report)
    parser.add_argument("run", metavar="RUN")
    add_language_option(parser)


def run_report(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    print(f"Report: {distingo.write_report(options.run, language=options.language)}")
    return 0
