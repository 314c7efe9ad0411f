"""Classification of images with an exported model, and the engines that run its file."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.errors import ResourceError, RunError, UsageError, first_line
from distingo.files import read_checksums, require_intact
from distingo.machine import import_openvino
from distingo.models.reference_data import CalibrationSet, FeatureBank, load_calibration_set
from distingo.prediction.image_model import ImageModel
from distingo.prediction.images import ImageLike, name_image, open_image
from distingo.prediction.naming import ModelOutput, certainty_thresholds
from distingo.runtime.description import OUTPUTS, ExportDescription, load_exported_bank, read_export

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Function from uint8 images (n, height, width, channels) to float32 probabilities (n, classes) and features
(n, features).

May be called from several threads."""


def open_engine(folder: Path, description: ExportDescription, *, threads: int | None = None) -> Run:
    """Load an exported model for inference.

    Args:
        folder: Folder of the export.
        description: Description of the export.
        threads: How many to compute in; None takes one per core.

    Raises:
        UsageError: The package that runs this format is not installed, or the format is not supported.
        RunError: The model's file is missing or damaged.
    """
    path = folder / description.file
    if not path.is_file():
        raise RunError(f"{path}: missing; export the run again", code="not_found")
    for name in read_checksums(folder):
        if name.startswith("model."):
            _require_intact(folder / name)
    if description.exported_as == "onnx":
        return _open_onnx(path, threads)
    if description.exported_as == "openvino":
        return _open_openvino(path, threads)
    raise UsageError(
        f"{path}: a program of torch.export; `torch.export.load({str(path)!r}).module()` runs it, or export as onnx",
        code="option_not_applicable",
    )


def _require_intact(path: Path) -> None:
    try:
        require_intact(path)
    except OSError as error:
        raise RunError(
            f"{path}: missing or unreadable ({error.strerror}); export the run again", code="cannot_read"
        ) from error


def _require(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{name} is not installed; `pip install {package}`", code="missing_extra")


def _open_onnx(path: Path, threads: int | None) -> Run:
    _require("onnxruntime", "ONNX Runtime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are meant for authors of models
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base class
        raise RunError(
            f"{path}: ONNX Runtime can't load it ({first_line(error)}); export the run again", code="damaged_file"
        ) from error

    name = session.get_inputs()[0].name  # exports of version 0.1 have another one

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            probabilities, features = session.run(OUTPUTS, {name: images})
        except Exception as error:
            raise ResourceError(f"{path}: ONNX Runtime failed ({first_line(error)})", code="engine_failed") from error
        return probabilities, features

    return run


def _open_openvino(path: Path, threads: int | None) -> Run:
    _require("openvino", "OpenVINO")
    openvino = import_openvino()
    # otherwise a CPU with bfloat16 would use it, which was not checked against the original
    settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise RunError(
            f"{path}: OpenVINO can't load it ({first_line(error)}); export the run again", code="damaged_file"
        ) from error

    lock = threading.Lock()  # the compiled model reuses one output buffer

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with lock:
            results = compiled([images])
            return np.array(results[OUTPUTS[0]]), np.array(results[OUTPUTS[1]])

    return run


_DECODED_AHEAD = 16
"""Number of images that are decoded in advance while the model processes others."""


class Runtime(ImageModel):
    """An exported model that classifies images.

    Args:
        folder: Folder that `distingo export` wrote, in ONNX or OpenVINO format.
        threads: How many to compute in; None takes one per core.
        max_pixels: As for `distingo.prediction.image_model.ImageModel`.

    Raises:
        RunError: The folder is not an exported model, is damaged, or was written by a newer distingo.
        UsageError: The package that runs its format is not installed.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None, max_pixels: int | None = None) -> None:
        self.folder = Path(folder)
        self.description = read_export(self.folder)
        super().__init__(self.description, self, max_pixels)
        self.calibration_set: CalibrationSet | None = load_calibration_set(self.folder)
        bank = load_exported_bank(self.folder)
        self.bank: FeatureBank | None = None if bank is None else bank.widened()
        self._ood_distance = certainty_thresholds(self).ood_distance
        self._run = open_engine(self.folder, self.description, threads=threads)

    def __repr__(self) -> str:
        kind = "classes" if self.task == "single-label" else "labels"
        return f"Runtime({str(self.folder)!r}, {len(self.classes)} {kind}, {self.description.exported_as})"

    def preprocess(self, image: ImageLike) -> np.ndarray:
        """Decode an image to the exported model's input.

        Returns:
            uint8 (height, width, channels): the full RGB image, or the preprocessed one if the model does not resize
            images.

        Raises:
            UndecodableError: The image can't be read.
        """
        enough = shorter_side_for(self.description.image_spec)
        opened = open_image(image, enough, self.description.value_ranges, self.max_pixels)
        return prepare_input(opened, self.description)

    def predict_rows(self, rows: np.ndarray) -> ModelOutput:
        """Compute the probabilities of at least one image, see `ImageModel.predict_rows`."""
        probabilities, features = self._run(rows)
        is_ood = None
        if self._ood_distance is not None and self.bank is not None:
            is_ood = self.bank.distances(features) > self._ood_distance
        return ModelOutput(probabilities, is_ood)

    def _predict_each(self, images: Sequence[ImageLike]) -> Generator[tuple[str, ModelOutput | str, int]]:
        """Evaluate one image at a time, while the following ones are decoded in a separate thread."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            for start in range(0, len(images), _DECODED_AHEAD):
                part = images[start : start + _DECODED_AHEAD]
                for index, row in enumerate(pool.map(self._preprocess_or_explain, part), start):
                    yield (
                        name_image(images[index], index),
                        row if isinstance(row, str) else self.predict_rows(row[None]),
                        0,
                    )


def prepare_input(image: Image.Image, description: ExportDescription) -> np.ndarray:
    """Convert a decoded image to an exported model's input.

    Args:
        image: Mode ``RGB`` or ``L``.
        description: Of the model.

    Returns:
        uint8 (height, width, channels).
    """
    if description.in_graph:
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return render(image, description.image_spec)
