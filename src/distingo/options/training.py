"""Options of the calls that train, except those of the recipe: splits, grouping, tracking, folds and trials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from distingo.language import VARIABLE, Language
from distingo.options.fields import Option, check_options

MIN_SIMILARITY = 0.6
"""The smallest allowed similarity threshold for near-duplicates."""

SAME_SCENE = 0.8
"""Default similarity threshold: images at least this similar are treated as the same scene."""

BURST_SECONDS = 2.0
"""Maximum time between consecutive images of a burst."""

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_limit(text: str) -> float | Literal["none"]:
    """Parse a number or ``none``."""
    try:
        return "none" if text == "none" else float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number; give one, or none") from None


def read_duration(text: str) -> float:
    """Parse a duration such as ``30m`` or ``1h30m``; returns seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text.lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.lower():
        raise ValueError(f"{text!r} is no duration; give one such as 90s, 30m, 2h or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def read_image_size(text: str) -> int | tuple[int, int]:
    """Parse an image size: ``128``, or height and width as in ``400x300``."""
    lengths = text.lower().split("x")
    if len(lengths) > 2 or not all(length.isdecimal() for length in lengths):
        raise ValueError(f"{text!r} is not a size; give a number such as 128, or HEIGHTxWIDTH")
    return int(lengths[0]) if len(lengths) == 1 else (int(lengths[0]), int(lengths[1]))


IMAGE_SIZE = Option(
    help="size of the model's input images in pixels: one number, or height and width, each 1 to 8192",
    default="that of the backbone, or of small images, else 128",
    metavar="N|HxW",
    parse=read_image_size,
)
"""The option that sets the recipe's `height` and `width`."""


def read_batch_size(text: str) -> int | str:
    """Parse a batch size: a number of images or ``auto``."""
    try:
        return text if text == "auto" else int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no batch size; give a whole number such as 32, or auto") from None


LanguageOption = Annotated[
    Language | None,
    Option(
        help="language of the report and the model card; names of classes stay as they are",
        default=f"what {VARIABLE} says, else en",
        accepts=str | None,
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Options of `train`, without the recipe and those for reading images."""

    config: Annotated[
        str | Path | None,
        Option(help="repeat the run of this config.json", default="a run of its own", metavar="FILE"),
    ] = None
    recipe_file: Annotated[
        str | Path | None,
        Option(
            help="JSON file of recipe fields, such as best-recipe.json of `tune`; options on the command "
            "line take precedence",
            default="none",
            metavar="FILE",
            flag="--recipe",
        ),
    ] = None
    resume: Annotated[bool, Option(help="resume the interrupted run in the output folder")] = False
    split: Annotated[
        str | Path | None,
        Option(
            help="table that assigns each image to a split, as `distingo split` writes it",
            default="images are split by class and seed",
            metavar="FILE",
        ),
    ] = None
    fold: Annotated[
        int | None,
        Option(help="fold of the split file to test on", low=1, default="none", metavar="K"),
    ] = None
    near_duplicates: Annotated[
        float | Literal["none"] | None,
        Option(
            help="minimum similarity of near-duplicates, also turned or mirrored, which `train` keeps in "
            "one split, or counts if the data or a split file is split already; none: no search",
            low=MIN_SIMILARITY,
            high=1,
            default=f"{SAME_SCENE:g}",
            metavar="SIMILARITY",
            parse=read_limit,
        ),
    ] = None
    track: Annotated[
        Literal["tensorboard", "mlflow"] | None,
        Option(
            help="write parameters, curves, scores, plots and the model there too",
            default="nowhere",
            accepts=str | None,
        ),
    ] = None
    track_to: Annotated[
        str | Path | None,
        Option(
            help="folder for TensorBoard, or address of an MLflow server",
            default="tensorboard in the run folder; MLFLOW_TRACKING_URI",
            metavar="PLACE",
        ),
    ] = None
    language: LanguageOption = None


class GroupingOptions(TypedDict, total=False):
    """Which images are grouped, so that they are in the same split or fold."""

    group_column: str | None
    near_duplicates: float | None
    burst: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupingSettings:
    """Which images are grouped, so that they are in the same split or fold."""

    group_column: Annotated[
        str | None,
        Option(help="column of the table: images with the same value stay together", default="none", metavar="NAME"),
    ] = None
    near_duplicates: Annotated[
        float | None,
        Option(
            help="minimum similarity of near-duplicates, which stay together; none: no search",
            low=MIN_SIMILARITY,
            high=1,
            metavar="SIMILARITY",
            parse=read_limit,
        ),
    ] = SAME_SCENE
    burst: Annotated[
        float | None,
        Option(
            help="images of one camera taken within so many seconds of each other stay together; none: never",
            low=0,
            metavar="SECONDS",
            parse=read_limit,
        ),
    ] = BURST_SECONDS

    def __post_init__(self) -> None:
        check_options(self)


SplitOption = Annotated[
    str | Path | None,
    Option(
        help="file of folds, as `distingo split --folds` writes it", default="images are divided again", metavar="FILE"
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossvalSettings:
    """Options of `crossval`, without the recipe and those for grouping and for reading images."""

    folds: Annotated[
        int | None, Option(help="number of folds", low=2, default="5, or those of the split file", metavar="K")
    ] = None
    repeats: Annotated[
        int, Option(help="number of times that all images are divided into folds", low=1, metavar="R")
    ] = 1
    split: SplitOption = None
    resplit: Annotated[bool, Option(help="divide again even if the data has predefined splits")] = False
    resume: Annotated[bool, Option(help="continue in the output folder; finished folds are kept")] = False

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningCurveSettings:
    """Options of `learning_curve`, without the recipe and those for grouping and for reading images."""

    sizes: Annotated[int, Option(help="maximum number of sizes of the training split", low=4, metavar="N")] = 8
    draws: Annotated[int, Option(help="number of draws per size", low=2, metavar="N")] = 5

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneSettings:
    """Options of `tune`, without the recipe, the split and those for reading images."""

    trials: Annotated[
        int | None,
        Option(
            help="total number of recipes to try, including the default one", low=2, default="by --budget", metavar="N"
        ),
    ] = None
    budget: Annotated[
        float | None,
        Option(
            help="time limit, such as 90s, 30m, 2h or 1h30m (in Python: seconds)",
            default="by --trials",
            metavar="TIME",
            parse=read_duration,
        ),
    ] = None

    def __post_init__(self) -> None:
        check_options(self)
