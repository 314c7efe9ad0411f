"""The recipe: every choice that decides what training yields, frozen and checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from distingo.errors import UsageError, name_the_nearest, option, quote
from distingo.records import ThresholdAim
from distingo.training.losses import LossName, PositiveWeights

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one-cycle"]
ClassWeights = Literal["none", "balanced"]
Normalise = Literal["none", "dataset", "sample", "zca"]
Monitor = Literal["validation_accuracy", "validation_loss", "validation_mean_average_precision"]
Mode = Literal["scratch", "frozen", "finetune"]
Head = Literal["linear", "linear-svm", "prototype", "knn"]
Views = Literal["none", "flip", "crops"]
Engine = Literal["auto", "torch", "openvino"]
BatchNorm = Literal["frozen", "updated"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One frozen, checked set of choices; together with the pictures and the machine it decides the weights.

    Attributes:
        model: Name in the catalogue (``distingo models``).
        height: Of the pictures the model sees, in pixels.
        width: Of the pictures the model sees, in pixels.
        channels: 3 for RGB, 1 for grey.
        epochs: Passes over the training side.
        batch_size: Pictures per step.
        lr: Peak learning rate.
        optimizer: ``adam``, ``adamw`` (decoupled weight decay) or ``sgd`` (Nesterov momentum).
        momentum: Of ``sgd``.
        weight_decay: On weight matrices and kernels only, never on biases and normalisation.
        schedule: ``constant``, ``cosine`` (down to zero) or ``one-cycle`` (up for 30 %, down to zero).
        warmup_epochs: Linear rise of the learning rate at the start of ``constant`` and ``cosine``.
        loss: ``auto`` is ``cross-entropy`` with one label per picture and ``binary-cross-entropy`` with several;
            ``focal`` is for both, ``asymmetric`` for several.
        label_smoothing: Share of the target spread evenly over all classes, with several labels over yes and no.
        dropout: Before the last layers; None keeps the architecture's own.
        class_weights: ``balanced`` weighs each class by the inverse of its frequency (one label per picture).
        positive_weights: ``balanced`` makes yes and no of each label weigh alike (several labels).
        augment: Name of an augmentation preset (``distingo inspect --augment PRESET`` shows it).
        normalise: ``dataset`` centres and scales each channel by the training side's mean and deviation, ``sample``
            each picture by its own, ``zca`` whitens pixels; ``none`` leaves [0, 1].
        ema_decay: Of the moving average of the weights that is validated and kept; 0 switches it off.
        mode: ``scratch`` trains fresh weights; ``frozen`` solves a head on a pretrained backbone's features;
            ``finetune`` goes on from there with all layers.
        weights: Of a pretrained backbone: ``auto`` takes the published ones, ``none`` fresh ones, else a folder or
            file.
        head: What is solved on the features: ``linear`` (logistic regression), ``linear-svm``, ``prototype`` or
            ``knn``.
        views: What a frozen backbone sees of a training picture: ``none`` but itself, ``flip`` also its mirror image,
            ``crops`` also four corners.
        layer_decay: Fine-tuning multiplies the learning rate by this for each block further from the head.
        batch_norm: Whether fine-tuning leaves the pretrained statistics as they are or goes on counting.
        unfreeze_epochs: Fine-tuning lets the blocks learn one after another, head first, over so many epochs.
        monitor: The validation score that chooses the best epoch and stops early: the loss, the accuracy, or with
            several labels the mean average precision (macro).
        patience: Stop after so many epochs without a better score; 0 never stops early.
        threshold_aim: With several labels, what their thresholds are chosen for on validation: the best ``f1``, or the
            ``precision`` or ``recall`` that is wanted.
        threshold_wanted: That precision or recall.
        seed: Of everything random: split, initial weights, order, augmentation, dropout.
        validation: Share of the pictures cut for validation where the author gave none.
        test: Share of the pictures cut for the test where the author gave none.
        precision: ``auto`` takes bfloat16 where the processor has it.
        engine: What runs a frozen backbone: ``openvino`` where it is installed, else ``torch``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, ``xpu``.
    """

    model: str
    height: int
    width: int
    channels: Literal[1, 3] = 3
    epochs: int = 10
    batch_size: int = 32
    lr: float = 1e-3
    optimizer: Optimizer = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warmup_epochs: float = 0.0
    loss: LossName = "auto"
    label_smoothing: float = 0.0
    dropout: float | None = None
    class_weights: ClassWeights = "none"
    positive_weights: PositiveWeights = "none"
    augment: str = "none"
    normalise: Normalise = "none"
    ema_decay: float = 0.0
    mode: Mode = "scratch"
    weights: str = "auto"
    head: Head = "linear"
    views: Views = "none"
    layer_decay: float = 1.0
    batch_norm: BatchNorm = "frozen"
    unfreeze_epochs: float = 0.0
    monitor: Monitor = "validation_accuracy"
    patience: int = 0
    threshold_aim: ThresholdAim = "f1"
    threshold_wanted: float | None = None
    seed: int = 0
    validation: float = 0.15
    test: float = 0.2
    precision: Precision = "auto"
    engine: Engine = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        _check_types(self)
        _check_ranges(self)

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON-ready values."""
        return dataclasses.asdict(self)


_RANGES: dict[str, tuple[float, float]] = {
    "height": (1, 8192),
    "width": (1, 8192),
    "epochs": (1, 100_000),
    "batch_size": (1, 1_000_000),
    "lr": (1e-12, 1e3),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 10.0),
    "warmup_epochs": (0.0, 100_000),
    "label_smoothing": (0.0, 0.9),
    "dropout": (0.0, 0.95),
    "ema_decay": (0.0, 0.99999),
    "layer_decay": (0.01, 1.0),
    "unfreeze_epochs": (0.0, 100_000),
    "patience": (0, 100_000),
    "threshold_wanted": (0.001, 1.0),
    "seed": (0, 2**31 - 1),
    "validation": (0.01, 0.9),
    "test": (0.01, 0.9),
}


OF_BACKBONES = ("mode", "weights", "head", "views", "engine", "layer_decay", "batch_norm", "unfreeze_epochs")
"""Fields that say nothing about models that are not pretrained."""

OF_STEPS = (
    *("epochs", "batch_size", "lr", "optimizer", "momentum", "weight_decay", "schedule", "warmup_epochs"),
    *("label_smoothing", "dropout", "augment", "ema_decay", "patience", "layer_decay", "batch_norm", "unfreeze_epochs"),
)
"""Fields that say nothing about models that are fitted or solved at once."""


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Read a recipe back from ``config.json``.

    Args:
        values: Field names to values.

    Raises:
        UsageError: A key is unknown (with the nearest known ones), missing or out of range.
    """
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in values:
        if key not in known:
            raise UsageError(
                f"recipe: unknown key {quote(key)}; {name_the_nearest(key, known)}",
                code="unknown_option",
                parameter=key,
            )
    missing = [name for name in ("model", "height", "width") if name not in values]
    if missing:
        raise UsageError(
            f"recipe: {', '.join(missing)} missing; a recipe needs model, height and width", code="missing_field"
        )
    return Recipe(**values)


