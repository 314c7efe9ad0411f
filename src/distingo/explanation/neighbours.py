"""The training pictures that a model takes for most like a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from distingo.datasets.decoding import open_source
from distingo.datasets.layouts import source_of
from distingo.errors import DistingoError
from distingo.evaluation.reading import RunRecords, read_run
from distingo.explanation.model_answers import ModelAnswers
from distingo.explanation.records import Neighbour
from distingo.files import content_hash
from distingo.prediction.classifier import predict_outputs
from distingo.prediction.predictor import Predictor
from distingo.run_folder import RunFolder

THUMBNAIL = 256
"""Pixels of a shown picture's longer side at most."""


def find_neighbours(
    folder: RunFolder, predictor: Predictor, pixels: npt.NDArray[np.uint8], count: int
) -> tuple[tuple[Neighbour, ...], tuple[str, ...]]:
    """Find the nearest of the training pictures whose features the run keeps.

    Args:
        folder: The run.
        predictor: With the run's model.
        pixels: uint8 (height, width, channels), as the model sees the picture.
        count: How many.

    Returns:
        The neighbours, the nearest first, and a note where there are none.
    """
    bank = predictor.model.bank
    if bank is None or count < 1:
        why = "this run keeps no features of its training pictures, so the nearest ones are not known; train it again"
        return (), (why,) if bank is None else ()
    rows = ModelAnswers(predictor).rows(pixels[None])
    outputs = predict_outputs(predictor.model, rows, device=predictor.device, precision="float32")
    positions, distances = bank.nearest(outputs.features, count)
    records = read_run(folder.path)
    files = {row.content: row.file for row in records.manifest if row.status == "used"}
    labels = {row.file: row.labels for row in records.split}
    found = []
    for position, distance in zip(positions[0].tolist(), distances[0].tolist(), strict=True):
        file = files.get(bank.contents[position], "")
        found.append(Neighbour(file, labels.get(file, ()), float(distance), _open(records, file)))
    return tuple(found), ()


def tell_if_known(folder: RunFolder, picture: Path) -> tuple[str, ...]:
    """A note where a file is one of those that the model was trained or chosen on, so that its answer is no news.

    Args:
        folder: The run.
        picture: The file.
    """
    records = read_run(folder.path)
    content = content_hash(picture.read_bytes())
    files = {row.file for row in records.manifest if row.content == content}
    side = next((row.side for row in records.split if row.file in files and row.side != "test"), None)
    return () if side is None else (f"the picture is one of those on the {side} side of this run",)


def _open(records: RunRecords, file: str) -> npt.NDArray[np.uint8] | None:
    try:
        image = open_source(source_of(records.root, file, records.value_ranges), enough=THUMBNAIL).convert("RGB")
    except (DistingoError, OSError, ValueError, IndexError):
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return np.array(image)
