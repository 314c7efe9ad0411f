"""Commands that train, and the models that can be trained."""

from __future__ import annotations

import argparse

from distingo.cli import terminal
from distingo.cli.options import (
    add_language_option,
    add_near_duplicates_option,
    add_tracking_options,
    add_training_options,
    image_size,
    training_settings,
)
from distingo.cli.terminal import prepare


def add_train(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_train)
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


def run_train(options: argparse.Namespace) -> int:
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


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_demo)
    parser.add_argument("-o", "--output", default="demo", metavar="FOLDER", help="new folder (default: demo)")


def run_demo(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    prepare()
    import distingo

    finished = distingo.demo(options.output, on_epoch=terminal.print_epoch)
    terminal.print_evaluation(finished.evaluation, finished.path)
    print(f"\nReport: {finished.report}")
    return 0


def add_models(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_models)
    parser.add_argument("name", nargs="?", help="show this model's layers")
    parser.add_argument(
        "--pretrained", nargs="?", const="*", metavar="PATTERN", help="list timm's backbones: size, input, licence"
    )
    parser.add_argument("--image-size", type=image_size, metavar="N|HxW", help="for the layer table")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="for the layer table")
    parser.add_argument("--classes", type=int, default=10, help="for the layer table")


def run_models(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    if options.pretrained is not None:
        for backbone in distingo.list_backbones(options.pretrained):
            print(terminal.describe_backbone(backbone))
        return 0
    if options.name is None:
        for entry in distingo.list_models():
            print(f"{entry.name:<13} {entry.summary}")
        return 0
    from distingo.models.catalogue import build_network, find_model
    from distingo.models.summary import summarise

    size = options.image_size or find_model(options.name).image_size or 128
    height, width = (size, size) if isinstance(size, int) else size
    network = build_network(
        options.name, classes=options.classes, height=height, width=width, channels=options.channels
    )
    print(summarise(network, height, width, options.channels))
    return 0


def add_fetch_weights(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_fetch_weights)
    parser.add_argument("name", metavar="NAME", help="fast, good, best, or a name from `distingo models --pretrained`")


def run_fetch_weights(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo

    print(distingo.fetch_weights(options.name))
    return 0
