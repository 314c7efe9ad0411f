"""A scikit-learn estimator: ``fit``, ``predict``, ``predict_proba`` and ``score`` on image files or arrays.

It works in scikit-learn's pipelines, cross-validation and searches. Import it with ``from distingo.sklearn import
ImageClassifier``; ``import distingo`` does not load it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from distingo.errors import DataError, ResourceError, UsageError
from distingo.records import find_name_fault
from distingo.runs.folder import is_free

if TYPE_CHECKING:
    from distingo.models.saved import SavedModel
    from distingo.prediction.predictor import Predictor
    from distingo.training.recipe import BatchNorm, ClassWeights, Head, Mode, Normalize, Optimizer, Schedule, Views

__all__ = ["ImageClassifier"]

_BATCH = 64

_CHUNK = 8

_SEEDS = 2**31 - 1

_FIELDS = {"learning_rate": "lr"}
"""Recipe fields by the parameters that have another name."""

_RECIPE = (
    *("model", "image_size", "epochs", "batch_size", "learning_rate", "optimizer", "schedule", "weight_decay"),
    *("label_smoothing", "class_weights", "augment", "normalize", "mode", "head", "views", "weights", "batch_norm"),
    *("patience", "validation"),
)
"""Parameters that are fields of the recipe; None means that distingo chooses the value."""


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """An image classifier with scikit-learn's interface.

    Images are a list of paths, Pillow images or arrays, or one array of shape (n, height, width) or (n, height, width,
    channels) and dtype uint8, bool, wider integer or float. Parameters that are None are chosen from the images, as by
    `distingo.train`. Fitting leaves no files behind. The same images, labels, parameters and seed on the same machine
    give the same model.

    Args:
        model: ``auto``, a name in `distingo.list_models` such as ``descriptors`` or ``small-cnn``, or a pretrained
            backbone such as ``fast`` or a timm name.
        image_size: Size of the model's input in pixels: a number or (height, width).
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: The peak learning rate.
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        schedule: ``constant``, ``cosine`` or ``one-cycle``.
        weight_decay: Weight decay of weight matrices and kernels, 0 to 10.
        label_smoothing: Share of the target spread evenly over all classes, 0 to 0.9.
        class_weights: ``balanced`` weights each class by its inverse frequency; ``none`` uses equal weights.
        augment: Name of an augmentation preset.
        normalize: ``none``, ``dataset``, ``sample`` or ``zca``.
        mode: How to use a pretrained backbone: ``frozen``, ``finetune`` or ``scratch``.
        head: Classifier on a frozen backbone: ``linear``, ``linear-svm``, ``prototype`` or ``knn``.
        views: Views of a training image for a frozen backbone: ``none``, ``flip`` or ``crops``.
        weights: Weights of a pretrained backbone: ``auto``, ``none``, or a folder or file.
        batch_norm: Pretrained batch-norm statistics during fine-tuning: ``frozen`` or ``updated``.
        patience: Stop after this many epochs without a better validation score; 0 never stops early.
        validation: Share of the images for model selection, early stopping and calibration, 0.01 to 0.9.
        image_shape: (height, width) or (height, width, channels) of images passed as flat rows (n, pixels), as in
            scikit-learn's own data sets; one of the numbers may be -1. None takes images, not rows.
        value_range: Values shown as black and as white in float images and images of more than 8 bits, such as
            ``(0, 1)``; None derives them from the training images. uint8 is never scaled.
        max_pixels: Maximum number of pixels; larger images are refused. None is 178,956,970.
        random_state: A seed (0 to 2**31 - 1), a ``numpy.random.RandomState`` to draw one from, or None for a new seed
            at each fit.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``xpu``.
        workers: Number of decoding threads; None uses one per core.

    Attributes:
        classes_: The classes, sorted, of shape (n_classes,).
        predictor_: The trained model, as returned by `distingo.load`.
        n_features_in_: Number of columns; only for flat rows.
        feature_names_in_: Names of a data frame's columns; only for flat rows.
    """

    classes_: npt.NDArray[Any]
    predictor_: Predictor

    def __init__(  # noqa: PLR0913 - each is a parameter that a search may vary
        self,
        model: str = "auto",
        *,
        image_size: int | tuple[int, int] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        weight_decay: float | None = None,
        label_smoothing: float | None = None,
        class_weights: ClassWeights | None = None,
        augment: str | None = None,
        normalize: Normalize | None = None,
        mode: Mode | None = None,
        head: Head | None = None,
        views: Views | None = None,
        weights: str | None = None,
        batch_norm: BatchNorm | None = None,
        patience: int | None = None,
        validation: float = 0.15,
        image_shape: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        max_pixels: int | None = None,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        workers: int | None = None,
    ) -> None:
        self.model = model
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self.augment = augment
        self.normalize = normalize
        self.mode = mode
        self.head = head
        self.views = views
        self.weights = weights
        self.batch_norm = batch_norm
        self.patience = patience
        self.validation = validation
        self.image_shape = image_shape
        self.value_range = value_range
        self.max_pixels = max_pixels
        self.random_state = random_state
        self.device = device
        self.workers = workers

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Train on images.

        Args:
            X: A list of n paths, Pillow images or arrays; one array (n, height, width[, channels]); or, with
                `image_shape`, flat rows (n, pixels).
            y: Classes of shape (n,): strings, numbers or booleans.

        Returns:
            The estimator itself.

        Raises:
            ValueError: X and y differ in length, or have another shape or type.
            DistingoError: An image can't be read, a parameter is out of range, or training failed.
        """
        from distingo.datasets.decoding.value_ranges import parse_value_range
        from distingo.prediction.predictor import Predictor
        from distingo.training.in_memory import InMemoryImages, train_in_memory

        images, targets = self._check_arguments_of_fit(X, y)
        classes, numbers = np.unique(targets, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs images of 2 classes or more; y has {len(classes)} class: {classes[0]!r}"
            )
        names = _name_classes(classes)
        model = train_in_memory(
            InMemoryImages(
                images=images,
                labels=[names[number] for number in numbers.tolist()],
                classes=names,
                requested=self._requested(),
                value_ranges=parse_value_range(self.value_range),
                max_pixels=self.max_pixels,
                workers=self.workers,
            )
        )
        self.classes_ = classes
        self.predictor_ = Predictor(model, self.device, max_pixels=self.max_pixels)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """Predict the most probable class of each image.

        Args:
            X: Images in any form that `fit` takes.

        Returns:
            Classes of shape (n,) and the dtype of `classes_`.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: X has another shape or type.
            DistingoError: An image can't be read.
        """
        probabilities = self.predict_proba(X)
        predicted: npt.NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return predicted

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Predict the calibrated probability of each class for each image.

        Args:
            X: Images in any form that `fit` takes.

        Returns:
            float64 array of shape (n, n_classes), with columns in the order of `classes_`; each row sums to 1.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: X has another shape or type.
            DistingoError: An image can't be read.
        """
        check_is_fitted(self, "predictor_")
        from distingo.datasets.options import count_processors
        from distingo.prediction.networks import chunked, map_in_order

        images = self._images(X, is_fitting=False)
        workers = self.workers or count_processors()
        rows = map_in_order(self._preprocess, enumerate(images), chunk=_CHUNK, ahead=2 * _BATCH, workers=workers)
        parts = [self.predictor_.predict_rows(np.stack(batch)).probabilities for batch in chunked(rows, _BATCH)]
        probabilities = np.concatenate(parts).astype(np.float64)
        normalized: npt.NDArray[np.float64] = probabilities / probabilities.sum(axis=1, keepdims=True)
        return normalized

    def save(self, folder: str | Path) -> Path:
        """Save the fitted model to a folder, to be loaded by `distingo.load`.

        Args:
            folder: A new or empty folder.

        Returns:
            The folder.

        Raises:
            NotFittedError: `fit` was not called.
            ResourceError: The folder is not empty or can't be written.
        """
        check_is_fitted(self, "predictor_")
        from distingo.models.saved import save_model

        path = Path(folder)
        if not is_free(path):
            raise ResourceError(f"{path}: exists and is not an empty folder; choose another", code="not_empty")
        save_model(path, self.predictor_.model)
        return path

    def _check_arguments_of_fit(self, X: Any, y: Any) -> tuple[list[Any], npt.NDArray[Any]]:  # noqa: N803
        """Validate the arguments of `fit`; returns the list of images and the array of classes."""
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        images = self._images(X, is_fitting=True)
        targets = column_or_1d(y, warn=True)
        check_consistent_length(images, targets)
        if targets.dtype.kind not in "OUS":
            check_array(targets, ensure_2d=False, input_name="y")
        check_classification_targets(targets)
        return images, targets

    def _images(self, X: Any, *, is_fitting: bool) -> list[Any]:  # noqa: N803
        """Convert X to a list of single images.

        Raises:
            ValueError: X is empty or has another shape or type.
        """
        if self.image_shape is not None:
            rows = validate_data(self, X, reset=is_fitting, ensure_min_samples=1)
            return list(_reshape(rows, self.image_shape))
        if is_fitting:
            for name in ("n_features_in_", "feature_names_in_"):  # left by an earlier fit on rows
                self.__dict__.pop(name, None)
        return _as_list(X)

    def _requested(self) -> dict[str, Any]:
        """Collect the recipe fields that were set."""
        fields = {_FIELDS.get(name, name): getattr(self, name) for name in _RECIPE if getattr(self, name) is not None}
        if fields.get("model") == "auto":
            del fields["model"]
        # No test split is needed here; the smallest share that a recipe allows leaves the most for validation.
        return {**fields, "test": 0.01, "seed": self._seed(), "device": self.device}

    def _seed(self) -> int:
        state = self.random_state
        if isinstance(state, int | np.integer) and not isinstance(state, bool):
            return int(state)
        return int(check_random_state(state).randint(_SEEDS))

    def _preprocess(self, part: Sequence[tuple[int, Any]]) -> list[npt.NDArray[Any]]:
        """Preprocess images for the model; called from several threads."""
        from distingo.datasets.decoding.decode import UndecodableError
        from distingo.prediction.images import name_image

        rows = []
        for position, image in part:
            try:
                rows.append(self.predictor_.preprocess(image))
            except UndecodableError as error:
                raise DataError(
                    f"{name_image(image, position)}: {error.reason}; leave it out",
                    code=error.code,
                    parameter=error.parameter,
                ) from error
        return rows

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with the model as the contents of its saved files, which contain no code."""
        state: dict[str, Any] = dict(super().__getstate__())
        predictor: Predictor | None = state.get("predictor_")
        if predictor is not None:
            state["predictor_"] = _to_files(predictor.model)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the model from the contents of its saved files, onto the configured device."""
        from distingo.prediction.predictor import Predictor

        files = state.get("predictor_")
        super().__setstate__({name: value for name, value in state.items() if name != "predictor_"})
        if files is not None:
            self.predictor_ = Predictor(_from_files(files), self.device, max_pixels=self.max_pixels)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        flat = self.image_shape is not None
        tags.input_tags.two_d_array = flat
        tags.input_tags.three_d_array = not flat
        tags.input_tags.string = not flat
        return tags


def _as_list(value: Any) -> list[Any]:
    """Convert paths, a list of images, a column of paths or one array to a list of single images.

    Raises:
        ValueError: There are no images, or the value has another shape or type.
    """
    from distingo.prediction.images import as_images

    if hasattr(value, "iloc"):  # a series or one-column data frame of paths
        value = value.to_numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        if value.ndim == 2 and value.shape[1] == 1:
            value = value[:, 0]
        if value.ndim == 1:
            value = value.tolist()
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape) not in {3, 4}:
        raise ValueError(
            f"X has the shape {tuple(shape)}; give paths, a list of images, or an array (n, height, width[, channels]);"
            " of flat rows of pixels set image_shape=(height, width)"
        )
    if shape is not None:
        checked = check_array(value, ensure_2d=False, allow_nd=True, dtype=None, input_name="X")
        return list(checked)
    if isinstance(value, str | bytes | Path):
        raise ValueError(f"X is one {type(value).__name__}; give a list of images")
    try:
        images = as_images(list(value))
    except (TypeError, UsageError) as error:
        raise ValueError(str(error)) from error
    if not images:
        raise ValueError("X has 0 samples; give at least 1 image")
    return images


def _reshape(rows: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if len(shape) not in {2, 3}:
        raise ValueError(f"image_shape={shape!r}: give (height, width) or (height, width, channels)")
    try:
        return rows.reshape(len(rows), *shape)
    except ValueError:
        raise ValueError(f"image_shape={shape!r}: X has {rows.shape[1]} columns, which don't fill it") from None


def _name_classes(classes: npt.NDArray[Any]) -> tuple[str, ...]:
    """Choose class names for a model's files: the classes as strings if those are unique and allowed, else numbers."""
    names = tuple(map(str, classes.tolist()))
    if len(set(names)) == len(names) and not any(map(find_name_fault, names)):
        return names
    return tuple(f"class {number}" for number in range(len(names)))


def _to_files(model: SavedModel) -> dict[str, bytes]:
    from distingo.models.saved import save_model

    with TemporaryDirectory(prefix="distingo-") as folder:
        save_model(Path(folder), model)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _from_files(files: dict[str, bytes]) -> SavedModel:
    from distingo.models.saved import load_model

    with TemporaryDirectory(prefix="distingo-") as folder:
        for name, content in files.items():
            (Path(folder) / Path(name).name).write_bytes(content)
        return load_model(Path(folder))
