"""The commands ``train``, ``demo``, ``models`` and ``fetch-weights``."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.cli import terminal
from distingo.cli.options import add_options, add_reading, add_recipe, given, reading_of, recipe_of, show_first
from distingo.cli.terminal import prepare
from distingo.options.fields import options_of
from distingo.options.training import TrainSettings, read_image_size

FIRST = ("output", "model", "recipe_file", "resume", "split", "epochs", "batch_size", "lr", "image_size", "augment")
"""Options that the ``--help`` of every training command shows; each command adds a few more."""


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_train)
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="one folder per class; train/ val/ test/; IDX files; or a table of labels",
    )
    group = parser.add_argument_group("run")
    group.add_argument("-o", "--output", default="run", metavar="RUN", help="run folder to make (default: run)")
    add_model(group, "; given several times: a run each, and one page that compares them", action="append")
    names = [name for name in options_of(TrainSettings) if name not in {"track", "track_to"}]
    add_options(group, TrainSettings, names)
    add_options(parser.add_argument_group("tracking"), TrainSettings, ("track", "track_to"))
    add_recipe(parser)
    add_reading(parser)
    show_first(parser, *FIRST, "mode", "device", "label_column", "seed", "track")


def add_model(group: Any, besides: str = "", **settings: Any) -> None:
    """Add the option ``--model``; `besides` is appended to its help text."""
    from distingo.training.recipe import Recipe

    field = options_of(Recipe)["model"]
    help_text = f"{field.option.help}{besides} (default: {field.default})"
    group.add_argument("--model", metavar="NAME", help=help_text, **settings)


def run_train(options: argparse.Namespace) -> int:
    """Train, evaluate, write a report and return the exit code."""
    prepare()
    import distingo

    settings = {**given(options, TrainSettings), **recipe_of(options), **reading_of(options)}
    settings["on_epoch"] = terminal.print_epoch
    models = settings.pop("model", [])
    if len(models) > 1:
        comparison = distingo.train_several(options.data, options.output, models=models, **settings)
        terminal.print_comparison(comparison)
        print(f"\nPage: {options.output}/comparison.html")
        return 0
    if models:
        settings["model"] = models[0]
    run = distingo.train(options.data, options.output, **settings)
    terminal.print_evaluation(run.evaluation, run.path)
    print(f"\nReport: {run.report}")
    return 0


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_demo)
    parser.add_argument("-o", "--output", default="demo", metavar="FOLDER", help="new folder (default: demo)")


def run_demo(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    prepare()
    import distingo

    run = distingo.demo(options.output, on_epoch=terminal.print_epoch)
    terminal.print_evaluation(run.evaluation, run.path)
    print(f"\nReport: {run.report}")
    return 0


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_models)
    parser.add_argument("name", nargs="?", help="show this model's layers")
    parser.add_argument(
        "--pretrained",
        nargs="?",
        const="*",
        metavar="PATTERN",
        help="list timm's backbones with size, input and license (default: distingo's own models)",
    )
    parser.add_argument(
        "--image-size", type=_image_size, metavar="N|HxW", help="for the layer table, each 1 to 8192 (default: 128)"
    )
    parser.add_argument(
        "--channels", type=int, choices=(1, 3), default=3, help="for the layer table: 1 gray, 3 RGB (default: 3)"
    )
    parser.add_argument(
        "--classes", type=int, default=10, metavar="N", help="for the layer table, 2 or more (default: 10)"
    )


def _image_size(text: str) -> int | tuple[int, int]:
    try:
        return read_image_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run_models(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo

    if options.pretrained is not None:
        for backbone in distingo.list_backbones(options.pretrained):
            print(terminal.describe_backbone(backbone))
        return 0
    if options.name is None:
        for entry in distingo.list_models():
            print(f"{entry.name:<13} {entry.summary}")
        return 0
    from distingo.models.catalog import build_network, find_model
    from distingo.models.layers import summarize

    size = options.image_size or find_model(options.name).image_size or 128
    height, width = (size, size) if isinstance(size, int) else size
    network = build_network(
        options.name, classes=options.classes, height=height, width=width, channels=options.channels
    )
    print(summarize(network, height, width, options.channels))
    return 0


def add_fetch_weights(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_fetch_weights)
    parser.add_argument("name", metavar="NAME", help="fast, good, best, or a name from `distingo models --pretrained`")


def run_fetch_weights(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo

    print(distingo.fetch_weights(options.name))
    return 0
