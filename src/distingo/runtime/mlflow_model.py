"""A classifier for MLflow's pyfunc flavor, from a table of images to a table of labels.

MLflow calls `_load_pyfunc` with the folder of an export, in an environment that does not need torch. Images are a
column of file contents, as read by Spark and as decoded from base64 by MLflow's scoring server.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from distingo.errors import UsageError
from distingo.records import Task
from distingo.runtime.runtime import Runtime
from distingo.scores import Prediction

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "image"
"""Name of the image column; in a table with one column it may have any name."""


class Predictor(Protocol):
    """Protocol of an exported model or a run's model."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's probabilities."""

    @property
    def task(self) -> Task:
        """Whether an image gets exactly one label or any number."""

    def predict(self, images: Iterable[Any], *, topk: int | None = None) -> list[Prediction]:
        """One prediction per image, in order."""


class MlflowClassifier:
    """Classifier with the interface that MLflow expects.

    Args:
        predictor: Model that makes the predictions.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, model_input: Any, params: Mapping[str, object] | None = None) -> pd.DataFrame:
        """Classify images.

        Args:
            model_input: A table whose column `COLUMN`, or only column, holds images; or a list, a series or an array of
                them. An image is its file's bytes, their base64, or uint8 (height, width, 3) or (height, width).
            params: Must be empty; there are no parameters.

        Returns:
            A row for each image: ``label``, ``probability``, ``labels`` (the predicted labels; exactly one for
            single-label), ``known``, ``probabilities`` by class, and ``error``, the reason why an image could not be
            read;
            the other columns are empty then.

        Raises:
            UsageError: The column is missing, an image has another form, or a parameter was passed.
        """
        import pandas as pd

        if params:
            raise UsageError(f"{', '.join(params)}: no parameters are known; leave them out", code="unknown_option")
        images = [_read_image(image, number) for number, image in enumerate(_column(model_input), 1)]
        predictions = self.predictor.predict(images, topk=len(self.predictor.classes)) if images else []
        rows = [self._row(prediction) for prediction in predictions]
        table = pd.DataFrame(
            rows, columns=list(_COLUMNS), dtype=object
        )  # otherwise pandas converts None to NaN, which is invalid JSON
        table["known"] = table["known"].astype(bool)
        return table if any(row["error"] for row in rows) else table.astype({"probability": float})

    def _row(self, prediction: Prediction) -> dict[str, object]:
        if prediction.error:
            empty: dict[str, object] = {"label": None, "probability": None, "labels": [], "known": False}
            return {**empty, "probabilities": {}, "error": prediction.error}
        labels = prediction.given if prediction.given is not None else (prediction.label,)
        return {
            "label": prediction.label,
            "probability": prediction.confidence,
            "labels": list(labels),
            "known": True,
            "probabilities": dict(zip(prediction.labels, prediction.probabilities, strict=True)),
            "error": None,
        }


_COLUMNS = ("label", "probability", "labels", "known", "probabilities", "error")


def describe_signature() -> Any:
    """Return MLflow's signature of `MlflowClassifier.predict`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array, Map

    outputs = (
        ("label", DataType.string, False),
        ("probability", DataType.double, False),
        ("labels", Array(DataType.string), True),
        ("known", DataType.boolean, True),
        ("probabilities", Map(DataType.double), True),
        ("error", DataType.string, False),
    )
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, COLUMN)]),
        outputs=Schema([ColSpec(kind, name, required=required) for name, kind, required in outputs]),
    )


def _column(model_input: Any) -> Sequence[Any]:
    columns = getattr(model_input, "columns", None)
    if columns is None:
        return list(model_input)
    name = COLUMN if COLUMN in columns else columns[0] if len(columns) == 1 else None
    if name is None:
        raise UsageError(
            f"a table of {len(columns)} columns of which none is {COLUMN!r}; name the images' so", code="unknown_column"
        )
    return list(model_input[name])


def _read_image(image: Any, number: int) -> bytes | np.ndarray:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        return image
    if isinstance(image, str):
        plain = "".join(image.rpartition(",")[2].split()).replace("-", "+").replace("_", "/").rstrip("=")
        try:
            return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise UsageError(
                f"image {number}: text that is no base64; give the file's bytes", code="invalid_value"
            ) from error
    raise UsageError(
        f"image {number}: {type(image).__name__}; give the file's bytes, their base64, or uint8 pixels",
        code="invalid_type",
    )


def _load_pyfunc(path: str) -> MlflowClassifier:
    """Load the model; called by MLflow.

    Args:
        path: Folder of the export.
    """
    return MlflowClassifier(Runtime(Path(path)))