def _check_types(recipe: Recipe) -> None:
    hints = get_type_hints(Recipe)
    for field in dataclasses.fields(recipe):
        value, hint = getattr(recipe, field.name), hints[field.name]
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                allowed = ", ".join(str(choice) for choice in get_args(hint))
                raise UsageError(
                    f"{option(field.name)} is {quote(value)}; choose one of {allowed}",
                    code="unknown_name",
                    parameter=field.name,
                )
        elif not _is_a(value, hint):
            raise UsageError(
                f"{option(field.name)} is {quote(value)}; it must be {_in_words(hint)}",
                code="invalid_type",
                parameter=field.name,
            )


def _is_a(value: object, hint: Any) -> bool:
    kinds = get_args(hint) or (hint,)
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int) and float in kinds:
        return True
    return isinstance(value, tuple(kinds))


def _in_words(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", type(None): "nothing"}
    return " or ".join(names[kind] for kind in get_args(hint) or (hint,))


def _plain(limit: float) -> str:
    return f"{limit:,.0f}" if limit >= 1000 else f"{limit:g}"


def _check_ranges(recipe: Recipe) -> None:
    for name, (low, high) in _RANGES.items():
        value = getattr(recipe, name)
        if value is not None and not low <= value <= high:
            raise UsageError(
                f"{option(name)} is {value}; it must lie between {_plain(low)} and {_plain(high)}",
                code="out_of_range",
                parameter=name,
            )
    if recipe.validation + recipe.test >= 1:
        raise UsageError(
            f"{option('validation')} {recipe.validation} and {option('test')} {recipe.test} leave nothing to train on; "
            "together they must stay below 1",
            code="out_of_range",
            parameter="validation",
        )
    if (recipe.threshold_aim == "f1") != (recipe.threshold_wanted is None):
        raise UsageError(
            f"{option('threshold_aim')} is {recipe.threshold_aim} and {option('threshold_wanted')} "
            f"{recipe.threshold_wanted}; f1 wants no number, precision and recall want one, such as 0.8",
            code="options_conflict",
            parameter="threshold_wanted",
        )
