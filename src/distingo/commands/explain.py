"""Show why a model says what it says of a picture."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.commands.preparing import prepare
from distingo.options import LIMIT_OF_RUN, add_max_pixels_option


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("explain", help="show what speaks for a class in a picture, and whether to believe it")
    parser.set_defaults(command=run)
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


def run(options: argparse.Namespace) -> int:
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
