"""A trained model as a person uses it: pictures in, class names with probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from distingo.datasets.decoding import UndecodableError, open_source
from distingo.datasets.rendering import render, shorter_side_for
from distingo.datasets.walking import walk
from distingo.errors import DistingoError, UsageError, name_some
from distingo.features.descriptors import describe
from distingo.metrics.conformal import prediction_sets
from distingo.metrics.thresholds import apply_thresholds
from distingo.models.machine import choose_precision, prepare_process
from distingo.models.saved import SavedModel, load_model, read_description
from distingo.prediction.certainty import Certainty, settle_certainty
from distingo.prediction.classifier import predict_outputs, predict_probabilities, to_probabilities
from distingo.prediction.device import choose_device
from distingo.progress import progress_bar
from distingo.records import Prediction, Source, Task
from distingo.run_folder import RunFolder

PictureLike = str | Path | Image.Image | np.ndarray
"""A file, a Pillow image, or uint8 pixels (height, width) or (height, width, 3)."""

_BATCH = 64


@dataclass(frozen=True, slots=True)
class _ArrayRows:
    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: np.ndarray) -> np.ndarray:
        taken: np.ndarray = self.array[indices]
        return taken


@dataclass(frozen=True, slots=True)
class _Found:
    probabilities: np.ndarray
    unlike: bool | None = None


class Predictor:
    """A trained model that names what pictures show.

    Args:
        model: A saved model.
        device: ``auto``, ``cpu``, ``cuda`` ...
    """

    def __init__(self, model: SavedModel, device: str = "auto") -> None:
        prepare_process()
        self.model = model
        self.device = choose_device(device)
        self.precision = choose_precision(self.device)[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model's outputs."""
        return self.model.description.classes

    @property
    def task(self) -> Task:
        """Whether a picture gets exactly one label or any number."""
        return self.model.description.task

    @property
    def thresholds(self) -> dict[str, float] | None:
        """With several labels, from which probability on each is given; None with one."""
        if self.task == "single-label":
            return None
        return dict(zip(self.classes, self.model.description.require_thresholds().values, strict=True))

    def predict(
        self,
        pictures: Sequence[PictureLike] | PictureLike,
        *,
        topk: int | None = None,
        abstain: float | None = None,
        coverage: float | None = None,
    ) -> list[Prediction]:
        """Name what pictures show.

        Args:
            pictures: Files, Pillow images or uint8 arrays; one or many.
            topk: Keep only the so many most probable labels per picture. None keeps all of a single-label model, so
                that probabilities sum to 1, and with several labels those that reach their thresholds.
            abstain: Answer only where at most this share of answers is wrong (`distingo.metrics.rejection`).
            coverage: Give each picture the set of labels that holds this share of its true ones
                (`distingo.metrics.conformal`).

        Returns:
            One prediction per picture, in order; a picture that can't be read carries its error instead.

        Raises:
            UsageError: `topk` is below 1, or the validation pictures can't vouch for a wanted level.
        """
        if isinstance(pictures, str | Path | Image.Image | np.ndarray):
            pictures = [pictures]
        if topk is not None and topk < 1:
            raise UsageError(f"--topk {topk}: give 1 or more")
        certainty = settle_certainty(self.model, abstain=abstain, coverage=coverage)
        predictions: list[Prediction] = []
        with progress_bar("predicting", len(pictures)) as advance:
            for start in range(0, len(pictures), _BATCH):
                batch = pictures[start : start + _BATCH]
                predictions.extend(self._predict_batch(batch, topk, certainty))
                advance(len(batch))
        return predictions

    def _predict_batch(
        self, pictures: Sequence[PictureLike], topk: int | None, certainty: Certainty
    ) -> Iterator[Prediction]:
        rows: list[np.ndarray] = []
        errors: dict[int, str] = {}
        for position, picture in enumerate(pictures):
            try:
                rows.append(self._look_at(_open(picture, self._enough)))
            except (DistingoError, OSError) as error:
                errors[position] = error.reason if isinstance(error, UndecodableError) else str(error)
        found = iter(self._look_up(rows, certainty))
        for position, picture in enumerate(pictures):
            name = str(picture) if isinstance(picture, str | Path) else f"picture {position}"
            if position in errors:
                yield Prediction(name, (), (), errors[position], None if self.task == "single-label" else ())
            else:
                yield self._named(name, next(found), topk, certainty)

    @property
    def _enough(self) -> int | None:
        rendition = self.model.description.rendition
        return None if rendition is None else shorter_side_for(rendition)

    def _look_at(self, image: Image.Image) -> np.ndarray:
        rendition = self.model.description.rendition
        return describe(image).astype(np.float32) if rendition is None else render(image, rendition)

    def _look_up(self, rows: list[np.ndarray], certainty: Certainty) -> list[_Found]:
        if not rows:
            return []
        stacked, precision = _ArrayRows(np.stack(rows)), self.precision
        if certainty.unlike_from is None or self.model.bank is None:
            found = predict_probabilities(self.model, stacked, device=self.device, precision=precision)
            return [_Found(row) for row in found]
        outputs = predict_outputs(self.model, stacked, device=self.device, precision=precision)
        unlike = self.model.bank.distances(outputs.features) > certainty.unlike_from
        return list(map(_Found, to_probabilities(self.model, outputs.logits), unlike.tolist()))

    def _named(self, name: str, found: _Found, topk: int | None, certainty: Certainty) -> Prediction:
        probabilities = found.probabilities
        order = np.argsort(-probabilities, kind="stable")
        given = abstained = None
        shown = order[: topk or len(order)]
        sure = probabilities.astype(np.float64) >= (certainty.answer_from or 0.0)
        if self.task == "multi-label":
            reached = apply_thresholds(probabilities, self.model.description.require_thresholds())
            above = order[(reached & sure)[order]]
            given = tuple(self.classes[index] for index in above)
            shown = above if topk is None else shown
            abstained = bool(reached.any() and not len(above))
        else:
            abstained = not sure[order[0]]
        return Prediction(
            name,
            tuple(self.classes[index] for index in shown),
            tuple(float(probabilities[index]) for index in shown),
            given=given,
            abstained=None if certainty.answer_from is None else bool(abstained),
            prediction_set=self._set_of(probabilities, order, certainty),
            unlike=found.unlike,
        )

    def _set_of(self, probabilities: np.ndarray, order: np.ndarray, certainty: Certainty) -> tuple[str, ...] | None:
        if certainty.set_from is None:
            return None
        inside = prediction_sets(probabilities, certainty.set_from)
        return tuple(self.classes[index] for index in order[inside[order]])


