"""Predictions for any number of images with constant memory use, written to a table and sorted into folders.

Each prediction is stored as soon as it is made, so that an interrupted call can be resumed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from distingo.errors import ResourceError, UsageError, option
from distingo.files import content_hash, parse_json
from distingo.prediction.engines import EngineName
from distingo.prediction.given_images import GivenImages
from distingo.prediction.image_model import OnError, require_files, require_readable
from distingo.prediction.naming import describe_guarantees
from distingo.prediction.outputs import Columns, Sorter, Sorting, check_table, write_rows
from distingo.prediction.predictor import load, model_folder
from distingo.records import ValueRanges
from distingo.scores import Prediction

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where an open file is not opened twice for writing anyway
    fcntl = None  # type: ignore[assignment]

PARTIAL_SUFFIX = ".partial"

_FORMAT = 1

_FLUSH = 64

_TUPLES = ("labels", "probabilities", "given", "prediction_set")


def partial_of(output: Path) -> Path:
    """Path of the unfinished table, next to the output."""
    return output.with_name(output.name + PARTIAL_SUFFIX)


class PartialTable:
    """An unfinished table of predictions as JSON lines, converted to the output by `finish`; use it in ``with``.

    Args:
        output: Path of the finished table.
        dependencies: What the predictions depend on, except the images; only a table with the same values is resumed.

    Raises:
        UsageError: The file extension of the output is unknown.
        ResourceError: The output exists, can't be written or is being written by another process, or there is an
            unfinished table with other options.
    """

    def __init__(self, output: Path, dependencies: Mapping[str, object]) -> None:
        check_table(output)
        self.path = partial_of(output)
        self._output = output
        self._columns = Columns()
        self._written = 0
        self._repeating = True
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise _unwritable(output, error) from error
        try:
            self._lock()
            self._start(dependencies)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read_next(self, file: str) -> Prediction | None:
        """Read the stored prediction for the next image.

        Args:
            file: Name of the image.

        Returns:
            The prediction; None if there is none or it belongs to another image. In that case the rest of the table is
            discarded, and all further predictions must be appended.
        """
        if not self._repeating:
            return None
        start = self._file.tell()
        prediction = _read(self._file.readline())
        if prediction is None or prediction.file != file:
            self._cut(start)
            return None
        self._columns.add(prediction)
        return prediction

    def append(self, prediction: Prediction) -> None:
        """Append a prediction, after `read_next` has returned None.

        Raises:
            ResourceError: The disk is full.
        """
        self._columns.add(prediction)
        self._written += 1
        try:
            self._file.write(json.dumps(asdict(prediction)).encode("ascii") + b"\n")
            if self._written % _FLUSH == 0:
                self._file.flush()
        except OSError as error:
            raise _unwritable(self._output, error) from error

    def finish(self) -> None:
        """Write the output, and remove the unfinished table.

        Raises:
            ResourceError: The output exists by now, or the disk is full; the unfinished table is kept.
        """
        if self._repeating:
            self._cut(self._file.tell())
        self._file.flush()
        check_table(self._output)
        self._file.seek(0)
        self._file.readline()
        write_rows(iter(lambda: _read(self._file.readline()), None), self._columns, self._output)
        self.path.unlink(missing_ok=True)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResourceError(
                f"{self._output}: another process is writing it; wait for it, or choose another {option('output')}",
                code="in_use",
                parameter="output",
            ) from error
        except OSError:  # some network file systems do not support locks
            return

    def _start(self, dependencies: Mapping[str, object]) -> None:
        requested = {"distingo predictions": _FORMAT, **dependencies}
        line = self._file.readline()
        if not line.endswith(b"\n"):
            if line and not _encode(requested).startswith(line):
                raise self._foreign()
            self._cut(0)
            self._file.write(_encode(requested))
            self._file.flush()
        elif line != _encode(requested):
            raise self._foreign()

    def _foreign(self) -> ResourceError:
        return ResourceError(
            f"{self.path}: was begun with another model or other options; repeat those, choose another "
            f"{option('output')}, or move it away",
            code="changed_options",
            parameter="output",
        )

    def _cut(self, size: int) -> None:
        """Discard everything after `size` bytes, such as an incomplete row."""
        self._file.seek(size)
        self._file.truncate()
        self._repeating = False


def _encode(content: Mapping[str, object]) -> bytes:
    return json.dumps(dict(content)).encode("ascii") + b"\n"


def _read(line: bytes) -> Prediction | None:
    """Parse a prediction; None at the end of the file or for an incomplete line."""
    if not line.endswith(b"\n"):
        return None
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        stored = parse_json(line, strict=False)  # file names may not be valid UTF-8
        tuples = {name: tuple(stored[name]) for name in _TUPLES if stored.get(name) is not None}
        return Prediction(**{**stored, **tuples})
    return None


def _unwritable(output: Path, error: OSError) -> ResourceError:
    reason = error.strerror or type(error).__name__
    return ResourceError(
        f"{output}: can't be written ({reason}); fix that and run the same command again, which continues, or choose "
        f"another {option('output')}",
        code="cannot_write",
        parameter="output",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkRequest:
    """The options of predictions for many images.

    Attributes:
        run: A run folder.
        images: The images to classify.
        topk: As for `Predictor.predict`.
        abstain: As for `Predictor.predict`.
        coverage: As for `Predictor.predict`.
        output: Table to write; None writes none.
        sorting: How to sort the images into class folders; None does not sort.
        device: Device of the network.
        engine: As for `load`.
        workers: Number of decoding threads; None is one per core.
        max_pixels: As for `Predictor`.
        on_error: As for `Predictor.predict`; images that raise are neither written nor sorted.
    """

    run: Path
    images: GivenImages
    topk: int | None = None
    abstain: float | None = None
    coverage: float | None = None
    output: Path | None = None
    sorting: Sorting | None = None
    device: str = "auto"
    engine: EngineName = "auto"
    workers: int | None = None
    max_pixels: int | None = None
    on_error: OnError | None = "row"


class BulkPrediction:
    """An iterator of predictions, which are written and sorted as they are consumed.

    The table appears when all predictions have been consumed. An interrupted iteration is resumed by the same request.

    Args:
        request: The request.

    Attributes:
        guarantees: The guarantees of the requested levels, in sentences.
        resumed: Number of consumed predictions that were stored by an earlier call.
        sorter: The sorter; None if images are not sorted.

    Raises:
        DistingoError: The specific subclass, before the first image is read.
    """

    def __init__(self, request: BulkRequest) -> None:
        _require_outside(request)
        output = request.output
        if output is not None:
            check_table(output)
        self.images = request.images if output is None else _without(request.images, output)
        self.images.require_any()
        require_files(() if self.images.is_standard_input else self.images, request.on_error)
        self._request = request
        self._predictor = load(request.run, device=request.device, engine=request.engine, max_pixels=request.max_pixels)
        self._predictor.require(
            topk=request.topk, abstain=request.abstain, coverage=request.coverage, workers=request.workers
        )
        self.guarantees = describe_guarantees(self._predictor.model, abstain=request.abstain, coverage=request.coverage)
        self._stack = ExitStack()
        self.resumed = 0
        with ExitStack() as opening:
            self._table = None if output is None else opening.enter_context(PartialTable(output, self._dependencies()))
            self.sorter = None if request.sorting is None else opening.enter_context(self._sorter(request.sorting))
            self._stack = opening.pop_all()

    @property
    def value_ranges(self) -> ValueRanges:
        """The model's value ranges, used to display images with more than 8 bits."""
        return self._predictor.model.description.value_ranges

    @property
    def max_pixels(self) -> int | None:
        """As for `Predictor`."""
        return self._predictor.max_pixels

    def __iter__(self) -> Iterator[Prediction]:
        """Iterate over the predictions; possible only once."""
        with self._stack:
            for prediction in self._predictions(iter(self.images)):
                if self.sorter is not None:
                    self.sorter.add(prediction)
                yield prediction
            if self.sorter is not None:
                self.sorter.flush()
            if self._table is not None:
                self._table.finish()

    def _predictions(self, images: Iterator[Path]) -> Iterator[Prediction]:
        rest: Iterable[Path] = images
        if self._table is not None:
            for image in images:
                earlier = self._table.read_next(str(image))
                if earlier is None:
                    rest = chain([image], images)
                    break
                self._require(earlier)
                self.resumed += 1
                yield earlier
        request = self._request
        stream = self._predictor.stream(
            rest, topk=request.topk, abstain=request.abstain, coverage=request.coverage, workers=request.workers
        )
        with closing(stream):
            for prediction in stream:
                self._require(prediction)
                if self._table is not None:
                    self._table.append(prediction)
                yield prediction

    def _require(self, prediction: Prediction) -> None:
        """Raise the error of a prediction if requested; paths from standard input are checked only here."""
        if prediction.error:
            require_files([prediction.file], self._request.on_error)
            require_readable(prediction, self._request.on_error)

    def _dependencies(self) -> Mapping[str, object]:
        request = self._request
        requested_options = {"topk": request.topk, "abstain": request.abstain, "coverage": request.coverage}
        return {"model": identify_model(request.run), **requested_options}

    def _sorter(self, sorting: Sorting) -> Sorter:
        return Sorter(sorting, self._predictor.classes, f"{identify_model(self._request.run)} {self._request.abstain}")


def identify_model(run: Path) -> str:
    """Hash of everything that a run's predictions depend on: weights, thresholds, calibration and calibration set."""
    folder = model_folder(run)
    names = ("model.json", "confidence.json")
    return content_hash(*((folder / name).read_bytes() for name in names if (folder / name).is_file()))


def _without(images: GivenImages, output: Path) -> GivenImages:
    return GivenImages(images.paths, images.image_column, images.image_folder, (output, partial_of(output)))


def _require_outside(request: BulkRequest) -> None:
    """Check that the class folders are not inside a folder of input images."""
    if request.sorting is None:
        return
    target = request.sorting.folder.resolve()
    for path in map(Path, request.images.paths):
        if path.is_dir() and target.is_relative_to(path.resolve()):
            raise UsageError(
                f"{option('sort_into')} {request.sorting.folder}: is inside {path}, whose pictures are to be "
                "sorted; choose a folder outside it",
                code="overlapping_folders",
                parameter="sort_into",
            )
