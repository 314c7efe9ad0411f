"""The recipe: every choice that decides the weights, frozen and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

from distingo.errors import UsageError, option, quote, suggest_names
from distingo.options.fields import Option, check_options
from distingo.options.training import read_batch_size
from distingo.runs.fields import Plain
from distingo.scores import ThresholdAim

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one-cycle"]
ClassWeights = Literal["none", "balanced"]
Normalize = Literal["none", "dataset", "sample", "zca"]
Monitor = Literal["validation_accuracy", "validation_loss", "validation_mean_average_precision"]
Mode = Literal["scratch", "frozen", "finetune"]
Head = Literal["linear", "linear-svm", "prototype", "knn"]
Views = Literal["none", "flip", "crops"]
Engine = Literal["auto", "torch", "openvino"]
BatchNorm = Literal["frozen", "updated"]
Precision = Literal["auto", "float32", "bfloat16"]
LossName = Literal["auto", "cross-entropy", "binary-cross-entropy", "asymmetric", "focal"]
PositiveWeights = Literal["none", "balanced"]


CHOSEN = "chosen from model and data"
"""Help text for defaults that `distingo.training.defaults` chooses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One frozen, checked set of choices; together with the images and the machine it decides the weights.

    Each field is documented in its `Option`.
    """

    model: Annotated[
        str,
        Option(
            help="a name from `distingo models`, a timm backbone or a timm hub folder",
            default="chosen from the data, with the reason printed",
            metavar="NAME",
        ),
    ]
    height: Annotated[int, Option(help="height of the model's input images in pixels", low=1, high=8192)]
    width: Annotated[int, Option(help="width of the model's input images in pixels", low=1, high=8192)]
    channels: Annotated[
        Literal[1, 3],
        Option(help="1 for gray images, 3 for RGB", default="1 if all images are gray, else 3"),
    ] = 3
    epochs: Annotated[
        int, Option(help="passes over the training split", low=1, high=100_000, default=CHOSEN, metavar="N")
    ] = 10
    batch_size: Annotated[
        int,
        Option(
            help="images per step; auto: the largest power of two up to 1024 that fits into memory and "
            "leaves 16 steps per epoch (or the default); the learning rate is scaled with it unless "
            "it is given",
            low=1,
            high=1_000_000,
            default="by model and data, 32 to 128",
            metavar="N|auto",
            accepts=int | Literal["auto"],
            parse=read_batch_size,
        ),
    ] = 32
    lr: Annotated[
        float,
        Option(
            help="peak learning rate",
            low=1e-12,
            high=1e3,
            default=CHOSEN,
            flags=("--learning-rate",),
            alias="learning_rate",
        ),
    ] = 1e-3
    optimizer: Annotated[
        Optimizer,
        Option(
            help="adam, adamw with decoupled weight decay, or sgd with Nesterov momentum",
            default=CHOSEN,
            flags=("--opt",),
        ),
    ] = "adam"
    momentum: Annotated[float, Option(help="momentum of sgd", low=0, high=0.9999)] = 0.9
    weight_decay: Annotated[
        float,
        Option(
            help="weight decay of matrices and kernels, never of biases and normalization",
            low=0,
            high=10,
            default=CHOSEN,
        ),
    ] = 0.0
    schedule: Annotated[
        Schedule,
        Option(
            help="schedule of the learning rate: constant, cosine down to zero, or one-cycle up for 30 % "
            "and down to zero",
            default=CHOSEN,
            flags=("--sched",),
        ),
    ] = "constant"
    warmup_epochs: Annotated[
        float,
        Option(
            help="epochs of linear rise at the start of constant and cosine",
            low=0,
            high=100_000,
            default="1 when fine-tuning, else 0",
        ),
    ] = 0.0
    loss: Annotated[
        LossName,
        Option(
            help="auto: binary-cross-entropy for multi-label, else cross-entropy; focal is for both, "
            "asymmetric for multi-label"
        ),
    ] = "auto"
    label_smoothing: Annotated[
        float,
        Option(
            help="share of the target that is spread evenly over all classes (multi-label: over yes and no)",
            low=0,
            high=0.9,
            default=CHOSEN,
            flags=("--smoothing",),
        ),
    ] = 0.0
    dropout: Annotated[
        float | None,
        Option(help="dropout before the last layers", low=0, high=0.95, default="the architecture's own"),
    ] = None
    class_weights: Annotated[
        ClassWeights,
        Option(help="for single-label: balanced weights each class by the inverse of its frequency"),
    ] = "none"
    positive_weights: Annotated[
        PositiveWeights,
        Option(help="for multi-label: balanced gives yes and no of each label the same weight"),
    ] = "none"
    augment: Annotated[
        str,
        Option(
            help="augmentation preset, which `distingo inspect --augment` shows: none, light, reference, standard or "
            "overhead",
            default=CHOSEN,
            metavar="PRESET",
        ),
    ] = "none"
    normalize: Annotated[
        Normalize,
        Option(
            help="dataset centers and scales each channel by the training split's mean and deviation, sample each "
            "image by its own, zca whitens pixels, none leaves 0 to 1",
            default=CHOSEN,
            flags=("--normalise",),
            alias="normalise",
        ),
    ] = "none"
    ema_decay: Annotated[
        float,
        Option(
            help="decay of the moving average of the weights, which is validated and saved; 0 disables it",
            low=0,
            high=0.99999,
            default=CHOSEN,
        ),
    ] = 0.0
    mode: Annotated[
        Mode,
        Option(
            help="frozen fits a head on a pretrained backbone's embeddings, which are computed once; "
            "finetune trains all its layers; scratch starts from random weights",
            default="frozen for a pretrained backbone, else scratch",
        ),
    ] = "scratch"
    weights: Annotated[
        str,
        Option(
            help="weights of a backbone: auto for the published ones, none for random ones, or a folder or file",
            metavar="auto|none|FOLDER|FILE",
        ),
    ] = "auto"
    head: Annotated[
        Head,
        Option(
            help="head that is fitted on the embeddings: linear for logistic regression, linear-svm, prototype or knn"
        ),
    ] = "linear"
    views: Annotated[
        Views,
        Option(
            help="views of a training image for a frozen backbone: none for the image only, flip adds its "
            "mirror image, crops adds four corners"
        ),
    ] = "none"
    layer_decay: Annotated[
        float,
        Option(
            help="factor of the learning rate for each block further from the head in fine-tuning",
            low=0.01,
            high=1,
            default="0.85 when fine-tuning, else 1",
        ),
    ] = 1.0
    batch_norm: Annotated[
        BatchNorm,
        Option(help="whether fine-tuning keeps the pretrained statistics of batch norm or updates them"),
    ] = "frozen"
    unfreeze_epochs: Annotated[
        float,
        Option(
            help="epochs over which fine-tuning unfreezes the blocks one after another, head first; 0: all at once",
            low=0,
            high=100_000,
        ),
    ] = 0.0
    monitor: Annotated[
        Monitor,
        Option(
            help="validation score for choosing the best epoch and for early stopping",
            default="accuracy; mean average precision for multi-label",
        ),
    ] = "validation_accuracy"
    patience: Annotated[
        int,
        Option(
            help="number of epochs without a better score before training stops; 0 never stops early",
            low=0,
            high=100_000,
        ),
    ] = 0
    threshold_aim: Annotated[
        ThresholdAim,
        Option(
            help="for multi-label: what decision thresholds are chosen for on the validation split: the "
            "best f1, or a precision or recall"
        ),
    ] = "f1"
    threshold_target: Annotated[
        float | None,
        Option(
            help="that precision or recall",
            low=0.001,
            high=1,
            default="none, which f1 needs; precision and recall need one",
            metavar="SHARE",
            flags=("--threshold-wanted",),
            alias="threshold_wanted",
        ),
    ] = None
    seed: Annotated[
        int,
        Option(
            help="random seed of split, initial weights, order, augmentation and dropout",
            low=0,
            high=2**31 - 1,
        ),
    ] = 0
    validation: Annotated[
        float,
        Option(
            help="share of images for the validation split if the data has none",
            low=0.01,
            high=0.9,
            metavar="SHARE",
            flags=("--val",),
        ),
    ] = 0.15
    test: Annotated[
        float,
        Option(help="share of images for the test split if the data has none", low=0.01, high=0.9, metavar="SHARE"),
    ] = 0.2
    precision: Annotated[
        Precision,
        Option(help="precision of network computations: auto selects bfloat16 if the processor supports it"),
    ] = "auto"
    engine: Annotated[
        Engine,
        Option(help="engine of a frozen backbone: auto selects openvino if it is installed, else torch"),
    ] = "auto"
    device: Annotated[
        str, Option(help="where networks compute: auto, cpu, cuda, cuda:1 ..., mps or xpu", metavar="NAME")
    ] = "auto"

    def __post_init__(self) -> None:
        check_options(self)
        _check_together(self)

    def as_dict(self) -> dict[str, Plain]:
        """The recipe as JSON-ready values."""
        return dataclasses.asdict(self)


class RecipeOptions(TypedDict, total=False):
    """Recipe fields as keyword arguments; missing ones are chosen to fit model and data."""

    model: str
    image_size: int | tuple[int, int]
    height: int
    width: int
    channels: Literal[1, 3]
    epochs: int
    batch_size: int | Literal["auto"]
    lr: float
    learning_rate: float
    optimizer: Optimizer
    momentum: float
    weight_decay: float
    schedule: Schedule
    warmup_epochs: float
    loss: LossName
    label_smoothing: float
    dropout: float | None
    class_weights: ClassWeights
    positive_weights: PositiveWeights
    augment: str
    normalize: Normalize
    normalise: Normalize
    ema_decay: float
    mode: Mode
    weights: str
    head: Head
    views: Views
    layer_decay: float
    batch_norm: BatchNorm
    unfreeze_epochs: float
    monitor: Monitor
    patience: int
    threshold_aim: ThresholdAim
    threshold_target: float | None
    threshold_wanted: float | None
    seed: int
    validation: float
    test: float
    precision: Precision
    engine: Engine
    device: str


OF_BACKBONES = ("mode", "weights", "head", "views", "engine", "layer_decay", "batch_norm", "unfreeze_epochs")
"""Fields that apply to pretrained models only."""

OF_STEPS = (
    *("epochs", "batch_size", "lr", "optimizer", "momentum", "weight_decay", "schedule", "warmup_epochs"),
    *("label_smoothing", "dropout", "augment", "ema_decay", "patience", "layer_decay", "batch_norm", "unfreeze_epochs"),
)
"""Fields that do not apply to models that are fitted without epochs."""


def recipe_from_dict(values: Mapping[str, Plain]) -> Recipe:
    """Read a recipe back from ``config.json``.

    Args:
        values: Field names to values.

    Raises:
        UsageError: A key is unknown (the message suggests the closest ones), missing or out of range.
    """
    field_names = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key not in field_names:
            raise UsageError(
                f"recipe: unknown key {quote(key)}; {suggest_names(key, field_names)}",
                code="unknown_option",
                parameter=key,
            )
    missing = [name for name in ("model", "height", "width") if name not in values]
    if missing:
        raise UsageError(
            f"recipe: {', '.join(missing)} missing; a recipe needs model, height and width", code="missing_field"
        )
    return Recipe(**values)  # type: ignore[arg-type]  # it checks itself


def _check_together(recipe: Recipe) -> None:
    if recipe.validation + recipe.test >= 1:
        raise UsageError(
            f"{option('validation')} {recipe.validation} and {option('test')} {recipe.test} leave nothing to train on; "
            "together they must stay below 1",
            code="out_of_range",
            parameter="validation",
        )
    if (recipe.threshold_aim == "f1") != (recipe.threshold_target is None):
        raise UsageError(
            f"{option('threshold_aim')} is {recipe.threshold_aim} and {option('threshold_target')} "
            f"{recipe.threshold_target}; f1 wants no number, precision and recall want one, such as 0.8",
            code="options_conflict",
            parameter="threshold_target",
        )


def is_auto(options: Mapping[str, Any]) -> bool:
    """Return whether the batch size is ``auto``, so that `distingo.training.memory` chooses it."""
    return options.get("batch_size") == "auto"