def _open(picture: PictureLike, enough: int | None) -> Image.Image:
    if isinstance(picture, str | Path):
        path = Path(picture)
        return open_source(Source(str(picture), path), enough=enough)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image if image.mode in {"RGB", "L"} else image.convert("RGB")


def load(run: str | Path, *, device: str = "auto") -> Predictor:
    """Load a run's trained model.

    Args:
        run: A run folder, or the ``model`` folder in one.
        device: ``auto``, ``cpu``, ``cuda`` ...

    Returns:
        A predictor; ``.predict([...])`` gives labels with probabilities.

    Raises:
        RunError: The folder is missing, damaged, unfinished or from a newer version.
    """
    return Predictor(load_model(_model_folder(run)), device)


def read_task(run: str | Path) -> Task:
    """Whether a run's model gives a picture exactly one label or any number; no weights are loaded.

    Args:
        run: As for `load`.

    Raises:
        RunError: As `load`.
    """
    return read_description(_model_folder(run)).task


def _model_folder(run: str | Path) -> Path:
    folder = Path(run)
    place = folder if (folder / "model.json").is_file() else RunFolder(folder).model
    if place != folder and not (place / "model.json").is_file():
        RunFolder(folder).read_config()
    return place


def find_pictures(paths: Sequence[str | Path]) -> list[Path]:
    """Files as given, and every visible file below the folders given, sorted within each.

    A path that does not exist stays in the list, to be named among what can't be read.

    Raises:
        UsageError: None of the paths exists, or there is no file.
    """
    given = [Path(path) for path in paths]
    if given and not any(path.exists() for path in given):
        raise UsageError(f"{name_some([str(path) for path in given], 3)}: no such file or folder")
    found: list[Path] = []
    for path in given:
        found.extend(sorted(file.path for file in walk(path) if not file.ignored) if path.is_dir() else [path])
    if not found:
        raise UsageError(f"{', '.join(map(str, paths))}: no file in it; give pictures, or folders of them")
    return found
