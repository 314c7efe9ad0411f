"""An exported model as a person uses it: pictures in, class names with probabilities out.

What runs an exported model's file.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from distingo.aliases import choose_alias
from distingo.datasets.decoding.rendering import render, shorter_side_for
from distingo.errors import DistingoError, ResourceError, RunError, UsageError
from distingo.files import read_checksums, require_intact
from distingo.models.evidence import Evidence, load_evidence
from distingo.models.feature_bank import FeatureBank
from distingo.prediction.naming import Certainty, Judged, name_failure, name_prediction, settle_certainty
from distingo.prediction.openvino_import import import_openvino
from distingo.prediction.pictures import PictureLike, as_pictures, name_picture, open_picture, require_limit
from distingo.prediction.predictions import (
    OnError,
    Predictions,
    draw_given,
    require_files,
    require_readable,
    unreadable,
)
from distingo.records import Prediction, Task
from distingo.runtime.description import INPUT, OUTPUTS, ExportDescription, load_exported_bank, read_export

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From uint8 pictures (n, height, width, channels) to float32 probabilities (n, classes) and features (n, features).

May be called from several threads."""


def open_engine(folder: Path, description: ExportDescription, *, threads: int | None = None) -> Run:
    """Make an exported model ready to run.

    Args:
        folder: Where it lies.
        description: What it is.
        threads: How many to compute in; None takes one per core.

    Raises:
        UsageError: What runs this format is not installed, or nothing here runs it.
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
    options.log_severity_level = 3  # warnings are for those who make models
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common family
        raise RunError(
            f"{path}: ONNX Runtime can't load it ({_first_line(error)}); export the run again", code="damaged_file"
        ) from error

    def run(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            probabilities, features = session.run(OUTPUTS, {INPUT: pictures})
        except Exception as error:
            raise ResourceError(f"{path}: ONNX Runtime failed ({_first_line(error)})", code="engine_failed") from error
        return probabilities, features

    return run


def _open_openvino(path: Path, threads: int | None) -> Run:
    _require("openvino", "OpenVINO")
    openvino = import_openvino()
    # else a processor with bfloat16 would compute in it, which is not what was checked
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    except RuntimeError as error:
        raise RunError(
            f"{path}: OpenVINO can't load it ({_first_line(error)}); export the run again", code="damaged_file"
        ) from error

    lock = threading.Lock()  # the compiled model has one place for what comes out

    def run(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with lock:
            found = compiled({INPUT: pictures})
            return np.array(found[OUTPUTS[0]]), np.array(found[OUTPUTS[1]])

    return run


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


_AHEAD = 16
"""Pictures that are decoded while others are looked at."""


class Runtime:
    """An exported model that names what pictures show.

    Args:
        folder: What `distingo export` made, as ONNX or OpenVINO.
        threads: How many to compute in; None takes one per core.
        max_pixels: Width times height above which an image is not read; None is the default of
            `distingo.records.DEFAULT_MAX_PIXELS`, and none for images in memory.

    Raises:
        RunError: The folder is no exported model, is damaged, or a newer distingo wrote it.
        UsageError: What runs its format is not installed.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None, max_pixels: int | None = None) -> None:
        require_limit(max_pixels)
        self.max_pixels = max_pixels
        self.folder = Path(folder)
        self.description = read_export(self.folder)
        self.evidence: Evidence | None = load_evidence(self.folder)
        bank = load_exported_bank(self.folder)
        self.bank: FeatureBank | None = None if bank is None else bank.widened()
        self._unlike_from = settle_certainty(self).unlike_from
        self._run = open_engine(self.folder, self.description, threads=threads)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's probabilities."""
        return self.description.classes

    @property
    def task(self) -> Task:
        """Whether a picture gets exactly one label or any number."""
        return self.description.task

    @property
    def thresholds(self) -> dict[str, float] | None:
        """With several labels, from which probability on each is given; None with one."""
        thresholds = self.description.thresholds
        return None if thresholds is None else dict(zip(self.classes, thresholds.values, strict=True))

    def predict(
        self,
        pictures: Iterable[PictureLike] | PictureLike,
        *,
        topk: int | None = None,
        top_k: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
        on_error: OnError | None = None,
    ) -> Predictions:
        """Name what pictures show; the same as the run's own `predict`.

        Args:
            pictures: Files, their content, Pillow images, arrays or tensors, in any of the forms of
                `distingo.prediction.pictures.open_picture`; one or many, also as one array of four dimensions.
            topk: Keep only the so many most probable labels per picture. None keeps all of a single-label model, and
                with several labels those that reach their thresholds.
            top_k: Another name of `topk`.
            abstain: Answer only where at most this share of answers is wrong (`distingo.metrics.rejection`).
            coverage: Give each picture the set of labels that holds this share of its true ones
                (`distingo.metrics.conformal`).
            on_error: ``row``: a picture that is missing or can't be read gets a row with its error; ``raise``: it
                raises; None: a missing file raises before any is read, another fault gives a row.

        Returns:
            One prediction per picture, in order, in a list with `to_pandas`.

        Raises:
            UsageError: `topk` is below 1, or the validation pictures can't vouch for a wanted level.
            DataError: As `on_error` says.
        """
        pictures = as_pictures(pictures)
        topk = choose_alias("topk", topk, "top_k", top_k)
        if topk is not None and topk < 1:
            raise UsageError(f"topk {topk}: give 1 or more", code="out_of_range", parameter="top_k")
        certainty = settle_certainty(self, abstain=abstain, coverage=coverage)
        require_files(pictures, on_error)
        named = enumerate(zip(pictures, self._look_at_all(pictures), strict=True))
        predictions = [
            require_readable(self._name(name_picture(picture, at), row, topk, certainty), on_error)
            for at, (picture, row) in named
        ]
        ranges = self.description.value_ranges
        return Predictions(predictions, draw_given(pictures, ranges, self.max_pixels), ranges, self.max_pixels)

    def __call__(self, images: Iterable[PictureLike] | PictureLike, **options: Any) -> Predictions:
        """As `predict`, with the same options."""
        return self.predict(images, **options)

    def predict_proba(
        self, images: Iterable[PictureLike] | PictureLike, *, on_error: OnError = "raise"
    ) -> npt.NDArray[np.float64]:
        """The probability of every class for every image.

        Args:
            images: As for `predict`.
            on_error: ``row``: an image that is missing or can't be read gets a row of NaN; ``raise``: it raises.

        Returns:
            float64 (n, classes), in the order of `classes`. With one label per image each row sums to 1, with several
            each probability stands by itself.

        Raises:
            DataError: An image can't be read.
            UsageError: `on_error` is neither.
        """
        pictures = as_pictures(images)
        require_files(pictures, on_error)
        probabilities = np.full((len(pictures), len(self.classes)), np.nan, np.float64)
        for at, row in enumerate(self._look_at_all(pictures)):
            if not isinstance(row, str):
                probabilities[at] = self.judge(row[None]).probabilities[0]
            elif on_error == "raise":
                raise unreadable(name_picture(pictures[at], at), row)
        return probabilities

    def __repr__(self) -> str:
        kind = "classes" if self.task == "single-label" else "labels"
        return f"Runtime({str(self.folder)!r}, {len(self.classes)} {kind}, {self.description.exported_as})"

    def look_at(self, picture: PictureLike) -> np.ndarray:
        """A picture as the model takes it.

        Returns:
            uint8 (height, width, channels): all of it in RGB, or rendered where the model does not resize itself.

        Raises:
            UndecodableError: The picture can't be read.
        """
        enough = shorter_side_for(self.description.rendition)
        image = open_picture(picture, enough, self.description.value_ranges, self.max_pixels)
        return prepare_input(image, self.description)

    def judge(self, rows: np.ndarray) -> Judged:
        """What the model says about pictures.

        Args:
            rows: uint8 (n, height, width, channels), as from `look_at`, n at least 1.
        """
        probabilities, features = self._run(rows)
        unlike = None
        if self._unlike_from is not None and self.bank is not None:
            unlike = self.bank.distances(features) > self._unlike_from
        return Judged(probabilities, unlike)

    def _name(self, name: str, row: np.ndarray | str, topk: int | None, certainty: Certainty) -> Prediction:
        if isinstance(row, str):
            return name_failure(self.description, name, row)
        return name_prediction(self.description, name, self.judge(row[None]), 0, topk=topk, certainty=certainty)

    def _look_at_all(self, pictures: Sequence[PictureLike]) -> Iterator[np.ndarray | str]:
        """Pixels, or why there are none; decoded ahead in one thread, while the model computes in the others."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            for start in range(0, len(pictures), _AHEAD):
                yield from pool.map(self._look_at_or_say, pictures[start : start + _AHEAD])

    def _look_at_or_say(self, picture: PictureLike) -> np.ndarray | str:
        try:
            return self.look_at(picture)
        except UsageError:
            raise  # the caller's mistake: no image at all
        except (DistingoError, OSError) as error:
            return str(error)


def prepare_input(image: Image.Image, description: ExportDescription) -> np.ndarray:
    """What an exported model takes of a decoded picture.

    Args:
        image: Mode ``RGB`` or ``L``.
        description: Of the model.

    Returns:
        uint8 (height, width, channels).
    """
    if description.in_graph:
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return render(image, description.rendition)
