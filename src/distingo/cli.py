"""The ``distingo`` command: one thin function per sub-command; errors become exit codes in one place."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from distingo import terminal
from distingo.errors import DistingoError, UsageError, name_the_nearest
from distingo.options import (
    AUGMENTATIONS,
    add_label_options,
    add_machine_options,
    add_pretrained_options,
    add_recipe_options,
    add_table_options,
    image_size,
    machine_settings,
    table_settings,
)
from distingo.version import __version__

EXIT_UNREADABLE = 3
"""Some pictures could not be read; the others were predicted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after ``distingo``; None takes the process's own.

    Returns:
        The exit code: 0; 1 for a hindrance, 2 for a wrong call, 3 for unreadable pictures, 130 for Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parse(words)
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except DistingoError as error:
        print(f"distingo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("distingo: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as in `distingo models | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    options, unknown = _parser().parse_known_args(words)
    if unknown:
        known = [word for action in options.parser._actions for word in action.option_strings]
        near = name_the_nearest(unknown[0], known, limit=2)
        advice = f", {near}" if near.startswith("did you mean") else ""
        options.parser.error(f"unknown: {' '.join(unknown)}{advice}")
    return options


class _Parser(argparse.ArgumentParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> Any:
        raise UsageError(f"{message} (`{self.prog} --help` lists what is allowed)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="distingo", description="From a folder of pictures to a trustworthy image classifier.")
    parser.add_argument("--version", action="version", version=f"distingo {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(commands)
    _add_evaluate(commands)
    _add_compare(commands)
    _add_predict(commands)
    _add_report(commands)
    _add_models(commands)
    _add_fetch_weights(commands)
    _add_inspect(commands)
    _add_demo(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser


def _add_train(commands: Any) -> None:
    parser = commands.add_parser("train", help="train on a folder of pictures, judge once, write a report")
    parser.set_defaults(command=_train)
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
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN after an interruption")
    add_recipe_options(parser)
    add_pretrained_options(parser)
    add_label_options(parser)
    add_table_options(parser)
    add_machine_options(parser)


def _prepare() -> None:
    """Place OpenMP's threads (which must happen before torch loads) and let choices and epochs be heard."""
    import logging

    from distingo.threads import set_thread_environment

    set_thread_environment()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("distingo")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def _train(options: argparse.Namespace) -> int:
    _prepare()
    from dataclasses import fields

    import distingo
    from distingo.training.recipe import Recipe

    names = [*(field.name for field in fields(Recipe)), "image_size"]
    recipe = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    models = recipe.pop("model", [])
    common = {"config": options.config, "resume": options.resume, "on_epoch": terminal.print_epoch}
    common |= machine_settings(options) | table_settings(options)
    if len(models) > 1:
        comparison = distingo.train_several(options.data, options.output, models=models, **common, **recipe)
        terminal.print_comparison(comparison)
        print(f"\nPage: {options.output}/comparison.html")
        return 0
    if models:
        recipe["model"] = models[0]
    run = distingo.train(options.data, options.output, **common, **recipe)
    terminal.print_evaluation(run.evaluation, run.path)
    print(f"\nReport: {run.report}")
    return 0


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="judge a run's model on its test side or on other pictures")
    parser.set_defaults(command=_evaluate)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("data", nargs="?", metavar="DATA", help="other pictures, laid out as for train")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    add_table_options(parser)
    add_machine_options(parser)


def _evaluate(options: argparse.Namespace) -> int:
    _prepare()
    from pathlib import Path

    import distingo
    from distingo.run_folder import RunFolder

    common = {"device": options.device, **table_settings(options), **machine_settings(options)}
    terminal.print_evaluation(distingo.evaluate(options.run, options.data, **common), Path(options.run))
    folder = RunFolder(Path(options.run))
    page = folder.report if options.data is None else folder.judged_on(Path(options.data)) / folder.report.name
    print(f"\nReport: {page}")
    return 0


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser("compare", help="put finished runs side by side on one page")
    parser.set_defaults(command=_compare)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders judged on the same pictures")
    parser.add_argument("-o", "--output", default="comparison", metavar="FOLDER", help="(default: comparison)")


def _compare(options: argparse.Namespace) -> int:
    from pathlib import Path

    import distingo
    from distingo.evaluation.comparison import COMPARISON_PAGE

    terminal.print_comparison(distingo.compare(options.runs, options.output))
    print(f"\nPage: {Path(options.output) / COMPARISON_PAGE}")
    return 0


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser("predict", help="name what pictures show")
    parser.set_defaults(command=_predict)
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="pictures, or folders of them")
    parser.add_argument(
        "--topk",
        type=int,
        help="so many labels per picture, most probable first (default: one; of a model for several labels those that"
        " reach their thresholds)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write a .csv, .jsonl or .parquet file instead of printing"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")


def _predict(options: argparse.Namespace) -> int:
    _prepare()
    import distingo
    from distingo.prediction.predictor import read_task

    topk = options.topk
    if topk is None and read_task(options.run) == "single-label":
        topk = 1
    predictions = distingo.predict(options.run, options.paths, topk=topk, output=options.output, device=options.device)
    unreadable = [prediction for prediction in predictions if prediction.error]
    if options.output is None:
        for prediction in predictions:
            print(terminal.describe_prediction(prediction))
    else:
        print(f"{len(predictions):,} rows written to {options.output}")
    if unreadable:
        print(f"distingo: {len(unreadable)} of {len(predictions)} pictures could not be read", file=sys.stderr)
        return EXIT_UNREADABLE
    return 0


def _add_report(commands: Any) -> None:
    parser = commands.add_parser("report", help="write a run's report.html again")
    parser.set_defaults(command=_report)
    parser.add_argument("run", metavar="RUN")


def _report(options: argparse.Namespace) -> int:
    import distingo

    print(f"Report: {distingo.write_report(options.run)}")
    return 0


def _add_models(commands: Any) -> None:
    parser = commands.add_parser("models", help="list the models that train knows")
    parser.set_defaults(command=_models)
    parser.add_argument("name", nargs="?", help="show this model's layers")
    parser.add_argument(
        "--pretrained", nargs="?", const="*", metavar="PATTERN", help="list timm's backbones: size, input, licence"
    )
    parser.add_argument("--image-size", type=image_size, metavar="N|HxW", help="for the layer table")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="for the layer table")
    parser.add_argument("--classes", type=int, default=10, help="for the layer table")


def _models(options: argparse.Namespace) -> int:
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


def _add_fetch_weights(commands: Any) -> None:
    parser = commands.add_parser("fetch-weights", help="get a pretrained backbone's weights ahead of time")
    parser.set_defaults(command=_fetch_weights)
    parser.add_argument("name", metavar="NAME", help="fast, good, best, or a name from `distingo models --pretrained`")


def _fetch_weights(options: argparse.Namespace) -> int:
    import distingo

    print(distingo.fetch_weights(options.name))
    return 0


def _add_inspect(commands: Any) -> None:
    parser = commands.add_parser("inspect", help="account for every file; look at samples and at augmentation")
    parser.set_defaults(command=_inspect)
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("-o", "--output", metavar="FILE", help="page to write (default: inspection.html)")
    parser.add_argument("--augment", metavar="PRESET", help=f"draw augmented samples instead: {AUGMENTATIONS}")
    parser.add_argument("--image-size", type=int, metavar="N", help="for augmented samples")
    add_table_options(parser)
    add_machine_options(parser)


def _inspect(options: argparse.Namespace) -> int:
    _prepare()
    import distingo

    if options.augment:
        output = options.output or f"augment-{options.augment}.png"
        print(distingo.show_augmentation(options.data, options.augment, output, image_size=options.image_size))
        return 0
    from collections import Counter

    output = options.output or "inspection.html"
    dataset = distingo.inspect(options.data, output, **table_settings(options), **machine_settings(options))
    print(f"{dataset.root}: {dataset.layout}")
    for note in dataset.notes:
        print(f"  {note}")
    found = sum(row.status != "missing" for row in dataset.manifest)
    print(f"{len(dataset.pictures):,} usable pictures of {found:,} files found")
    for name, count in sorted(Counter(label for picture in dataset.pictures for label in picture.labels).items()):
        print(f"  {name:<24} {count:>7,}")
    for row in [row for row in dataset.manifest if row.status != "used"][:20]:
        print(f"  {row.status:<10} {row.file}: {row.reason}")
    left = sum(row.status != "used" for row in dataset.manifest) - 20
    if left > 0:
        print(f"  ... and {left:,} more in {output}")
    print(f"Page: {output}")
    return 0


def _add_demo(commands: Any) -> None:
    parser = commands.add_parser("demo", help="the main job on handwritten digits, nothing to download")
    parser.set_defaults(command=_demo)
    parser.add_argument("-o", "--output", default="demo", metavar="FOLDER", help="new folder (default: demo)")


def _demo(options: argparse.Namespace) -> int:
    _prepare()
    import distingo

    run = distingo.demo(options.output, on_epoch=terminal.print_epoch)
    terminal.print_evaluation(run.evaluation, run.path)
    print(f"\nReport: {run.report}")
    return 0
