"""The commands that train, once or many times: ``train``, ``demo``, ``crossval``, ``learning-curve`` and ``tune``.

``models`` and ``fetch-weights`` list what can be trained.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from distingo.cli import terminal
from distingo.cli.options import (
    add_options,
    add_reading,
    add_recipe,
    grouping_of,
    reading_of,
    recipe_of,
    show_first,
    values_of,
)
from distingo.cli.terminal import prepare
from distingo.options.fields import options_of
from distingo.options.training import (
    CrossvalSettings,
    GroupingSettings,
    LearningCurveSettings,
    TrainSettings,
    TuneSettings,
    read_image_size,
)

if TYPE_CHECKING:
    from distingo.experiments.tuning_records import Search, Trial


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
    group.add_argument("-o", "--output", default="run", metavar="RUN", help="run folder to create (default: run)")
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

    settings = {**values_of(options, TrainSettings), **recipe_of(options), **reading_of(options)}
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


_FIRST = tuple(name for name in FIRST if name not in {"recipe_file", "resume", "split"})


def add_crossval(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_crossval)
    parser.add_argument("data", nargs="?", metavar="DATA", help="images as for train")
    group = parser.add_argument_group("folds")
    group.add_argument(
        "-o", "--output", default="crossval", metavar="FOLDER", help="folder to create (default: crossval)"
    )
    add_model(group)
    add_options(group, CrossvalSettings)
    add_options(parser.add_argument_group("what belongs together"), GroupingSettings)
    add_recipe(parser, left_out=["test"])
    add_reading(parser)
    show_first(parser, *_FIRST, "folds", "repeats", "split", "resume", "group_column", "mode", "seed")


def run_crossval(options: argparse.Namespace) -> int:
    """Cross-validate and return the exit code."""
    prepare()
    import distingo

    settings = {**values_of(options, CrossvalSettings), **grouping_of(options), **recipe_of(options)}
    settings |= reading_of(options)
    result = distingo.crossval(options.data, options.output, on_epoch=terminal.print_epoch, **settings)
    terminal.print_cross_validation(result)
    print(f"\nPage: {options.output}/crossval.html")
    return 0


def add_learning_curve(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_learning_curve)
    parser.add_argument("data", metavar="DATA|RUN", help="images as for train, or a run: its data and recipe")
    group = parser.add_argument_group("learning curve")
    group.add_argument(
        "-o", "--output", default="learning-curve", metavar="FOLDER", help="folder to create (default: learning-curve)"
    )
    add_model(group, "; here a frozen backbone or descriptors")
    add_options(group, LearningCurveSettings)
    add_options(parser.add_argument_group("what belongs together"), GroupingSettings)
    add_recipe(parser)
    add_reading(parser)
    show_first(
        parser,
        *("output", "model", "sizes", "draws", "group_column", "near_duplicates", "burst", "image_size"),
        *("head", "views", "seed", "device", "label_column"),
    )


def run_learning_curve(options: argparse.Namespace) -> int:
    """Measure a learning curve and return the exit code."""
    prepare()
    import distingo

    settings = {**values_of(options, LearningCurveSettings), **grouping_of(options)}
    settings |= {**recipe_of(options), **reading_of(options)}
    curve = distingo.learning_curve(options.data, options.output, **settings)
    terminal.print_learning_curve(curve)
    print(f"\nPage: {options.output}/learning-curve.html")
    return 0


_OF_SPLIT = ("recipe_file", "split", "fold", "near_duplicates")


def add_tune(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_tune)
    parser.add_argument("data", metavar="DATA", help="images as for train")
    group = parser.add_argument_group("search")
    group.add_argument(
        "-o", "--output", default="tune", metavar="FOLDER", help="new folder, or one to continue (default: tune)"
    )
    add_model(group)
    add_options(group, TuneSettings)
    add_options(group, TrainSettings, _OF_SPLIT)
    add_recipe(parser)
    add_reading(parser)
    show_first(parser, *FIRST[:3], "split", "trials", "budget", *FIRST[5:], "mode", "seed", "device")


def run_tune(options: argparse.Namespace) -> int:
    """Search for a recipe and return the exit code."""
    prepare()
    import distingo

    settings = {**values_of(options, TuneSettings), **values_of(options, TrainSettings, _OF_SPLIT)}
    settings |= {**recipe_of(options), **reading_of(options)}
    search = distingo.tune(options.data, options.output, on_trial=_print_trial, **settings)
    _print(search, options.output)
    return 0


def _print_trial(trial: Trial, search: Search) -> None:
    """Print one line about a trial to stderr."""
    from distingo.report.pages.tuning import format_score, format_values

    best = search.best_trial
    outcome = trial.reason or (format_score(search.monitor, trial.score) if trial.score is not None else "-")
    outcome += " (given up)" if trial.state == "pruned" else ""
    so_far = f"  best {format_score(search.monitor, best.score)}" if best and best.score is not None else ""
    print(
        f"trial {trial.number:>3}  {trial.stage:<8}  {outcome}{so_far}  {format_values(trial.values)}", file=sys.stderr
    )


def _print(search: Search, output: str) -> None:
    from distingo.report.pages.tuning import cautions, describe_choice, format_values, summarize_gain

    print(summarize_gain(search))
    if search.best_trial is not None:
        choice = describe_choice(search)
        which = f"Recipe written, {choice}" if choice else f"Best recipe, trial {search.best_trial.number}"
        print(f"{which}: {format_values(search.best_trial.values) or 'the default'}")
    for caution in cautions(search):
        print(f"- {caution}")
    print(f"\nPage: {output}/tune.html\nNext: distingo train DATA --recipe {output}/best-recipe.json")
