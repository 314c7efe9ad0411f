"""Train on a folder of pictures, judge once, write a report."""

from __future__ import annotations

import argparse
from typing import Any

from distingo import terminal
from distingo.commands.preparing import prepare
from distingo.options import (
    add_language_option,
    add_near_duplicates_option,
    add_tracking_options,
    add_training_options,
    training_settings,
)


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("train", help="train on a folder of pictures, judge once, write a report")
    parser.set_defaults(command=run)
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="one folder per class; train/ val/ test/; IDX files; or a table of labels",
    )
    parser.add_argument("-o", "--output", default="run", metavar="RUN", help="run folder to make (default: run)")
    parser.add_argument(
        "--model",
        action="append",
        help="a name from `distingo models`, a timm backbone or a timm hub folder (default: chosen, and said why);"
        " given several times: a run each, and one page that compares them",
    )
    parser.add_argument("--config", metavar="FILE", help="repeat the run of this config.json")
    parser.add_argument("--recipe", metavar="FILE", help="recipe fields from a file, such as `tune`'s best-recipe.json")
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN after an interruption")
    parser.add_argument("--split", metavar="FILE", help="the sides, as `distingo split` wrote them")
    parser.add_argument("--fold", type=int, metavar="K", help="of a split file with folds: the one to test on")
    add_near_duplicates_option(parser)
    add_training_options(parser)
    add_tracking_options(parser)
    add_language_option(parser)


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    settings = training_settings(options)
    models = settings.pop("model", [])
    common = {"config": options.config, "resume": options.resume, "on_epoch": terminal.print_epoch}
    common |= {"split": options.split, "fold": options.fold, "recipe_file": options.recipe}
    common["near_duplicates"] = options.near_duplicates
    common |= {"track": options.track, "track_to": options.track_to}
    common["language"] = options.language
    if len(models) > 1:
        comparison = distingo.train_several(options.data, options.output, models=models, **common, **settings)
        terminal.print_comparison(comparison)
        print(f"\nPage: {options.output}/comparison.html")
        return 0
    if models:
        settings["model"] = models[0]
    finished = distingo.train(options.data, options.output, **common, **settings)
    terminal.print_evaluation(finished.evaluation, finished.path)
    print(f"\nReport: {finished.report}")
    return 0
