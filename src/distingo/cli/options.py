"""The options that commands share, by what they are about."""

from __future__ import annotations

import argparse
from typing import Any

from distingo.language import LANGUAGES, VARIABLE
from distingo.records import DEFAULT_MAX_PIXELS

AUGMENTATIONS = "none, light, reference, standard, overhead"
"""Names of the augmentation presets; here, since importing them loads torch."""


def add_pretrained_options(parser: argparse.ArgumentParser) -> None:
    """Offer what concerns pretrained backbones."""
    group = parser.add_argument_group("pretrained backbones")
    group.add_argument(
        "--mode",
        choices=("scratch", "frozen", "finetune"),
        help="frozen (default): solve a head on features that are computed once; finetune: go on from there",
    )
    group.add_argument("--weights", metavar="none|FOLDER|FILE", help="instead of the published ones")
    group.add_argument("--head", choices=("linear", "linear-svm", "prototype", "knn"), help="default: linear")
    group.add_argument("--views", choices=("none", "flip", "crops"), help="what the frozen backbone sees besides")
    group.add_argument("--engine", choices=("auto", "torch", "openvino"), help="what runs the frozen backbone")
    group.add_argument("--layer-decay", type=float, help="finetune: share of the learning rate from block to block")
    group.add_argument("--batch-norm", choices=("frozen", "updated"), help="finetune: statistics of batch norm")
    group.add_argument("--unfreeze-epochs", type=float, help="finetune: let blocks learn one after another")


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Offer what concerns several labels per picture."""
    group = parser.add_argument_group("several labels per picture")
    group.add_argument("--positive-weights", choices=("none", "balanced"), help="let yes and no weigh alike")
    group.add_argument(
        "--threshold-aim", choices=("f1", "precision", "recall"), help="what labels' thresholds are for (default: f1)"
    )
    group.add_argument("--threshold-wanted", type=float, metavar="SHARE", help="the precision or recall aimed at")


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Offer the fields of a recipe."""
    group = parser.add_argument_group("recipe (what is left out is chosen to fit model and data)")
    group.add_argument("--epochs", type=int, help="passes over the training pictures")
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        metavar="N|auto",
        help="images per step, 1 or more; auto: the largest power of two up to 1024 that fits into memory and leaves "
        "an epoch 16 steps (or the default), with a learning rate to suit unless --lr is given (default: by model and "
        "data, 32 to 128)",
    )
    group.add_argument("--lr", "--learning-rate", type=float, help="peak learning rate")
    group.add_argument("--image-size", type=image_size, metavar="N|HxW", help="pixels the model sees")
    group.add_argument("--channels", type=int, choices=(1, 3), help="1 grey, 3 RGB")
    group.add_argument("--optimizer", "--opt", choices=("adam", "adamw", "sgd"), help="optimiser")
    group.add_argument("--momentum", type=float, help="of sgd")
    group.add_argument("--weight-decay", type=float, help="on weight matrices and kernels")
    group.add_argument(
        "--schedule", "--sched", choices=("constant", "cosine", "one-cycle"), help="of the learning rate"
    )
    group.add_argument("--warmup-epochs", type=float, help="linear rise at the start")
    group.add_argument(
        "--loss",
        choices=("auto", "cross-entropy", "binary-cross-entropy", "asymmetric", "focal"),
        help="auto: binary-cross-entropy with several labels per picture, else cross-entropy",
    )
    group.add_argument("--label-smoothing", "--smoothing", type=float, help="share spread over all classes")
    group.add_argument("--dropout", type=float, help="replaces the architecture's own")
    group.add_argument("--class-weights", choices=("none", "balanced"), help="weigh rare classes more")
    group.add_argument("--augment", metavar="PRESET", help=AUGMENTATIONS)
    group.add_argument(
        "--normalise", "--normalize", choices=("none", "dataset", "sample", "zca"), help="of pixel values"
    )
    group.add_argument("--ema-decay", type=float, help="moving average of weights; 0 switches it off")
    group.add_argument(
        "--monitor",
        choices=("validation_accuracy", "validation_loss", "validation_mean_average_precision"),
        help="chooses the best epoch",
    )
    group.add_argument("--patience", type=int, help="stop after so many epochs without a better score; 0 never")
    group.add_argument("--seed", type=int, help="of everything random (default 0)")
    group.add_argument("--validation", type=float, help="share cut for validation where none is given (0.15)")
    group.add_argument("--test", type=float, help="share cut for the test where none is given (0.2)")
    group.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="of network computations")
    group.add_argument("--device", help="auto, cpu, cuda, cuda:1 ..., mps, xpu")


