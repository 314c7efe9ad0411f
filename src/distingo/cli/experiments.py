"""Commands that try a recipe many times: folds, sizes of the training split, other recipes."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from distingo.cli import terminal
from distingo.cli.options import (
    add_belonging_options,
    add_near_duplicates_option,
    add_training_options,
    belonging_settings,
    training_settings,
)
from distingo.cli.terminal import prepare

if TYPE_CHECKING:
    from distingo.tuning.records import Search, Trial


def add_crossval(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_crossval)
    parser.add_argument("data", nargs="?", metavar="DATA", help="laid out as for train")
    parser.add_argument("-o", "--output", default="crossval", metavar="FOLDER", help="to make (default: crossval)")
    parser.add_argument("--model", help="as for train (default: chosen, and said why)")
    parser.add_argument("--folds", type=int, metavar="K", help="(default: 5)")
    parser.add_argument("--repeats", type=int, default=1, metavar="R", help="divisions into folds (default: 1)")
    parser.add_argument("--split", metavar="FILE", help="the folds, as `distingo split --folds` wrote them")
    parser.add_argument("--resplit", action="store_true", help="divide anew where the data has sides of its own")
    parser.add_argument("--resume", action="store_true", help="go on in FOLDER; finished folds are kept")
    add_belonging_options(parser)
    add_training_options(parser)


def run_crossval(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    found = distingo.crossval(
        options.data,
        options.output,
        folds=options.folds,
        repeats=options.repeats,
        split=options.split,
        resplit=options.resplit,
        resume=options.resume,
        on_epoch=terminal.print_epoch,
        **belonging_settings(options),
        **training_settings(options),
    )
    terminal.print_cross_validation(found)
    print(f"\nPage: {options.output}/crossval.html")
    return 0


def add_learning_curve(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_learning_curve)
    parser.add_argument("data", metavar="DATA|RUN", help="laid out as for train, or a run: its data and recipe")
    parser.add_argument(
        "-o", "--output", default="learning-curve", metavar="FOLDER", help="to make (default: learning-curve)"
    )
    parser.add_argument("--model", help="a frozen backbone or descriptors (default: chosen, and said why)")
    parser.add_argument("--sizes", type=int, default=8, metavar="N", help="training sizes at most (default: 8)")
    parser.add_argument("--draws", type=int, default=5, metavar="N", help="draws of pictures per size (default: 5)")
    add_belonging_options(parser)
    add_training_options(parser)


def run_learning_curve(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    found = distingo.learning_curve(
        options.data,
        options.output,
        sizes=options.sizes,
        draws=options.draws,
        **belonging_settings(options),
        **training_settings(options),
    )
    terminal.print_learning_curve(found)
    print(f"\nPage: {options.output}/learning-curve.html")
    return 0


_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def add_tune(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_tune)
    parser.add_argument("data", metavar="DATA", help="pictures as for train")
    parser.add_argument(
        "-o", "--output", default="tune", metavar="FOLDER", help="new, or to go on with (default: tune)"
    )
    parser.add_argument("--model", help="as for train (default: chosen, and said why)")
    parser.add_argument(
        "--trials", type=int, metavar="N", help="how many recipes to try in all, the default among them"
    )
    parser.add_argument("--budget", type=stretch_of_time, metavar="TIME", help="how long to try: 90s, 30m, 2h, 1h30m")
    parser.add_argument("--recipe", metavar="FILE", help="recipe fields from a file; they stay as they are")
    parser.add_argument("--split", metavar="FILE", help="the sides, as `distingo split` wrote them")
    parser.add_argument("--fold", type=int, metavar="K", help="of a split file with folds: the one to leave alone")
    add_near_duplicates_option(parser)
    add_training_options(parser)


def run_tune(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    search = distingo.tune(
        options.data,
        options.output,
        trials=options.trials,
        budget=options.budget,
        recipe_file=options.recipe,
        split=options.split,
        fold=options.fold,
        near_duplicates=options.near_duplicates,
        on_trial=_print_trial,
        **training_settings(options),
    )
    _print(search, options.output)
    return 0


def stretch_of_time(text: str) -> float:
    """Read a stretch of time as a person types it, ``30m`` or ``1h30m``, in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.lower():
        raise argparse.ArgumentTypeError(f"{text!r} is no stretch of time; give one such as 90s, 30m, 2h or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _print_trial(trial: Trial, search: Search) -> None:
    """One line on a trial, to stderr."""
    from distingo.tuning.words import say_score, say_values

    best = search.best_trial
    told = trial.reason or (say_score(search.monitor, trial.score) if trial.score is not None else "-")
    told += " (given up)" if trial.state == "pruned" else ""
    so_far = f"  best {say_score(search.monitor, best.score)}" if best and best.score is not None else ""
    print(f"trial {trial.number:>3}  {trial.stage:<8}  {told}{so_far}  {say_values(trial.values)}", file=sys.stderr)


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
