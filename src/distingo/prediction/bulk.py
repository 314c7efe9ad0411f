"""Any number of pictures named, written down and sorted as they come, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from distingo.errors import UsageError
from distingo.files import content_hash
from distingo.prediction.certainty import describe_guarantees
from distingo.prediction.engines import EngineName
from distingo.prediction.given_pictures import GivenPictures
from distingo.prediction.partial_table import PartialTable, partial_of
from distingo.prediction.predictor import load, model_folder
from distingo.prediction.sorting import Sorter, Sorting
from distingo.prediction.tables import check_table
from distingo.records import Prediction


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkRequest:
    """What a person asked for.

    Attributes:
        run: A run folder.
        pictures: What to name.
        topk: As for `Predictor.predict`.
        abstain: As for `Predictor.predict`.
        coverage: As for `Predictor.predict`.
        output: A table to write; None writes none.
        sorting: How to sort the pictures into class folders; None leaves them.
        device: Where networks compute.
        engine: As for `load`.
        workers: Decoding threads; None takes one per core.
        max_pixels: As for `Predictor`.
    """

    run: Path
    pictures: GivenPictures
    topk: int | None = None
    abstain: float | None = None
    coverage: float | None = None
    output: Path | None = None
    sorting: Sorting | None = None
    device: str = "auto"
    engine: EngineName = "auto"
    workers: int | None = None
    max_pixels: int | None = None


class BulkPrediction:
    """Predictions one after another; they are written and sorted as they are taken.

    The table appears when all were taken. One that was left off, by a kill or because no more were taken, goes on where
    it was when the same is asked for again.

    Args:
        request: What a person asked for.

    Attributes:
        guarantees: What the requested levels come to, in sentences.
        resumed: How many of the predictions taken so far were there from an earlier time.
        sorter: What was sorted so far; None where nothing is.

    Raises:
        DistingoError: Of the kind that fits, before the first picture is looked at.
    """

    def __init__(self, request: BulkRequest) -> None:
        _require_outside(request)
        output = request.output
        if output is not None:
            check_table(output)
        self.pictures = request.pictures if output is None else _without(request.pictures, output)
        self.pictures.require_any()
        self._request = request
        self._predictor = load(request.run, device=request.device, engine=request.engine, max_pixels=request.max_pixels)
        self._predictor.require(
            topk=request.topk, abstain=request.abstain, coverage=request.coverage, workers=request.workers
        )
        self.guarantees = describe_guarantees(self._predictor.model, abstain=request.abstain, coverage=request.coverage)
        self._stack = ExitStack()
        self.resumed = 0
        with ExitStack() as opening:
            self._table = None if output is None else opening.enter_context(PartialTable(output, self._made_by()))
            self.sorter = None if request.sorting is None else opening.enter_context(self._sorter(request.sorting))
            self._stack = opening.pop_all()

    def __iter__(self) -> Iterator[Prediction]:
        """The predictions, once."""
        with self._stack:
            for prediction in self._predictions(iter(self.pictures)):
                if self.sorter is not None:
                    self.sorter.take(prediction)
                yield prediction
            if self.sorter is not None:
                self.sorter.flush()
            if self._table is not None:
                self._table.finish()

    def _predictions(self, pictures: Iterator[Path]) -> Iterator[Prediction]:
        rest: Iterable[Path] = pictures
        if self._table is not None:
            for picture in pictures:
                earlier = self._table.take_earlier(str(picture))
                if earlier is None:
                    rest = chain([picture], pictures)
                    break
                self.resumed += 1
                yield earlier
        request = self._request
        stream = self._predictor.stream(
            rest, topk=request.topk, abstain=request.abstain, coverage=request.coverage, workers=request.workers
        )
        with closing(stream):
            for prediction in stream:
                if self._table is not None:
                    self._table.append(prediction)
                yield prediction

    def _made_by(self) -> dict[str, object]:
        request = self._request
        asked = {"topk": request.topk, "abstain": request.abstain, "coverage": request.coverage}
        return {"model": identify_model(request.run), **asked}

    def _sorter(self, sorting: Sorting) -> Sorter:
        return Sorter(sorting, self._predictor.classes, f"{identify_model(self._request.run)} {self._request.abstain}")


def identify_model(run: Path) -> str:
    """Names what a run's model says: its weights, thresholds, calibration and evidence."""
    folder = model_folder(run)
    names = ("model.json", "confidence.json")
    return content_hash(*((folder / name).read_bytes() for name in names if (folder / name).is_file()))


def _without(pictures: GivenPictures, output: Path) -> GivenPictures:
    return GivenPictures(pictures.paths, pictures.image_column, pictures.image_folder, (output, partial_of(output)))


def _require_outside(request: BulkRequest) -> None:
    """The class folders must not lie among the pictures that are still to be found."""
    if request.sorting is None:
        return
    place = request.sorting.folder.resolve()
    for path in map(Path, request.pictures.paths):
        if path.is_dir() and place.is_relative_to(path.resolve()):
            raise UsageError(
                f"--sort-into {request.sorting.folder}: lies inside {path}, whose pictures are to be sorted; choose a "
                "folder outside it"
            )
