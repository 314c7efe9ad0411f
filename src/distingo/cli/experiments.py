"""The commands ``crossval``, ``learning-curve`` and ``tune``, which train many times."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from distingo.cli import terminal
from distingo.cli.options import (
    add_options,
    add_reading,
    add_recipe,
    given,
    grouping_of,
    reading_of,
    recipe_of,
    show_first,
)
from distingo.cli.terminal import prepare
from distingo.cli.training import FIRST, add_model
from distingo.options.training import (
    CrossvalSettings,
    GroupingSettings,
    LearningCurveSettings,
    TrainSettings,
    TuneSettings,
)

if TYPE_CHECKING:
    from distingo.tuning.records import Search, Trial


_FIRST = tuple(name for name in FIRST if name not in {"recipe_file", "resume", "split"})


def add_crossval(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_crossval)
    parser.add_argument("data", nargs="?", metavar="DATA", help="images as for train")
    group = parser.add_argument_group("folds")
    group.add_argument(
        "-o", "--output", default="crossval", metavar="FOLDER", help="folder to make (default: crossval)"
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

    settings = {**given(options, CrossvalSettings), **grouping_of(options), **recipe_of(options), **reading_of(options)}
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
        "-o", "--output", default="learning-curve", metavar="FOLDER", help="folder to make (default: learning-curve)"
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

    settings = {**given(options, LearningCurveSettings), **grouping_of(options)}
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
        "-o", "--output", default="tune", metavar="FOLDER", help="new folder, or one to go on with (default: tune)"
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

    settings = {**given(options, TuneSettings), **given(options, TrainSettings, _OF_SPLIT)}
    settings |= {**recipe_of(options), **reading_of(options)}
    search = distingo.tune(options.data, options.output, on_trial=_print_trial, **settings)
    _print(search, options.output)
    return 0


def _print_trial(trial: Trial, search: Search) -> None:
    """Print one line about a trial to stderr."""
    from distingo.tuning.words import say_score, say_values

    best = search.best_trial
    outcome = trial.reason or (say_score(search.monitor, trial.score) if trial.score is not None else "-")
    outcome += " (given up)" if trial.state == "pruned" else ""
    so_far = f"  best {say_score(search.monitor, best.score)}" if best and best.score is not None else ""
    print(f"trial {trial.number:>3}  {trial.stage:<8}  {outcome}{so_far}  {say_values(trial.values)}", file=sys.stderr)


def _print(search: Search, output: str) -> None:
    from distingo.tuning.words import cautions, say_choice, say_gain, say_values

    print(say_gain(search))
    if search.best_trial is not None:
        choice = say_choice(search)
        which = f"Recipe written, {choice}" if choice else f"Best recipe, trial {search.best_trial.number}"
        print(f"{which}: {say_values(search.best_trial.values) or 'the default'}")
    for caution in cautions(search):
        print(f"- {caution}")
    print(f"\nPage: {output}/tune.html\nNext: distingo train DATA --recipe {output}/best-recipe.json")
