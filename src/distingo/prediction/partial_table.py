"""Predictions that are on the disk as soon as they are made, so that a run that was killed goes on where it was."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from distingo.checksums import parse_json
from distingo.errors import ResourceError
from distingo.prediction.tables import Columns, check_table, write_rows
from distingo.records import Prediction

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where an open file is not opened twice for writing anyway
    fcntl = None  # type: ignore[assignment]

ENDING = ".partial"
_FORMAT = 1
_FLUSH = 64
_TUPLES = ("labels", "probabilities", "given", "prediction_set")


def partial_of(output: Path) -> Path:
    """Where the predictions are until all are there: beside the output."""
    return output.with_name(output.name + ENDING)


class PartialTable:
    """The predictions of one output, JSON lines beside it, turned into it by `finish`; use it in a ``with`` statement.

    Args:
        output: The table to come.
        made_by: What the predictions depend on besides the pictures; rows of another are not gone on with.

    Raises:
        UsageError: The output's ending is unknown.
        ResourceError: The output exists, its place can't be written, another process is writing it, or a partial
            table is there that was made otherwise.
    """

    def __init__(self, output: Path, made_by: dict[str, Any]) -> None:
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
            self._hold()
            self._start(made_by)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take_earlier(self, file: str) -> Prediction | None:
        """The prediction that is there already for the next picture.

        Args:
            file: As the picture is called.

        Returns:
            The prediction; None where there is none, or one of another picture: what follows is left out then, and
            all further predictions are to be appended.
        """
        if not self._repeating:
            return None
        start = self._file.tell()
        prediction = _read(self._file.readline())
        if prediction is None or prediction.file != file:
            self._cut(start)
            return None
        self._columns.take_in(prediction)
        return prediction

    def append(self, prediction: Prediction) -> None:
        """Add a prediction, once `take_earlier` has had none.

        Raises:
            ResourceError: The disk is full.
        """
        self._columns.take_in(prediction)
        self._written += 1
        try:
            self._file.write(json.dumps(asdict(prediction)).encode("ascii") + b"\n")
            if self._written % _FLUSH == 0:
                self._file.flush()
        except OSError as error:
            raise _unwritable(self._output, error) from error

    def finish(self) -> None:
        """Write the output, and remove what it was made of.

        Raises:
            ResourceError: The output has come to exist, or the disk is full; all predictions stay in the partial table.
        """
        if self._repeating:
            self._cut(self._file.tell())
        self._file.flush()
        check_table(self._output)
        self._file.seek(0)
        self._file.readline()
        write_rows(iter(lambda: _read(self._file.readline()), None), self._columns, self._output)
        self.path.unlink(missing_ok=True)

    def _hold(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResourceError(
                f"{self._output}: another process is writing it; wait for it, or choose another -o"
            ) from error
        except OSError:  # some network file systems know no locks
            return

    def _start(self, made_by: dict[str, Any]) -> None:
        wanted = {"distingo predictions": _FORMAT, **made_by}
        line = self._file.readline()
        if not line.endswith(b"\n"):
            if line and not _encode(wanted).startswith(line):
                raise self._foreign()
            self._cut(0)
            self._file.write(_encode(wanted))
            self._file.flush()
        elif line != _encode(wanted):
            raise self._foreign()

    def _foreign(self) -> ResourceError:
        return ResourceError(
            f"{self.path}: was begun with another model or other options; repeat those, choose another -o, or move it "
            "away"
        )

    def _cut(self, size: int) -> None:
        """Leave out what follows, such as a row that a kill cut off."""
        self._file.seek(size)
        self._file.truncate()
        self._repeating = False


def _encode(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"


def _read(line: bytes) -> Prediction | None:
    """A prediction; None of the end, or of a line that was not finished."""
    if not line.endswith(b"\n"):
        return None
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        said = parse_json(line)
        tuples = {name: tuple(said[name]) for name in _TUPLES if said.get(name) is not None}
        return Prediction(**{**said, **tuples})
    return None


def _unwritable(output: Path, error: OSError) -> ResourceError:
    reason = error.strerror or type(error).__name__
    return ResourceError(
        f"{output}: can't be written ({reason}); mend that and run the same command again, which goes on, or choose "
        "another -o"
    )
