"""How fast a model names pictures, measured over two seconds once everything else is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from distingo import run_cost
from distingo.datasets.decoding import open_source
from distingo.datasets.store import Cache
from distingo.errors import DataError, DistingoError
from distingo.models.saved import SavedModel
from distingo.peak_memory import peak_memory
from distingo.prediction.predictor import Predictor
from distingo.records import Picture, Source
from distingo.run_cost import PredictionCost

_LARGEST_BATCH = 64
_SECONDS_OF_BATCH = 0.0625


def measure_throughput(
    model: SavedModel, pictures: Sequence[Picture], device: str = "auto", *, cache: Cache | None = None
) -> PredictionCost | None:
    """Time prediction as `distingo.prediction.predictor.Predictor` does it, from files to labels, no picture cached.

    A picture goes first twice, once for what is done only once and once to tell how large a batch may be, and then a
    batch that is not timed: a network takes longer over the first one of a new size.

    Args:
        model: A trained model.
        pictures: With their files. They are predicted in turn, and again from the first, until the measurement has
            taken `distingo.run_cost.MEASURED_SECONDS`; the record states how many that were.
        device: Where a network computes.
        cache: Where a converted network is kept; None keeps none.

    Returns:
        The measurement; None where there is no picture, or one can't be read any more.
    """
    if not pictures:
        return None
    peak = peak_memory()
    predictor = Predictor(model, device, cache=cache)
    try:
        _seconds(predictor, pictures[:1])
        batch = max(1, min(_LARGEST_BATCH, int(_SECONDS_OF_BATCH / max(_seconds(predictor, pictures[:1]), 1e-6))))
        _seconds(predictor, pictures[:batch])
        count, seconds = 0, 0.0
        while seconds < run_cost.MEASURED_SECONDS:
            start = count % len(pictures)
            batched = pictures[start : start + batch]
            seconds += _seconds(predictor, batched)
            count += len(batched)
    except (DistingoError, OSError):
        return None
    return PredictionCost(
        images_per_second=round(count / seconds, 2),
        pictures=count,
        seconds=round(seconds, 6),
        device=predictor.device.type,
        precision=predictor.precision,
        peak_memory_bytes=peak,
    )


def _seconds(predictor: Predictor, pictures: Sequence[Picture]) -> float:
    started = time.perf_counter()
    predictions = predictor.predict([_to_be_read(picture.source) for picture in pictures], topk=1)
    seconds = time.perf_counter() - started
    for prediction in predictions:
        if prediction.error:
            raise DataError(f"{prediction.file}: {prediction.error}")
    return seconds


def _to_be_read(source: Source) -> Path | Image.Image:
    """A file as the predictor takes it; the small entries of an IDX file have none of their own."""
    return source.path if source.index is None else open_source(source)