def add_tracking_options(parser: argparse.ArgumentParser) -> None:
    """Offer to write a run where people already look."""
    group = parser.add_argument_group("tracking")
    group.add_argument("--track", choices=("tensorboard", "mlflow"), help="write curves, scores and model there too")
    group.add_argument(
        "--track-to",
        metavar="PLACE",
        help="TensorBoard: a folder (default: tensorboard in RUN); MLflow: an address (default: MLFLOW_TRACKING_URI)",
    )


def recipe_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about the recipe, and the size of pictures, by the calls' names."""
    from dataclasses import fields

    from distingo.training.recipe import Recipe

    names = [*(field.name for field in fields(Recipe)), "image_size"]
    return {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}


LIMIT_OF_RUN = f"as the run was trained, else {DEFAULT_MAX_PIXELS:,}"
"""What a command says of the pixel limit that works with a run."""


def add_max_pixels_option(group: Any, what: str, default: str = f"{DEFAULT_MAX_PIXELS:,}") -> None:
    """Offer the size above which an image is not decoded.

    Args:
        group: A parser, or a group of its options.
        what: What becomes of larger ones, in words.
        default: What is taken where nothing is given, in words.
    """
    group.add_argument(
        "--max-pixels",
        type=int,
        metavar="N",
        help=f"{what}: width times height, 1 or more (default: {default})",
    )


def add_machine_options(parser: argparse.ArgumentParser, *, of_run: bool = False) -> None:
    """Offer what concerns this machine only.

    Args:
        parser: Of the command.
        of_run: Whether the pixel limit of a run goes before the default.
    """
    group = parser.add_argument_group("machine")
    group.add_argument("--workers", type=int, help="decoding threads (default: one per core)")
    default = LIMIT_OF_RUN if of_run else f"{DEFAULT_MAX_PIXELS:,}"
    add_max_pixels_option(group, "larger images are listed as unusable", default)
    group.add_argument("--cache", metavar="FOLDER", help="where decoded pictures are kept (also DISTINGO_CACHE)")


def add_language_option(parser: argparse.ArgumentParser) -> None:
    """Offer the language of pages and model cards."""
    parser.add_argument(
        "--language",
        choices=LANGUAGES,
        help=f"of the report and the model card (default: what {VARIABLE} says, else en); names of classes stay",
    )


def image_size(text: str) -> int | tuple[int, int]:
    """Read a size as a person types it: ``128`` or ``400x300``."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; give a number such as 128, or HEIGHTxWIDTH")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no batch size; give a whole number such as 32, or auto"
        ) from None


def machine_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about the machine, by the calls' names."""
    names = ("workers", "max_pixels", "cache")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Offer what says how a table of labels is to be read."""
    group = parser.add_argument_group("table of labels (what is left out is recognised)")
    group.add_argument("--image-column", metavar="NAME", help="column that names the pictures")
    group.add_argument("--label-column", metavar="NAME", help="column that holds the label, or several")
    group.add_argument("--label-columns", nargs="+", metavar="NAME", help="columns of 0 and 1, one per label")
    group.add_argument("--delimiter", metavar="TEXT", help="between the labels of one cell ('' for one label per cell)")
    group.add_argument("--image-folder", metavar="FOLDER", help="where the table's pictures are, at any depth")
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line holds the names of the columns (default: found out)",
    )
    group.add_argument(
        "--class-names",
        metavar="FILE|none",
        help="names of numbered classes, one a line (default: classes.txt or another usual name next to the table)",
    )
    group.add_argument(
        "--merge-labels",
        choices=("spelling", "missing", "all"),
        help="spelling: labels (and class folders) that differ only in case, spaces, Unicode form or number format "
        "become one; missing: NA, nan, None, - and the like become no label; all: both (default: they are reported)",
    )
    group.add_argument("--allow-missing", action="store_true", help="go on though half of the pictures are missing")
    group = parser.add_argument_group("folders (what is left out is recognised)")
    group.add_argument(
        "--splits",
        metavar="train=FOLDER,test=FOLDER|none",
        help="which folders are the splits train, validation and test (* is every other folder; in a path such as "
        "*/train any folder, and {class} one whose name is the class), or that none is (default: by their names, such "
        "as Training and test_set)",
    )
    group.add_argument(
        "--labels-from",
        choices=("folders", "table"),
        help="where class folders lie beside a table (default: a table with a label column that names most images and "
        "does not repeat the folders' names, else the folders)",
    )


def add_near_duplicates_option(parser: argparse.ArgumentParser) -> None:
    """Offer what keeps near-duplicates on one split."""
    parser.add_argument(
        "--near-duplicates",
        type=_limit,
        metavar="SIMILARITY",
        help="0.6 to 1: pictures at least so alike, also turned or mirrored, stay on one side where train divides, and "
        "are counted where the data or --split does; none (default: 0.8)",
    )


def add_value_range_option(parser: argparse.ArgumentParser) -> None:
    """Offer what the stored values of deep images are scaled by."""
    parser.add_argument(
        "--value-range",
        metavar="LOW,HIGH|auto",
        help="values shown as black and as white in images of more than 8 bits, signed or float, such as 0,4095 "
        "(default: auto, decided by all of them; 8-bit images are never scaled)",
    )


def add_corrections_option(parser: argparse.ArgumentParser) -> None:
    """Offer another table of corrections than the data set's own, or none."""
    parser.add_argument(
        "--corrections", metavar="FILE|none", help="instead of corrections.csv in the data set's folder"
    )


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Offer what every command that trains takes: recipe, labels, table, corrections, machine."""
    add_recipe_options(parser)
    add_pretrained_options(parser)
    add_label_options(parser)
    add_table_options(parser)
    add_corrections_option(parser)
    add_value_range_option(parser)
    add_machine_options(parser)


def training_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was said in `add_training_options`, and the model, by the calls' names."""
    said = {**table_settings(options), **machine_settings(options), **recipe_settings(options)}
    return {"corrections": options.corrections, "value_range": options.value_range, **said}


def table_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about a table, by the calls' names."""
    from distingo.datasets.tables.table import TableOptions

    table = TableOptions(
        options.image_column,
        options.label_column,
        tuple(options.label_columns or ()),
        options.delimiter,
        options.image_folder,
        splits=options.splits,
        labels_from=options.labels_from,
        header=options.header,
        class_names=options.class_names,
        merge_labels=options.merge_labels,
    )
    return {"table": table if table.given else None, "allow_missing": options.allow_missing}


def add_belonging_options(parser: argparse.ArgumentParser) -> None:
    """Offer what holds pictures together that must not be torn apart."""
    group = parser.add_argument_group("what belongs together")
    group.add_argument("--group-column", metavar="NAME", help="of the table: same value, same side")
    group.add_argument(
        "--near-duplicates",
        type=_limit,
        metavar="SIMILARITY",
        help="from which on copies stay together; none (default: 0.8)",
    )
    group.add_argument(
        "--burst", type=_limit, metavar="SECONDS", help="from one picture of a camera to the next; none (default: 2)"
    )


def belonging_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about belonging together, by the calls' names."""
    names = ("group_column", "near_duplicates", "burst")
    wishes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return {name: None if value == "none" else value for name, value in wishes.items()}


def _limit(text: str) -> float | str:
    if text == "none":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; give one, or none") from None
